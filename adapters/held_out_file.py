"""What a model makes of validation rows that it was not fitted to: from fine-tuning to evaluation, as tensors."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import atomic_write, sha256_of
from transfer.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_VERSION = "1"
_LOGITS, _LABELS = "logits", "labels"


@dataclass(frozen=True)
class HeldOut:
    """Logits of validation rows.

    Args:
        logits: float32 (N, C); a softmax of them gives the shares of the model as it is stored.
        labels: int64 (N,).
        left_out: whether each row's logits are those of a fit to all other rows, since the model was fitted to it; else
            they are the model's own.
        sharpness: the inverse temperature that is in the logits; None where it cannot be told.
    """

    logits: "Tensor"
    labels: "Tensor"
    left_out: bool
    sharpness: float | None


def write_held_out(path: Path, held_out: HeldOut, made_from: Mapping[str, Path]) -> None:
    """Write logits and what they are, atomically, with the digests of what they were made from.

    Raises:
        EnvironmentFault: the disk is full or the folder cannot be written.
    """
    from safetensors.torch import save

    about: dict[str, Any] = {
        "version": _VERSION,
        "left_out": held_out.left_out,
        "sharpness": held_out.sharpness,
        "made_from": {name: sha256_of(source) for name, source in made_from.items()},
    }
    tensors = {_LOGITS: held_out.logits.float().contiguous(), _LABELS: held_out.labels.contiguous()}
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(tensors, {"about": json.dumps(about, sort_keys=True)}))


def read_held_out(path: Path, made_from: Mapping[str, Path]) -> HeldOut:
    """Read what `write_held_out` wrote.

    Args:
        path: the file.
        made_from: inputs that it must have been made from.

    Raises:
        UserError: it is missing, damaged, of another version, or was made from other inputs.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path} is missing; run the stage that writes it with `rootstock run` or `dvc repro`.")
    try:
        with safe_open(path, framework="pt") as stored:
            about = json.loads((stored.metadata() or {}).get("about", "{}"))
            logits, labels = stored.get_tensor(_LOGITS), stored.get_tensor(_LABELS)
    except (SafetensorError, ValueError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); run `dvc checkout` or `dvc repro`.") from error
    if about.get("version") != _VERSION:
        raise UserError(f"{path} has version {about.get('version')!r}, this code reads {_VERSION}; run `dvc repro`.")
    for name, source in made_from.items():
        if about["made_from"].get(name) != sha256_of(source):
            raise UserError(f"{path} was made from another {source} than the one there now; run `dvc repro` again.")
    return HeldOut(logits, labels, about["left_out"], about["sharpness"])

"""What is known of weights, from where it is written: beside the file, in the registry, with the shipped weights."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapters.json_files import read_plain_json, write_plain_json
from adapters.registered_trunks import registered_trunk
from adapters.weights_files import SHIPPED_FOLDER
from transfer.backbones.known_answers import N_VALUES, SHIPPED, KnownAnswer
from transfer.backbones.provenance import RANDOM, UNKNOWN, Provenance, published_provenance
from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError

LICENCE_TAG, ORIGIN_TAG, DATA_TAG = "weights_licence", "weights_origin", "weights_training_data"
_SUFFIX = ".card.json"
_TEXTS = ("licence", "origin", "training_data")
_KEYS = (*_TEXTS, "sha256", "known_answer")


@dataclass(frozen=True, slots=True)
class Declared:
    """What somebody wrote beside a weights file.

    Args:
        provenance: of the weights.
        sha256: of the file it was written for; None for any.
        known_answer: of the weights.
    """

    provenance: Provenance
    sha256: str | None = None
    known_answer: KnownAnswer | None = None


def declaration_of(weights: Path) -> Path:
    """Return where what is known of a weights file is written."""
    return weights.with_name(weights.name + _SUFFIX)


def declare(weights: Path, declared: Declared) -> Path:
    """Write what is known of a weights file beside it; return where.

    Raises:
        EnvironmentFault: the folder cannot be written.
    """
    said = {key: getattr(declared.provenance, key) for key in _TEXTS}
    answer = None if declared.known_answer is None else asdict(declared.known_answer)
    payload = {**said, "sha256": declared.sha256, "known_answer": answer}
    write_plain_json(declaration_of(weights), {key: value for key, value in payload.items() if value is not None})
    return declaration_of(weights)


def declared(weights: Path) -> Declared:
    """Read what is written beside a weights file; nothing is known where there is no such file.

    Raises:
        UserError: the file is not JSON, or says what is not known here.
    """
    path = declaration_of(weights)
    if not path.is_file():
        return Declared(Provenance())
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        answer = content.get("known_answer")
        known = answer and KnownAnswer(int(answer["side_px"]), tuple(float(value) for value in answer["values"]))
        said = {key: content.get(key) for key in (*_TEXTS, "sha256")}
        texts = all(value is None or (isinstance(value, str) and value.strip()) for value in said.values())
        fits = texts and set(content) <= set(_KEYS) and (not known or len(known.values) == N_VALUES)
    except (ValueError, KeyError, TypeError, AttributeError):
        fits, said, known = False, {}, None
    if not fits:
        raise UserError(
            f"{path} must be JSON with texts under {', '.join(_TEXTS)} (and sha256, known_answer, which "
            f"`rootstock backbones declare` writes); write it again."
        )
    sha256 = said.pop("sha256")
    return Declared(Provenance(**said), sha256, known or None)


def provenance_of(reference: BackboneReference, sha256: str | None, project: Path | None = None) -> Provenance:
    """Return what is known of the weights that a reference names.

    Args:
        reference: of a backbone; a relative path starts at the project.
        sha256: of a local file, for which alone a declaration counts; None where there is none.
        project: the project's root; the current directory when None.

    Raises:
        UserError: the weights are unknown, or what is written beside a file cannot be read.
    """
    if reference.is_random:
        return RANDOM
    if reference.registered_model is not None:
        trunk = registered_trunk(reference.registered_model, project)
        return _of_tags(trunk.uri, trunk.tags)
    if reference.weights_file is None:
        return _shipped(reference) if reference.source == "rootstock" else published_provenance(reference)
    said = declared((project or Path()) / Path(reference.weights_file).expanduser())
    return said.provenance if said.sha256 in (None, sha256) else Provenance()


def known_answer_of(reference: BackboneReference, path: Path | None, sha256: str | None) -> KnownAnswer | None:
    """Return what weights are known to answer, None where nobody recorded it.

    Args:
        reference: of a backbone.
        path: of its weights file.
        sha256: of that file.
    """
    if path is None or sha256 is None:
        return None
    if reference.weights_file is None:
        return SHIPPED.get(sha256)
    said = declared(path)
    return said.known_answer if said.sha256 in (None, sha256) else None


def tags_of(provenance: Provenance) -> dict[str, str]:
    """Return what a version of a registered model says of the weights it was made from."""
    said = {LICENCE_TAG: provenance.licence, ORIGIN_TAG: provenance.origin, DATA_TAG: provenance.training_data}
    return {tag: value or UNKNOWN for tag, value in said.items()}


def _of_tags(uri: str, tags: Mapping[str, str]) -> Provenance:
    """Return what a registered model is: it inherits the licence of what it was made from."""
    licence, before = tags.get(LICENCE_TAG), tags.get(DATA_TAG, UNKNOWN)
    data = f"{before}, then the data set {tags.get('data', UNKNOWN)}"
    return Provenance(
        f"{uri}, made from {tags.get('backbone', UNKNOWN)}", licence if licence != UNKNOWN else None, data
    )


def _shipped(reference: BackboneReference) -> Provenance:
    card: dict[str, Any] = read_plain_json(SHIPPED_FOLDER / f"{reference.arch}.json")
    return Provenance(
        origin="trained by this project (backbones/dvc.yaml)",
        licence=str(card["licence"]),
        training_data=str(card["data"]),
        recipe="docs/backbones.md",
    )

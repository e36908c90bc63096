"""Where the stage `reference` leaves what the pretrained trunk is worth as it came, and how that is read."""

from dataclasses import dataclass
from pathlib import Path

from adapters.json_files import read_json, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE
from tasks.handoffs import FINETUNE_HISTORY, FROZEN, MODEL, RANKING

MADE_FROM = {  # what the stage reads, by name
    "manifest": MANIFEST,
    "quarantine": QUARANTINE,
    "ranking": RANKING,
    "finetune_history": FINETUNE_HISTORY,
}
NEAREST_MEAN, ABOUT = FROZEN / "nearest_mean.safetensors", FROZEN / "frozen.json"
_PRETRAINED, _IS_PROBE = "pretrained", "model_is_probe"


@dataclass(frozen=True, slots=True)
class Frozen:
    """What is stored of the pretrained trunk.

    Args:
        pretrained: whether fine-tuning began with pretrained weights; nothing else is stored where it did not.
        model_is_probe: whether the fine-tuned model is the probe: no step of fine-tuning was kept.
    """

    pretrained: bool
    model_is_probe: bool

    @property
    def folder(self) -> Path:
        """Return the folder of the model that has the pretrained trunk, under the norm statistics that were kept."""
        return MODEL if self.model_is_probe else FROZEN

    def write(self) -> None:
        """Write the record of it."""
        write_json(ABOUT, {_PRETRAINED: self.pretrained, _IS_PROBE: self.model_is_probe}, MADE_FROM)


def read_frozen() -> Frozen:
    """Read what `Frozen.write` wrote.

    Raises:
        UserError: it is missing, or was made from other inputs.
    """
    about = read_json(ABOUT, MADE_FROM)
    return Frozen(about[_PRETRAINED], about[_IS_PROBE])

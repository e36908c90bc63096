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
SOURCE = FROZEN / "source"  # the pretrained network as it came, its head cut down to the classes
_PRETRAINED, _IS_PROBE, _SOURCE_CLASSES = "pretrained", "model_is_probe", "source_classes"


@dataclass(frozen=True, slots=True)
class Frozen:
    """What is stored of the pretrained trunk.

    Args:
        pretrained: whether fine-tuning began with pretrained weights; nothing else is stored where it did not.
        model_is_probe: whether the fine-tuned model is the probe: no step of fine-tuning was kept.
        source_classes: what the head that the weights came with calls each class, in order; empty where it does not
            know all of them.
    """

    pretrained: bool
    model_is_probe: bool
    source_classes: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Return the folder of the model that has the pretrained trunk, under the norm statistics that were kept."""
        return MODEL if self.model_is_probe else FROZEN

    def write(self) -> None:
        """Write the record of it."""
        about = {_PRETRAINED: self.pretrained, _IS_PROBE: self.model_is_probe, _SOURCE_CLASSES: [*self.source_classes]}
        write_json(ABOUT, about, MADE_FROM)


def read_frozen() -> Frozen:
    """Read what `Frozen.write` wrote.

    Raises:
        UserError: it is missing, or was made from other inputs.
    """
    about = read_json(ABOUT, MADE_FROM)
    return Frozen(about[_PRETRAINED], about[_IS_PROBE], tuple(about[_SOURCE_CLASSES]))

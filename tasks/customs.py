"""What weights pass before they are used: digest, tensors alone, every shape, and the answer they are known to give."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.downloads import shown_download

if TYPE_CHECKING:
    from transfer.backbones.backbone import Backbone
    from transfer.backbones.known_answers import KnownAnswer
    from transfer.backbones.reference import BackboneReference

RANDOM_SEED = 0  # of random weights: a candidate keeps them from its score to its fine-tuning


@dataclass(frozen=True)
class Admitted:
    """A backbone whose weights passed.

    Args:
        backbone: filled.
        path: of the weights file; None for random weights.
        sha256: of that file.
        names: of the values in it, see `transfer.backbones.build.dropped_names`.
        known_answer: what the weights gave, as they are known to; None where nobody recorded it.
    """

    backbone: "Backbone"
    path: Path | None
    sha256: str | None
    names: tuple[str, ...]
    known_answer: "KnownAnswer | None"


def admit(reference: "BackboneReference", sha256: str | None = None, *, asks: bool = True) -> Admitted:
    """Load a backbone's weights, downloaded if need be, and check all that can be checked.

    Args:
        reference: what to build.
        sha256: recorded digest of the weights file, which it must still have; None where none was recorded.
        asks: whether a known answer is demanded.

    Raises:
        UserError: the weights are absent, unsafe, damaged or not the recorded ones, do not fit the architecture, or do
            not give the answer they are known to give.
        EnvironmentFault: the disk or the memory is too small.
    """
    from adapters.weights_cards import known_answer_of
    from adapters.weights_files import load_weights
    from transfer.backbones.answers import require_answer
    from transfer.backbones.build import build_backbone

    with shown_download(reference) as report:
        weights = load_weights(reference, sha256, report=report)
    state = weights.state_dict
    backbone = build_backbone(weights.reference, state, seed=RANDOM_SEED, weights_name=weights.name)
    if weights.preprocess is not None:  # a registered model keeps the colours it was trained with
        given = weights.preprocess
        backbone.preprocess = replace(backbone.preprocess, mean=given.mean, std=given.std)
    known = known_answer_of(weights.reference, weights.path, weights.sha256) if asks else None
    if known is not None:
        require_answer(backbone, known, weights.name)
    return Admitted(backbone, weights.path, weights.sha256, tuple(state or ()), known)

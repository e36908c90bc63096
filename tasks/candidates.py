"""A candidate backbone: built in the same way to be ranked and to be fine-tuned."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transfer.backbones.backbone import Backbone
    from transfer.backbones.reference import BackboneReference

_RANDOM_SEED = 0  # of random weights: a candidate keeps them from its score to its fine-tuning


def candidate(reference: "BackboneReference", sha256: str | None) -> "tuple[Backbone, str | None]":
    """Return a candidate with its weights, and the sha256 of their file; None where they are random.

    Args:
        reference: what to build.
        sha256: recorded digest of the weights file, which it must still have; None where none was recorded.

    Raises:
        UserError: the weights are absent, are not the recorded ones, or do not fit the architecture.
    """
    from adapters.weights_files import load_weights
    from transfer.backbones.build import build_backbone

    weights = load_weights(reference, sha256)
    backbone = build_backbone(reference, weights.state_dict, seed=_RANDOM_SEED, weights_name=weights.name)
    return backbone, weights.sha256

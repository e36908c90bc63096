"""A candidate backbone: built in the same way to be ranked and to be fine-tuned."""

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transfer.backbones.backbone import Backbone
    from transfer.backbones.reference import BackboneReference


def candidate(reference: "BackboneReference", sha256: str | None) -> "tuple[Backbone, str | None]":
    """Return a candidate with its weights, and the sha256 of their file; None where they are random.

    Args:
        reference: what to build.
        sha256: recorded digest of the weights file, which it must still have; None where none was recorded.

    Raises:
        UserError: the weights are absent, are not the recorded ones, or do not fit the architecture.
    """
    from tasks.customs import admit

    admitted = admit(reference, sha256)
    return admitted.backbone, admitted.sha256


def random_candidate(reference: "BackboneReference", seed: int) -> "Backbone":
    """Return a candidate with random weights for the images it is ranked on.

    Args:
        reference: what to build.
        seed: of the weights.

    Raises:
        UserError: the architecture or an option does not fit, or there is no such registered model.
    """
    from adapters.registered_trunks import resolved
    from transfer.backbones.build import build_backbone

    exact, given = resolved(reference)
    backbone = build_backbone(exact, None, seed=seed)
    if given is not None:
        backbone.preprocess = replace(backbone.preprocess, mean=given.mean, std=given.std)
    return backbone

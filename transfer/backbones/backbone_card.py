"""A backbone's card: what it is, what it costs, what it wants to see, and where its weights come from."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from transfer.backbones.backbone import Backbone
from transfer.backbones.known_answers import KnownAnswer
from transfer.backbones.operations import n_operations
from transfer.backbones.provenance import Provenance
from transfer.records import Preprocess


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """What identifies weights.

    Args:
        path: of the file, where it is here; None for random weights, and for published ones that are not.
        sha256: hex digest of the file; None where there is no path.
        hash_prefix: hex digits that the publisher says the digest begins with; None where it says nothing.
    """

    path: str | None = None
    sha256: str | None = None
    hash_prefix: str | None = None


@dataclass(frozen=True, slots=True)
class BackboneCard:
    """What is known of a backbone.

    Args:
        reference: what a user writes.
        provenance: of its weights.
        file: that its weights are in.
        preprocess: what its images must look like.
        feature_dim: width of its features.
        n_parameters: of the trunk, without a head.
        macs: multiply-adds of the trunk for one image of `preprocess.crop_px`; convolutions and matrix products count.
        depth_groups: (name, parameters), shallow to deep.
        known_answer: what the weights give for the fixed input; None where nobody recorded it.
    """

    reference: str
    provenance: Provenance
    file: WeightsFile
    preprocess: Preprocess
    feature_dim: int
    n_parameters: int
    macs: int
    depth_groups: tuple[tuple[str, int], ...]
    known_answer: KnownAnswer | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return the card as JSON-able values."""
        return asdict(self)


def card_of(
    backbone: Backbone, provenance: Provenance, file: WeightsFile, known_answer: KnownAnswer | None = None
) -> BackboneCard:
    """Describe a backbone; what it costs is counted, no value of it is read.

    Args:
        backbone: with values or without, see `transfer.backbones.build.bare_backbone`.
        provenance: of its weights.
        file: that its weights are in.
        known_answer: of its weights.
    """
    side_px = backbone.preprocess.crop_px
    image = torch.empty(1, 3, side_px, side_px, device="meta")
    groups = tuple(
        (group.name, sum(parameter.numel() for parameter in backbone.group_parameters(group)))
        for group in backbone.depth_groups
    )
    return BackboneCard(
        backbone.reference,
        provenance,
        file,
        backbone.preprocess,
        backbone.feature_dim,
        backbone.n_parameters(),
        n_operations(backbone, image) // 2,
        groups,
        known_answer,
    )

"""A model's card: what its weights need to be used, written beside them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from transfer.backbones.backbone import Classifier
from transfer.backbones.heads import LINEAR, kind_of
from transfer.records import Preprocess


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a stored classifier says of itself.

    Args:
        reference: backbone reference; only its architecture and options matter for loading.
        classes: class names; logit i belongs to classes[i].
        preprocess: what the images must look like.
        feature_dim: width of the features.
        depth_groups: names, shallow to deep.
        n_parameters: of trunk and head.
        head: its kind, see `transfer.backbones.heads`.
    """

    reference: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    feature_dim: int
    depth_groups: tuple[str, ...]
    n_parameters: int
    head: str = LINEAR

    @classmethod
    def of(cls, classifier: Classifier, classes: tuple[str, ...]) -> "ModelCard":
        """Describe a classifier."""
        backbone = classifier.backbone
        return cls(
            backbone.reference,
            classes,
            backbone.preprocess,
            backbone.feature_dim,
            tuple(group.name for group in backbone.depth_groups),
            sum(parameter.numel() for parameter in classifier.parameters()),
            kind_of(classifier.head),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return the card as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "ModelCard":
        """Read what `to_plain` returned."""
        preprocess = values["preprocess"]
        return cls(
            values["reference"],
            tuple(values["classes"]),
            Preprocess(
                preprocess["resize_px"],
                preprocess["crop_px"],
                tuple(preprocess["mean"]),
                tuple(preprocess["std"]),
                preprocess.get("interpolation", "bilinear"),  # cards written before it was stored
            ),
            values["feature_dim"],
            tuple(values["depth_groups"]),
            values["n_parameters"],
            values.get("head", LINEAR),  # cards written when there was no other
        )

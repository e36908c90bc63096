"""A backbone: a trunk that turns a batch into features, its depth groups, its preprocessing; a classifier on top."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from transfer.records import Preprocess


@dataclass(frozen=True, slots=True)
class DepthGroup:
    """A contiguous run of a trunk's layers.

    Args:
        name: what a plan calls the group.
        prefixes: names of the modules (or of single parameters) that belong to it, as `named_modules` gives them.
    """

    name: str
    prefixes: tuple[str, ...]

    def holds(self, name: str) -> bool:
        """Say whether a parameter, buffer or module of the trunk belongs to the group."""
        return any(name == prefix or name.startswith(f"{prefix}.") for prefix in self.prefixes)


class Backbone(nn.Module):
    """A trunk and what its card says of it.

    Args:
        reference: the backbone reference it was built from.
        trunk: float (N, 3, H, W) -> float (N, feature_dim).
        feature_dim: width of the features.
        depth_groups: shallow to deep; every parameter and buffer of the trunk is in exactly one.
        preprocess: what its images must look like.
    """

    def __init__(
        self,
        reference: str,
        trunk: nn.Module,
        feature_dim: int,
        depth_groups: tuple[DepthGroup, ...],
        preprocess: Preprocess,
    ) -> None:
        super().__init__()
        self.reference = reference
        self.trunk = trunk
        self.feature_dim = feature_dim
        self.depth_groups = depth_groups
        self.preprocess = preprocess

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, feature_dim) of normalised images (N, 3, H, W)."""
        features: Tensor = self.trunk(images)
        return features

    def group_parameters(self, group: DepthGroup) -> Iterator[nn.Parameter]:
        """Yield the parameters of one depth group."""
        return (parameter for name, parameter in self.trunk.named_parameters() if group.holds(name))

    def group_modules(self, group: DepthGroup) -> Iterator[nn.Module]:
        """Yield the modules of one depth group, containers included."""
        return (module for name, module in self.trunk.named_modules() if group.holds(name))

    def n_parameters(self) -> int:
        """Return the number of parameters of the trunk."""
        return sum(parameter.numel() for parameter in self.trunk.parameters())


class Classifier(nn.Module):
    """A backbone with a head.

    Args:
        backbone: the trunk.
        n_classes: at least 2.
        head: features (N, feature_dim) -> logits (N, n_classes), see `transfer.backbones.heads`; a linear one that
            gives every class the same share when None.
    """

    def __init__(self, backbone: Backbone, n_classes: int, head: nn.Module | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.head: nn.Module = head or _undecided(backbone.feature_dim, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, n_classes) of normalised images (N, 3, H, W)."""
        logits: Tensor = self.head(self.backbone(images))
        return logits


def _undecided(feature_dim: int, n_classes: int) -> nn.Linear:
    head = nn.Linear(feature_dim, n_classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head

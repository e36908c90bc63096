"""What a source of architectures has to offer: trunks by name, with all that is known of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from transfer.backbones.backbone import DepthGroup
from transfer.backbones.reference import BackboneReference
from transfer.records import Preprocess

RANDOM, FILLED_LATER, SHAPES = "random", "filled later", "shapes alone"  # what the values of a new trunk are for


@dataclass(frozen=True, slots=True)
class Parts:
    """A trunk and what it is made of.

    Args:
        trunk: float (N, 3, H, W) -> float (N, feature_dim).
        feature_dim: width of the features.
        heads: names of the modules that the full architecture has behind the trunk.
        depth_groups: shallow to deep; every parameter and buffer is in exactly one.
    """

    trunk: nn.Module
    feature_dim: int
    heads: tuple[str, ...]
    depth_groups: tuple[DepthGroup, ...]


class Source(Protocol):
    """A module that knows architectures."""

    def documented(self, reference: BackboneReference) -> Preprocess:
        """Return what images look like to the weights of a reference, before any option of the user.

        Raises:
            UserError: the architecture or the name of published weights is unknown.
        """

    def parts_of(self, reference: BackboneReference, preprocess: Preprocess, seed: int, values: str) -> Parts:
        """Build a trunk.

        Args:
            reference: to one of its architectures.
            preprocess: of the images it will see, by which some architectures differ.
            seed: of random weights; the global random state is left as it was.
            values: what they are for, `RANDOM`, `FILLED_LATER` or `SHAPES`: with the latter two they may mean nothing,
                with the last they may have no memory.

        Raises:
            UserError: the architecture or an option is unknown, or does not suit such images.
        """

    def in_own_names(self, trunk: nn.Module, state_dict: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return a state dict of any origin under the names that the trunk has for its values.

        Args:
            trunk: what `parts_of` built.
            state_dict: returned as it is where there is nothing to translate.
        """


def triple(values: Iterable[float]) -> tuple[float, float, float]:
    """Return a value for each of red, green and blue."""
    first, second, third = (float(value) for value in values)
    return (first, second, third)


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, without a full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")

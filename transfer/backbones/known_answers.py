"""Known answers: a few numbers that weights give for a fixed input."""

from collections.abc import Mapping
from dataclasses import dataclass

TOLERANCE = 1e-3  # relative L2 distance: kernels of other processors differ by 1e-6, weights of another training by 1
N_VALUES = 4


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """What weights are known to give.

    Args:
        side_px: side of the input.
        values: `N_VALUES` numbers, see `transfer.backbones.answers.answer_of`.
    """

    side_px: int
    values: tuple[float, ...]


SHIPPED: Mapping[str, KnownAnswer] = {  # sha256 of shipped weights -> what `rootstock backbones show` says they answer
    "cfb126d0055da44548c977cba652acf552f9eed81d3aa39ece5876f4f7564aa9": KnownAnswer(
        32, (0.529827831098893, -0.10386089341180936, -0.10164648268068181, 0.017444256884738735)
    ),
}

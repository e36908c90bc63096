"""Find where a trunk last holds its image by places: maps or tokens that all it says passes through.

No layer is named. A forward pass is watched operation by operation, and each value inherits the resolution of what it
was computed from, so that a value counts as a grid of places only where its shape is one and nothing before it was
coarser: an attention matrix, a pooled vector that is spread out again and the channels of a squeeze are none. Of these
only those count that cut the graph of derivatives in two, so that no way from the image to the features leads around
them: not a branch, nor one of several depths that are pooled, but the value before they part. Grids of few places are
read only where there is no finer one, since a place of theirs is wider than what is to be found.

Which of the grids of that resolution tells where best is not known beforehand: attention and wide kernels mix places,
so that a late one stands for many, early ones know little of what things are, and a value before a normalisation weighs
places by a size that is divided away after it. So several are read, spread over the depth, and their maps are averaged.

Source: the last convolutional layer as the place to explain, Selvaraju et al. 2017, "Grad-CAM", arXiv:1610.02391,
section 3; a node that every way passes through, Prosser 1959, "Applications of Boolean matrices to the analysis of flow
diagrams" (a dominator).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from transfer.backbones.modes import evaluating
from transfer.errors import UserError

CHANNELS_FIRST, CHANNELS_LAST, TOKENS, TOKENS_LAST = "channels first", "channels last", "tokens", "tokens last"
_ENOUGH_A_SIDE = 7  # places; with fewer a place is wider than most objects, so that an earlier depth is read
_FEWEST_SIDE = 4  # places, where no depth has enough; fewer say nothing of where
_MOST_GRIDS = 5  # that are read; each costs as much as a map by one
_MOST_EXTRA = 8  # tokens in front that stand for no place: class, distillation, registers


@dataclass(frozen=True, slots=True)
class Grid:
    """A value that holds an image by places.

    Args:
        operation: which of the forward pass made it, counted from 0.
        made_by: what the operation is called.
        layout: one of the four above.
        side: places a side.
        n_extra: tokens in front that stand for no place.
        layer: the innermost module that made it, as `named_modules` of the trunk calls it; "" the trunk itself.
        shape: of the value of one image.
    """

    operation: int
    made_by: str
    layout: str
    side: int
    n_extra: int
    layer: str
    shape: tuple[int, ...]

    def by_place(self, value: Tensor) -> Tensor:
        """Return a value as (N, C, side, side)."""
        if self.layout == CHANNELS_FIRST:
            return value
        if self.layout == CHANNELS_LAST:
            return value.permute(0, 3, 1, 2)
        tokens = value if self.layout == TOKENS_LAST else value.transpose(1, 2)
        by_place: Tensor = tokens[:, :, self.n_extra :].unflatten(2, (self.side, self.side))
        return by_place

    def above_mean(self, value: Tensor) -> Tensor:
        """Return what each place holds above the mean of all places, shaped as the value; 0 for extra tokens."""
        above = torch.zeros_like(value)
        held = self.by_place(value)
        self.by_place(above).copy_(held - held.mean((2, 3), keepdim=True))
        return above


def grids_of(trunk: nn.Module, images: Tensor) -> tuple[Grid, ...]:
    """Return the grids that maps are read at: the coarsest of enough places that all a trunk says passes through.

    Args:
        trunk: float (N, 3, H, W) -> float (N, D).
        images: float (N, 3, S, S), normalised; two are enough.

    Returns:
        At most five of one resolution, of different modules, the deepest first; none where there is no grid, so that no
        derivative tells of places.
    """
    watch = _Watch(images.shape[0], images.shape[-1])
    with evaluating(trunk), torch.enable_grad(), _naming(trunk, watch):
        read = images.detach().clone().requires_grad_()
        watch.resolution[id(read)] = images.shape[-1]
        with watch:
            features = trunk(read)
        score = _score(features)
        image = read.view_as(read).grad_fn.next_functions[0][0]  # type: ignore[union-attr]  # where ways end
        found = _used(score, list(watch.found.values()))
        passed = [found[node] for node in found if not _leads_around(node, score, image)]
    return _spread(_coarsest(sorted(passed, key=lambda grid: -grid.operation)))


def _coarsest(deepest_first: Sequence[Grid]) -> list[Grid]:
    """Return the coarsest grids of enough places among those that every way passes through, the last of each module."""
    enough = [grid for grid in deepest_first if grid.side >= _ENOUGH_A_SIDE] or deepest_first
    last_of: dict[str, Grid] = {}
    for grid in enough:
        if grid.side == enough[0].side:
            last_of.setdefault(grid.layer, grid)
    return list(last_of.values())


def _spread(grids: Sequence[Grid]) -> tuple[Grid, ...]:
    """Return the deepest grid, the first one and some between."""
    if len(grids) <= _MOST_GRIDS:
        return tuple(grids)
    return tuple(grids[round(place * (len(grids) - 1) / (_MOST_GRIDS - 1))] for place in range(_MOST_GRIDS))


def run_from(trunk: nn.Module, grid: Grid, images: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
    """Run a trunk so that its features are a function of a grid alone: its value is a leaf that has derivatives.

    Args:
        trunk: in evaluation mode.
        grid: of this trunk, or of one of the same architecture.
        images: float (N, 3, S, S), normalised.
        share: how much of what each place holds above the mean of all places is left to it, in [0, 1].

    Returns:
        Features (N, D), and the value of the grid.

    Raises:
        UserError: the pass took another way than the one that the grids were found in.
    """
    replacing = _Replace(grid, share)
    with torch.enable_grad():
        read = images.detach().clone().requires_grad_()  # some modules compute otherwise where nothing has derivatives
        with replacing:
            features: Tensor = trunk(read)
    if replacing.leaf is None:
        raise UserError(
            "The network computes each time otherwise, so that no layer of it can be found again; "
            "set explain.method to occlusion, which needs none."
        )
    return features, replacing.leaf


class _Watch(TorchFunctionMode):
    """Note which operations make grids, and of which resolution every value is."""

    def __init__(self, n_images: int, side_px: int) -> None:
        super().__init__()
        self.n_images, self.side_px = n_images, side_px
        self.count = 0
        self.path: list[str] = [""]
        self.resolution: dict[int, int] = {}
        self.found: dict[int, tuple[Grid, Tensor]] = {}
        self._alive: list[Tensor] = []  # so that no id is given twice

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        operation, self.count = self.count, self.count + 1
        read = [self.resolution[id(one)] for one in _tensors(args, kwargs) if id(one) in self.resolution]
        if read:
            for one in _tensors((made,), None):
                self._note(one, max(read), (operation, _name(func)), is_whole=isinstance(made, Tensor))
        return made

    def _note(self, made: Tensor, finest: int, operation: tuple[int, str], *, is_whole: bool) -> None:
        self._alive.append(made)
        layout, side, n_extra = _layout(made.shape, self.n_images, finest)
        self.resolution[id(made)] = side
        self.found.pop(id(made), None)
        if layout and is_whole and side >= min(_FEWEST_SIDE, self.side_px) and made.requires_grad:
            grid = Grid(*operation, layout, side, n_extra, self.path[-1], tuple(made.shape[1:]))
            self.found[id(made)] = grid, made


class _Replace(TorchFunctionMode):
    """Make a leaf of the value of an operation."""

    def __init__(self, grid: Grid, share: float) -> None:
        super().__init__()
        self.grid, self.share = grid, share
        self.count = 0
        self.leaf: Tensor | None = None

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        operation, self.count = self.count, self.count + 1
        wanted = (self.grid.operation, self.grid.made_by, self.grid.shape)
        if not isinstance(made, Tensor) or (operation, _name(func), tuple(made.shape[1:])) != wanted:
            return made
        value = made.detach()
        if self.share < 1:
            value = value - (1 - self.share) * self.grid.above_mean(value)  # a mode is off within itself
        self.leaf = value.requires_grad_()
        return self.leaf.clone()  # what follows may change its input in place, which a leaf does not allow


def _layout(shape: torch.Size, n_images: int, finest: int) -> tuple[str, int, int]:
    """Return how a value holds places, how many a side, and how many extra tokens; "" where it holds none."""
    if len(shape) <= 1 or shape[0] != n_images:
        return "", finest, 0
    if len(shape) == 2:
        return "", 1, 0
    if len(shape) == 4:
        for layout, side, other in ((CHANNELS_FIRST, shape[2], shape[3]), (CHANNELS_LAST, shape[1], shape[2])):
            if side == other and side <= finest:
                return (layout if side > 1 else ""), side, 0
    if len(shape) == 3:
        return _of_tokens(shape, finest)
    return "", finest, 0


def _of_tokens(shape: torch.Size, finest: int) -> tuple[str, int, int]:
    axes = ((TOKENS, shape[1]), (TOKENS_LAST, shape[2]))
    for layout, length in axes:
        if finest > 1 and 0 <= length - finest * finest <= _MOST_EXTRA:
            return layout, finest, length - finest * finest
    for layout, length in axes:  # a network that joins neighbouring tokens
        if 1 < isqrt(length) < finest and isqrt(length) ** 2 == length:
            return layout, isqrt(length), 0
    return "", 1 if shape[1] == 1 else finest, 0


def _used(score: Tensor, found: Sequence[tuple[Grid, Tensor]]) -> dict[Any, Grid]:
    """Return the grids whose places the score depends on, by the operation that made them."""
    if not found:
        return {}
    values = [value for _, value in found]
    slopes = torch.autograd.grad(score, values, retain_graph=True, allow_unused=True)
    return {value.grad_fn: grid for (grid, value), slope in zip(found, slopes, strict=True) if _is_read(grid, slope)}


def _is_read(grid: Grid, slope: Tensor | None) -> bool:
    """Say whether anything depends on the places of a grid, by the derivative with respect to its value."""
    return slope is not None and bool(grid.by_place(slope).any())


def _score(features: Tensor) -> Tensor:
    """Return a number that depends on every feature, with weights of both signs: no symmetry cancels a derivative."""
    return (features * torch.linspace(-1, 2, features.shape[1]).to(features)).sum()


def _leads_around(node: Any, score: Tensor, image: Any) -> bool:
    """Say whether a way from the score to the image avoids a node."""
    seen, waiting = {node}, [score.grad_fn]
    while waiting:
        at = waiting.pop()
        if at is image:
            return True
        if at is not None and at not in seen:
            seen.add(at)
            waiting += [one for one, _ in at.next_functions]
    return False


@contextmanager
def _naming(trunk: nn.Module, watch: _Watch) -> Iterator[None]:
    """Let a watch know which module is at work."""
    hooks = []
    for name, module in trunk.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda _, __, name=name: watch.path.append(name)))
        hooks.append(module.register_forward_hook(lambda _, __, ___: _left(watch)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _name(func: Callable[..., Any]) -> str:
    return str(getattr(func, "__name__", func))


def _left(watch: _Watch) -> None:
    watch.path.pop()


def _tensors(args: Any, kwargs: Any) -> list[Tensor]:
    """Return the tensors among arguments, those in lists and tuples included."""
    flat: list[Any] = []
    for one in (*args, *(kwargs or {}).values()):
        flat += one if isinstance(one, list | tuple) else [one]
    return [one for one in flat if isinstance(one, Tensor)]

"""Rows that cost time to compute, kept by the project: computed once, read from then on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.row_cache import open_cache

if TYPE_CHECKING:
    from torch import Tensor


def kept_rows(
    recipe: Mapping[str, Any], keys: Sequence[str], compute: "Callable[[Sequence[int]], Iterable[Tensor]]"
) -> "Tensor":
    """Return row i for `keys[i]` from the cache of the project in the working directory, computing what it lacks.

    Says so where what was computed cannot be kept.

    Args:
        recipe: JSON-able facts that the values depend on beside the keys.
        keys: sha256 of the images' contents.
        compute: as `adapters.row_cache.RowCache.rows` calls it.

    Returns:
        (len(keys), *shape), on the CPU.

    Raises:
        UserError: the size that the environment allows the cache is no number from 0 on.
    """
    cache = open_cache(Path.cwd())
    rows = cache.rows(recipe, keys, compute)
    if cache.note:
        print(f"Note: {cache.note}")
    return rows

"""What an earlier version of the data was like: a small file beside the user's suites, to compare today's with."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import read_plain_json, write_plain_json
from adapters.suite_folder import PREVIOUS
from transfer.data.drift import Profile, profile_of_names, profile_of_numbers
from transfer.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_VERSION = 1
NUMBERS = ("width_px", "height_px", "aspect_ratio", "n_bytes", "brightness", "contrast", "sharpness")
NAMES = ("mode", "format", "class_name")


@dataclass(frozen=True, slots=True)
class PreviousData:
    """An earlier version of the data.

    Args:
        path: of the data set.
        data_digest: md5 that DVC had for it.
        n_images: that could be read.
        columns: what each was like.
    """

    path: str
    data_digest: str
    n_images: int
    columns: Mapping[str, Profile]


def described(readable: "pd.DataFrame", path: str, data_digest: str) -> PreviousData:
    """Return what a version is like.

    Args:
        readable: its rows that decode, with the columns that are compared; a column that it lacks is not.
        path: of the data set.
        data_digest: md5 that DVC has for it.
    """
    columns: dict[str, Profile] = {}
    for name in (*NUMBERS, *NAMES):
        if name in readable:
            values = readable[name].dropna()
            if len(values):
                found = [str(value) for value in values]
                columns[name] = profile_of_names(found) if name in NAMES else profile_of_numbers(values.to_numpy(float))
    return PreviousData(path, data_digest, len(readable), columns)


def write_previous(project: Path, data: PreviousData) -> None:
    """Keep what a version is like, for the versions after it."""
    columns = {
        name: {"edges": one.edges, "counts": one.counts, "quantiles": one.quantiles}
        for name, one in data.columns.items()
    }
    content = {
        "version": _VERSION, "path": data.path, "data": data.data_digest, "n_images": data.n_images, "columns": columns
    }  # fmt: skip
    write_plain_json(project / PREVIOUS, content)


def read_previous(data_path: str, project: Path = Path()) -> PreviousData | None:
    """Return the earlier version of a data set; None where none was kept, or that of another data set.

    Args:
        data_path: of the data set.
        project: the project's folder.

    Raises:
        UserError: the file is not as `write_previous` leaves it.
    """
    path = project / PREVIOUS
    if not path.is_file():
        return None
    try:
        content = read_plain_json(path)
        columns = {name: _profile(name, column) for name, column in content["columns"].items()}
        known = content["version"] == _VERSION and int(content["n_images"]) > 0 and columns
        found = PreviousData(str(content["path"]), str(content["data"]), int(content["n_images"]), columns)
    except (UserError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _damaged() from error
    if not known:
        raise _damaged()
    return found if found.path == data_path else None


def _profile(name: str, column: Mapping[str, Any]) -> Profile:
    """Read a column's profile, and refuse what no version can have been."""
    counts, quantiles = column["counts"], tuple(float(value) for value in column["quantiles"])
    if name in NAMES:
        named = {str(key): int(count) for key, count in counts.items()}
        found, all_counts, fits = Profile(None, named, quantiles), list(named.values()), column["edges"] is None
    elif name in NUMBERS:
        edges, binned = tuple(float(edge) for edge in column["edges"]), tuple(int(count) for count in counts)
        ascending = all(low < high for low, high in pairwise(edges))
        found, all_counts = Profile(edges, binned, quantiles), list(binned)
        fits = ascending and len(binned) == len(edges) + 1
    else:
        raise ValueError(name)
    if not fits or min(all_counts) < 0 or sum(all_counts) == 0:
        raise ValueError(name)
    return found


def _damaged() -> UserError:
    return UserError(
        f"{PREVIOUS} is not as `rootstock run` wrote it; restore it (`git checkout {PREVIOUS}`) or remove it."
    )

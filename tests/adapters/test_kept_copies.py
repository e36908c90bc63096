"""What comparing images told is kept a data set, and sought again where it is damaged; nothing in it is trusted."""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from adapters import kept_copies
from adapters.kept_copies import copies_of
from transfer.data.near_duplicates import Found, Known, NearDuplicate, near_duplicates

RECIPE = {"kind": "copies", "code": "a"}
DATA = Path("data/photos")
_BODY = 8 + 32  # magic and digest come before


@cache
def _images() -> np.ndarray:
    small = np.random.default_rng(0).normal(size=(40, 4, 4))
    images = np.clip(128 + 50 * small.repeat(8, 1).repeat(8, 2), 0, 255).astype(np.uint8)
    images[30] = images[3][:, ::-1]
    images[31] = 7
    return images


@cache
def _fresh(begin: int = 0, end: int = 40) -> Found:
    return near_duplicates(_images()[begin:end])


class Seeker:
    """Remembers what it is given; a search without knowledge of the same images is made once for all tests."""

    def __init__(self, begin: int = 0, end: int = 40) -> None:
        self.range = (begin, end)
        self.given: list[Known | None] = []

    def __call__(self, known: Known | None) -> Found:
        self.given.append(known)
        return near_duplicates(_images()[slice(*self.range)], known) if known else _fresh(*self.range)


def _kept(project: Path) -> Path:
    (path,) = (project / ".rootstock" / kept_copies.FOLDER).iterdir()
    return path


def _arrays(known: Known) -> list[np.ndarray]:
    near = known.neighbours
    lists = (near.digests, near.codes, near.complete, near.counts, near.others, near.scores)
    return [*lists, known.first, known.second, known.coarse, known.fine]


def test_what_is_kept_comes_back_as_it_was_and_is_used(project: Path) -> None:
    seek = Seeker()
    found = [copies_of(project, DATA, RECIPE, seek) for _ in range(2)]
    assert NearDuplicate(3, 30, 0.0) in found[0]
    assert found[0] == found[1] == _fresh().pairs
    before, after = seek.given
    assert before is None
    assert after is not None
    for one, other in zip(_arrays(after), _arrays(_fresh().known), strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other, equal_nan=one.dtype == np.float32)


def test_other_images_are_found_with_what_is_known_and_kept_in_its_place(project: Path) -> None:
    copies_of(project, DATA, RECIPE, Seeker(end=35))
    seek, later = Seeker(2), Seeker(2)
    assert copies_of(project, DATA, RECIPE, seek) == _fresh(2).pairs
    written = _kept(project).stat().st_ino
    copies_of(project, DATA, RECIPE, later)
    assert later.given[0] is not None
    assert len(later.given[0].neighbours.digests) == len(np.unique(_images()[2:], axis=0))
    assert _kept(project).stat().st_ino == written


def test_no_images_are_kept_like_any_others(project: Path) -> None:
    for n_images in (0, 1, 2):
        seek = Seeker(end=n_images)
        assert [copies_of(project, DATA, RECIPE, seek) for _ in range(2)] == [(), ()]
        assert seek.given[1] is not None


@pytest.mark.parametrize("change", ["folder", "code"])
def test_another_folder_or_another_way_begins_anew(project: Path, change: str) -> None:
    copies_of(project, DATA, RECIPE, Seeker())
    seek = Seeker()
    recipe = {**RECIPE, "code": "b"} if change == "code" else RECIPE
    copies_of(project, Path("data/others") if change == "folder" else DATA, recipe, seek)
    assert seek.given == [None]
    assert len(list((project / ".rootstock" / kept_copies.FOLDER).iterdir())) == 2


def _assert_sought_again(project: Path, path: Path, whole: bytes) -> None:
    seek = Seeker()
    assert copies_of(project, DATA, RECIPE, seek) == _fresh().pairs
    assert seek.given == [None]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("at", [0, 7, 8, 39, 40, 400, -1])
def test_a_changed_byte_is_noticed_and_mended(project: Path, at: int) -> None:
    copies_of(project, DATA, RECIPE, Seeker())
    path = _kept(project)
    whole = path.read_bytes()
    content = bytearray(whole)
    content[at] ^= 1
    path.write_bytes(content)
    _assert_sought_again(project, path, whole)


@pytest.mark.parametrize("n_bytes", [0, 5, 40, 300])
def test_a_cut_file_is_noticed_and_mended(project: Path, n_bytes: int) -> None:
    copies_of(project, DATA, RECIPE, Seeker())
    path = _kept(project)
    whole = path.read_bytes()
    path.write_bytes(whole[:n_bytes])
    _assert_sought_again(project, path, whole)


def _null(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([None, *column.to_pylist()[1:]], column.type)


FORGED = {
    "no column": lambda table: table.drop(["scores"]),
    "a gap in lists": lambda table: table.set_column(3, "others", _null(table["others"])),
    "a gap in digests": lambda table: table.set_column(0, "digest", _null(table["digest"])),
    "a gap in flags": lambda table: table.set_column(2, "complete", _null(table["complete"])),
    "texts for flags": lambda table: table.set_column(2, "complete", pa.array(["x"] * len(table))),
    "texts for lists": lambda table: table.set_column(3, "others", pa.array(["x"] * len(table))),
    "lists of texts": lambda table: table.set_column(6, "coarse", table["coarse"].cast(pa.list_(pa.string()))),
    "short codes": lambda table: table.set_column(1, "code", pa.array([b"x"] * len(table), pa.binary(1))),
    "strangers": lambda table: table.set_column(3, "others", pa.array([[9999] * len(x) for x in table["others"]])),
    "other lengths": lambda table: table.set_column(6, "coarse", pa.array([[]] * len(table), pa.list_(pa.float32()))),
    "no rows": lambda table: table.slice(0, 0).drop(["fine"]),
    "rows away": lambda table: table.slice(0, 20),
    "another order": lambda table: table.take(list(range(len(table)))[::-1]),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_table_of_another_kind_is_not_used_though_its_digest_is_right(project: Path, forged: str) -> None:
    copies_of(project, DATA, RECIPE, Seeker())
    path = _kept(project)
    whole = path.read_bytes()
    table = FORGED[forged](parquet.read_table(pa.BufferReader(whole[_BODY:])))
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    body = bytes(sink.getvalue())
    path.write_bytes(whole[:8] + hashlib.sha256(body).digest() + body)
    _assert_sought_again(project, path, whole)


def test_a_folder_in_its_place_costs_comparing_and_no_run(project: Path) -> None:
    copies_of(project, DATA, RECIPE, Seeker())
    path = _kept(project)
    path.unlink()
    path.mkdir()
    seek = Seeker()
    assert copies_of(project, DATA, RECIPE, seek) == _fresh().pairs
    assert seek.given == [None]


@pytest.mark.parametrize("nothing", ["0", "0.00"])
def test_nothing_is_kept_where_nothing_is_to_be(project: Path, monkeypatch: pytest.MonkeyPatch, nothing: str) -> None:
    copies_of(project, DATA, RECIPE, Seeker())
    written = _kept(project).stat().st_mtime_ns
    monkeypatch.setenv("ROOTSTOCK_CACHE_GB", nothing)
    seek = Seeker(1)
    assert copies_of(project, DATA, RECIPE, seek) == _fresh(1).pairs
    assert seek.given == [None]
    assert _kept(project).stat().st_mtime_ns == written


def test_only_the_newest_are_kept(project: Path) -> None:
    for number in range(10):
        copies_of(project, Path(f"data/{number}"), RECIPE, Seeker(end=3))
    assert len(list((project / ".rootstock" / kept_copies.FOLDER).iterdir())) == 8


def test_what_is_used_is_kept_though_it_does_not_change(project: Path) -> None:
    seek = Seeker(end=3)
    for number in range(20):
        copies_of(project, Path(f"data/{number}"), RECIPE, Seeker(end=3))
        copies_of(project, DATA, RECIPE, seek)
    assert seek.given.count(None) == 1

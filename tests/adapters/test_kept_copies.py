"""Images are compared once: what was found is kept for the very same images, and sought again where it is damaged."""

from pathlib import Path

import pytest

from adapters import kept_copies
from adapters.kept_copies import copies_of
from transfer.data.near_duplicates import NearDuplicate

FOUND = (NearDuplicate(0, 3, 0.0), NearDuplicate(1, 2, 0.0213))
RECIPE = {"kind": "copies", "code": "a"}


class Seeker:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.n_asked = 0

    def __call__(self) -> tuple[NearDuplicate, ...]:
        self.n_asked += 1
        return FOUND


def test_the_same_images_are_compared_once(project: Path) -> None:
    seek = Seeker()
    assert [copies_of(project, RECIPE, b"images", seek) for _ in range(3)] == [FOUND] * 3
    assert seek.n_asked == 1


@pytest.mark.parametrize("change", ["images", "code"])
def test_other_images_or_another_way_are_compared_anew(project: Path, change: str) -> None:
    seek = Seeker()
    copies_of(project, RECIPE, b"images", seek)
    recipe = {**RECIPE, "code": "b"} if change == "code" else RECIPE
    copies_of(project, recipe, b"other" if change == "images" else b"images", seek)
    assert seek.n_asked == 2


@pytest.mark.parametrize(
    ("old", "new"), [("0.0213", "0.0214"), ("0.0213", '"x"'), ('"copies"', '"others"'), ("{", ""), ("3,", "")]
)
def test_what_is_damaged_is_sought_again_and_mended(project: Path, old: str, new: str) -> None:
    seek = Seeker()
    copies_of(project, RECIPE, b"images", seek)
    (kept,) = (project / ".rootstock" / kept_copies.FOLDER).iterdir()
    whole = kept.read_text(encoding="utf-8")
    assert old in whole
    kept.write_text(whole.replace(old, new, 1), encoding="utf-8")
    assert copies_of(project, RECIPE, b"images", seek) == FOUND
    assert seek.n_asked == 2
    assert kept.read_text(encoding="utf-8") == whole


@pytest.mark.parametrize("nothing", ["0", "0.00"])
def test_nothing_is_kept_where_nothing_is_to_be(project: Path, monkeypatch: pytest.MonkeyPatch, nothing: str) -> None:
    monkeypatch.setenv("ROOTSTOCK_CACHE_GB", nothing)
    seek = Seeker()
    assert [copies_of(project, RECIPE, b"images", seek) for _ in range(2)] == [FOUND] * 2
    assert seek.n_asked == 2
    assert not (project / ".rootstock" / kept_copies.FOLDER).exists()


def test_only_the_newest_are_kept(project: Path) -> None:
    seek = Seeker()
    for number in range(12):
        copies_of(project, RECIPE, str(number).encode(), seek)
    assert len(list((project / ".rootstock" / kept_copies.FOLDER).iterdir())) == 8

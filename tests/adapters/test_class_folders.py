"""Links among class folders: DVC does not look behind them, so what it would miss is refused."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import dvc_commands
from adapters.class_folders import Listing, list_class_folders
from transfer.errors import UserError


def _fill(*folders: Path) -> None:
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(b"as it was")


def _list(folder: Path) -> Listing:
    return list_class_folders(folder, {".png"})


@pytest.mark.parametrize(
    ("folders", "link"),
    [
        (("a", "b"), "c"),
        (("b",), "a"),
        (("test/a", "test/b"), "train"),
        (("train/a", "train/b", "test/a"), "test/b"),
        (("train/a",), "train/b"),
    ],
)
def test_a_class_or_split_folder_that_is_a_link_is_refused(tmp_path: Path, folders: tuple[str, ...], link: str) -> None:
    data_path, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    _fill(*(data_path / name for name in folders), elsewhere / "a", elsewhere / "b")
    (data_path / link).symlink_to(elsewhere)
    with pytest.raises(
        UserError, match=rf"{data_path / link} is a link to a folder, .*; put the folder itself there, or"
    ):
        _list(data_path)


def test_dvc_notices_changes_in_what_is_listed_and_misses_those_in_what_is_refused(project: Path) -> None:
    photos, whole, apart = project.parent / "photos", project / "data/whole", project / "data/apart"
    _fill(photos / "a", photos / "b")
    apart.mkdir(parents=True)
    whole.symlink_to(photos)
    for name in ("a", "b"):
        (apart / name).symlink_to(photos / name)
    stages = "".join(f"  {one.name}: {{cmd: 'true', deps: [data/{one.name}]}}\n" for one in (whole, apart))
    (project / "dvc.yaml").write_text(f"stages:\n{stages}")
    subprocess.run((sys.executable, "-m", "dvc", "repro", "-q"), cwd=project, check=True)
    (photos / "a" / "1.png").write_bytes(b"changed")
    assert set(dvc_commands.status(project)) == {"whole"}
    assert _list(whole).classes == ("a", "b")
    with pytest.raises(UserError, match="is a link"):
        _list(apart)


@pytest.fixture
def deep() -> Iterator[Path]:
    """Return a folder in which folders lie in folders, 1100 of them; pytest's own could not be removed."""
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept) / "photos"
        _fill(folder / "a", folder / "b")
        here = os.open(folder / "a", os.O_RDONLY)
        try:
            for _ in range(1100):
                os.mkdir("d", dir_fd=here)
                below = os.open("d", os.O_RDONLY, dir_fd=here)
                os.close(here)
                here = below
            os.close(os.open("2.png", os.O_CREAT | os.O_WRONLY, dir_fd=here))
            yield folder
        finally:
            os.close(here)
            subprocess.run(("rm", "-r", folder), check=True)


def test_folders_may_be_nested_deeper_than_python_may_call(deep: Path) -> None:
    assert [len(file.path) for file in _list(deep).files] == [7, 7 + 2200, 7]


@pytest.mark.parametrize("name", ["a.PNG", "a.b.png", "a..png", "a.png.", "noextension", "a.", "a .png", "a.p ng"])
def test_an_extension_is_what_pathlib_says(name: str, tmp_path: Path) -> None:
    _fill(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a" / name).write_bytes(b"x")
    suffix = Path(name).suffix.lower()
    listing = _list(tmp_path)
    assert (f"a/{name}" in [file.path for file in listing.files]) == (suffix == ".png")
    assert listing.ignored == ({} if suffix == ".png" else {suffix: 1})

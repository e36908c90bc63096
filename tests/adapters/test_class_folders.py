"""Links among class folders: DVC does not look behind them, so what it would miss is refused."""

import subprocess
import sys
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

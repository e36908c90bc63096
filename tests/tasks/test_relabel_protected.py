"""Decisions on labels in tables that cannot be applied, or should not be: the table stays as it is."""

import os
from pathlib import Path

import pytest

from tasks.relabel import relabel
from tests.tasks.described_photos import DATA, SAID, decided, describe, files_now, rows_of, write_csv
from tests.tasks.refused_relabelling import refuse
from transfer.errors import UserError


@pytest.fixture
def untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave DVC out, whose part has tests of its own and takes seconds."""
    monkeypatch.setattr("tasks.data_source.track", lambda *_: "")


@pytest.mark.parametrize(
    ("decisions", "words"),
    [
        (
            {"images/0.png": "relabel:dog"},
            r"Line 3: there is no class 'dog' \(ant, bee, cat\); .* or give it to an image",
        ),
        ({"images/9.png": "relabel:bee"}, r"'images/9.png' is a test image, whose labels are sealed"),
        ({"images/6.png": "remove"}, r"would leave class 'ant' of val without an image; keep some, or remove its rows"),
    ],
)
def test_what_cannot_be_applied_changes_no_table(project: Path, decisions: dict[str, str], words: str) -> None:
    write_csv(rows_of())
    describe(**SAID)
    before = files_now()
    table = decided({"images/1.png": "remove", **decisions})
    refuse(project, table, words)
    assert files_now() == before


@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("state", ["gone", "link", "read-only", "labels edited"])
def test_a_table_that_should_not_change_is_refused(project: Path, state: str) -> None:
    write_csv(rows_of())
    describe(**SAID)
    table, path = decided({"images/0.png": "relabel:bee"}), DATA / "labels.csv"
    words = {
        "gone": r"'images/0.png' is named in a table, but its file is gone",
        "link": r"labels\.csv is a link to .*/elsewhere\.csv, or behind one, where other data sets may use it",
        "read-only": r"labels\.csv is read-only; make it writable with `chmod u\+w` if its labels may change",
        "labels edited": r"'images/0.png' is labelled 'cat', not 'ant' as the table says",
    }
    if state == "gone":
        (DATA / "images/0.png").unlink()
    elif state == "link":
        path.rename("elsewhere.csv")
        path.symlink_to(Path("elsewhere.csv").absolute())
    elif state == "read-only":
        path.chmod(0o444)
    else:
        path.write_bytes(path.read_bytes().replace(b"0.png;ant", b"0.png;cat"))
    content = path.read_bytes()
    refuse(project, table, words[state])
    assert path.read_bytes() == content
    assert path.is_symlink() is (state == "link")


@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("link", ["symlink", "hardlink"])
def test_a_link_into_the_cache_of_dvc_is_replaced_and_the_cache_stays(project: Path, link: str) -> None:
    content = write_csv(rows_of())
    describe(**SAID)
    path, stored = DATA / "labels.csv", Path(".dvc/cache/files/md5/ab/cdef").absolute()
    stored.parent.mkdir(parents=True)
    path.rename(stored)
    stored.chmod(0o444)
    if link == "symlink":
        path.symlink_to(stored)
    else:
        os.link(stored, path)
    relabel(decided({"images/0.png": "relabel:bee"}), undo=False)
    assert stored.read_bytes() == content
    assert not path.is_symlink()
    assert path.read_bytes() == content.replace(b"0.png;ant", b"0.png;bee")


@pytest.mark.usefixtures("untracked")
def test_a_table_that_was_edited_since_is_not_taken_back(project: Path) -> None:
    write_csv(rows_of())
    describe(**SAID)
    relabel(decided({"images/0.png": "relabel:bee"}), undo=False)
    path = DATA / "labels.csv"
    path.write_bytes(path.read_bytes().replace(b"1.png;bee", b"1.png;cat"))
    before = files_now()
    with pytest.raises(
        UserError, match=r"Relabelling 1 cannot be taken back: .*labels\.csv is gone or has changed since"
    ):
        relabel(None, undo=True)
    assert files_now() == before

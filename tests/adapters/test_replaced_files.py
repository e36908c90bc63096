"""A table is the former or the new one at any time, and what was edited by others is left alone."""

import os
import tempfile
from pathlib import Path

import pytest

from adapters import relabelling
from adapters.json_files import sha256_of
from adapters.relabelling import APPLIED, UNDONE, Journal
from adapters.replaced_files import prepare, put
from adapters.table_text import TableEdit
from transfer.errors import EnvironmentFault, UserError

BEFORE, AFTER = b"path,label\na.png,x\nb.png,y\n", b"path,label\na.png,y\nb.png,y\n"


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Begin to change a label in a table."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".rootstock").mkdir()
    (tmp_path / "photos").mkdir()
    _table().write_bytes(BEFORE)
    return relabelling.begin(tmp_path, "photos", [], [TableEdit("t.csv", sha256_of(_table()), "label", {0: 1})])


def _table() -> Path:
    return Path("photos/t.csv")


def test_a_table_changes_and_gets_its_former_bytes_and_rights_back(begun: Journal, tmp_path: Path) -> None:
    assert _table().read_bytes() == BEFORE
    _table().chmod(0o640)
    relabelling.carry_out(tmp_path, begun)
    relabelling.end(begun, APPLIED)
    assert (_table().read_bytes(), _table().stat().st_mode & 0o777) == (AFTER, 0o640)
    (applied,) = relabelling.journals(tmp_path)
    assert [one.path for one in applied.replaced] == ["t.csv"]
    relabelling.take_back(tmp_path, applied)
    relabelling.end(applied, UNDONE)
    assert (_table().read_bytes(), _table().stat().st_mode & 0o777) == (BEFORE, 0o640)
    assert [path.name for path in Path("photos").iterdir()] == ["t.csv"]
    assert [path.name for path in applied.folder.iterdir()] == ["journal.json"]


def test_what_a_kill_left_of_a_copy_is_written_anew(begun: Journal, tmp_path: Path) -> None:
    half = Path("photos/.t.csv.relabel")
    half.write_bytes(BEFORE[:9])
    relabelling.carry_out(tmp_path, begun)
    assert (_table().read_bytes(), half.exists()) == (AFTER, False)
    half.write_bytes(BEFORE[:9])
    relabelling.carry_out(tmp_path, begun)
    assert not half.exists()


def test_what_a_kill_left_of_a_read_only_copy_is_in_nobodys_way() -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        data, kept = Path(folder) / "photos", Path(folder) / "journal"
        for one in (data, kept):
            one.mkdir()
        (data / "t.csv").write_bytes(BEFORE)
        replaced = prepare(data, kept, [TableEdit("t.csv", sha256_of(data / "t.csv"), "label", {0: 1})])
        (data / ".t.csv.relabel").write_bytes(AFTER)
        for one in (data / "t.csv", data / ".t.csv.relabel"):
            one.chmod(0o444)  # as DVC's links are
        if user == 0:  # root may write everywhere
            for one in (Path(folder), *Path(folder).rglob("*")):
                os.chown(one, 65_534, -1)
            os.seteuid(65_534)
        try:
            put(data, kept, replaced, back=False)
        finally:
            os.seteuid(user)
        assert (data / "t.csv").read_bytes() == AFTER


@pytest.mark.parametrize("back", [False, True])
def test_a_table_that_was_edited_in_between_is_not_overwritten(begun: Journal, tmp_path: Path, back: bool) -> None:
    edited = BEFORE.replace(b"b.png,y", b"b.png,x")
    _table().write_bytes(edited)
    with pytest.raises(EnvironmentFault, match=r"t\.csv cannot be changed \(it is neither what it was nor") as refused:
        (relabelling.take_back if back else relabelling.carry_out)(tmp_path, begun)
    assert _table().read_bytes() == edited
    kept = Path(str(refused.value).rpartition(" is kept in ")[2].rstrip("."))
    assert kept.read_bytes() == BEFORE


def test_a_kept_table_that_is_damaged_is_not_put_back(begun: Journal, tmp_path: Path) -> None:
    relabelling.carry_out(tmp_path, begun)
    (begun.folder / "before/000000.csv").write_bytes(b"")
    with pytest.raises(EnvironmentFault, match=r"before/000000\.csv is damaged"):
        relabelling.take_back(tmp_path, begun)
    assert _table().read_bytes() == AFTER


def test_where_the_former_table_is_gone_taking_back_is_not_begun(begun: Journal, tmp_path: Path) -> None:
    relabelling.carry_out(tmp_path, begun)
    relabelling.end(begun, APPLIED)
    (applied,) = relabelling.journals(tmp_path)
    (begun.folder / "before/000000.csv").unlink()
    with pytest.raises(UserError, match=r"before/000000\.csv, which kept what it was, is gone or damaged; change the"):
        relabelling.take_back(tmp_path, applied)
    assert _table().read_bytes() == AFTER
    relabelling.refuse_if_cut_off(tmp_path)


def test_copies_of_a_table_are_for_those_who_may_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".rootstock").mkdir()
    (tmp_path / "photos").mkdir()
    _table().write_bytes(BEFORE)
    _table().chmod(0o600)
    edit = TableEdit("t.csv", sha256_of(_table()), "label", {0: 1})
    begun = relabelling.begin(tmp_path, "photos", [], [edit])
    kept = [path for name in ("before", "after") for path in (begun.folder / name).iterdir()]
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600, 0o600]


def test_a_table_that_is_gone_is_told(begun: Journal, tmp_path: Path) -> None:
    relabelling.carry_out(tmp_path, begun)
    relabelling.end(begun, APPLIED)
    _table().unlink()
    (applied,) = relabelling.journals(tmp_path)
    with pytest.raises(UserError, match=r"Relabelling 1 cannot be taken back: .*t\.csv is gone or has changed since"):
        relabelling.take_back(tmp_path, applied)
    relabelling.refuse_if_cut_off(tmp_path)


def test_a_change_that_cannot_be_prepared_leaves_nothing(begun: Journal, tmp_path: Path) -> None:
    relabelling.carry_out(tmp_path, begun)
    relabelling.end(begun, APPLIED)
    with pytest.raises(UserError, match=r"has changed while it was read"):
        relabelling.begin(tmp_path, "photos", [], [TableEdit("t.csv", "0" * 64, "label", {0: 1})])
    assert [one.number for one in relabelling.journals(tmp_path)] == [1]
    assert [path.name for path in begun.folder.parent.iterdir()] == ["0001"]


def test_a_journal_of_moves_alone_is_read_as_before(begun: Journal, tmp_path: Path) -> None:
    text = '{"state": "applied", "data_path": "photos", "moves": [{"source": "a/0.png", "target": "", "sha256": "00"}]}'
    (begun.folder / "journal.json").write_text(text)
    (found,) = relabelling.journals(tmp_path)
    assert [(one.path, one.new_class) for one in found.decided] == [("a/0.png", "")]
    assert found.replaced == ()


def test_where_nothing_can_be_kept_nothing_is_begun(begun: Journal, tmp_path: Path) -> None:
    relabelling.take_back(tmp_path, begun)
    relabelling.end(begun, UNDONE)
    (begun.folder.parent / "0002").write_text("a file where the folder would be")
    edit = TableEdit("t.csv", sha256_of(_table()), "label", {0: 1})
    with pytest.raises(EnvironmentFault, match=r"relabel/0002 cannot hold the former and the new table .*nothing has"):
        relabelling.begin(tmp_path, "photos", [], [edit])
    assert _table().read_bytes() == BEFORE
    relabelling.refuse_if_cut_off(tmp_path)

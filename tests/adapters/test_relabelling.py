"""Files change places all together: wherever a kill strikes, what was begun is finished or taken back."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import relabelling
from adapters.json_files import sha256_of
from adapters.relabelling import APPLIED, UNDONE, Journal, Move
from transfer.errors import EnvironmentFault, UserError

SLOW = """
import sys, time
from pathlib import Path
from adapters import relabelling
moved = relabelling._move
def slowly(*arguments):
    moved(*arguments)
    print("moved", flush=True)
    time.sleep(0.05)
relabelling._move = slowly
relabelling.carry_out(Path("."), relabelling.cut_off(Path(".")))
"""


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a", "b"):
        for place in range(4):
            path = tmp_path / "photos" / name / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{name}{place}".encode())
    (tmp_path / ".rootstock").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _state(project: Path) -> dict[str, str]:
    return {str(path.relative_to(project)): path.read_text() for path in (project / "photos").rglob("*.png")}


def _moves(project: Path) -> list[Move]:
    wanted = {"a/0.png": "b/0-from-a.png", "a/1.png": "", "b/2.png": "a/2-from-b.png", "b/3.png": ""}
    return [Move(old, new, sha256_of(project / "photos" / old)) for old, new in wanted.items()]


def _after(state: dict[str, str]) -> dict[str, str]:
    left = {name: text for name, text in state.items() if text not in ("a0", "a1", "b2", "b3")}
    return left | {"photos/b/0-from-a.png": "a0", "photos/a/2-from-b.png": "b2"}


def test_files_move_and_come_back(photos: Path) -> None:
    before = _state(photos)
    journal = relabelling.begin(photos, "photos", _moves(photos))
    assert _state(photos) == before
    relabelling.carry_out(photos, journal)
    relabelling.end(journal, APPLIED)
    assert _state(photos) == _after(before)
    assert relabelling.cut_off(photos) is None
    relabelling.take_back(photos, journal)
    relabelling.end(journal, UNDONE)
    assert _state(photos) == before
    assert [one.state for one in relabelling.journals(photos)] == [UNDONE]


def test_a_file_that_stays_where_it_is_is_not_lost(photos: Path) -> None:
    before = _state(photos)
    move = Move("a/0.png", "a/0.png", sha256_of(photos / "photos/a/0.png"))
    journal = relabelling.begin(photos, "photos", [move])
    relabelling.carry_out(photos, journal)
    relabelling.take_back(photos, journal)
    assert _state(photos) == before


@pytest.mark.parametrize("n_moved", range(5))
@pytest.mark.parametrize("ending", [relabelling.carry_out, relabelling.take_back])
def test_wherever_it_was_cut_off_it_is_finished_or_taken_back(
    photos: Path, n_moved: int, ending: Callable[[Path, Journal], None]
) -> None:
    before = _state(photos)
    begun = relabelling.begin(photos, "photos", _moves(photos))
    for place, move in enumerate(begun.moves[:n_moved]):
        target = photos / "photos" / move.target if move.target else begun.folder / "removed" / f"{place:06d}"
        target.parent.mkdir(exist_ok=True)
        (photos / "photos" / move.source).rename(target)
    with pytest.raises(
        UserError, match=r"Relabelling 1 of photos was cut off in between; run `rootstock data relabel`"
    ):
        relabelling.refuse_if_cut_off(photos)
    found = relabelling.cut_off(photos)
    assert found == begun
    for _ in range(2):  # and once more, as if that had been cut off at its end
        ending(photos, found)
    assert _state(photos) == (_after(before) if ending is relabelling.carry_out else before)


def test_killed_in_between_it_is_finished(photos: Path, root: Path) -> None:
    before = _state(photos)
    relabelling.begin(photos, "photos", _moves(photos))
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen([sys.executable, "-c", SLOW], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "moved\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert _state(photos) not in (before, _after(before))
    found = relabelling.cut_off(photos)
    assert found is not None
    relabelling.carry_out(photos, found)
    assert _state(photos) == _after(before)


def test_another_file_in_the_new_place_is_never_overwritten(photos: Path) -> None:
    journal = relabelling.begin(photos, "photos", _moves(photos))
    (photos / "photos/a/2-from-b.png").write_bytes(b"of somebody else")
    with pytest.raises(EnvironmentFault, match=r"2\.png cannot be moved to .*another file has that name by now"):
        relabelling.carry_out(photos, journal)
    assert (photos / "photos/a/2-from-b.png").read_bytes() == b"of somebody else"
    (photos / "photos/a/2-from-b.png").unlink()
    relabelling.carry_out(photos, journal)


@pytest.mark.parametrize("made", ["folder", "link", "broken link"])
def test_what_is_no_file_in_the_new_place_costs_no_image(photos: Path, made: str) -> None:
    journal = relabelling.begin(photos, "photos", _moves(photos))
    place = photos / "photos/a/2-from-b.png"
    if made == "folder":
        place.mkdir()
    else:
        place.symlink_to("3.png" if made == "link" else "nowhere")
    with pytest.raises(EnvironmentFault, match=r"2\.png cannot be moved to .*another file has that name by now"):
        relabelling.carry_out(photos, journal)
    assert (photos / "photos/b/2.png").read_bytes() == b"b2"


@pytest.mark.parametrize("change", ["gone", "changed", "taken"])
def test_what_has_changed_since_is_not_taken_back_by_half(photos: Path, change: str) -> None:
    journal = relabelling.begin(photos, "photos", _moves(photos))
    relabelling.carry_out(photos, journal)
    relabelling.end(journal, APPLIED)
    moved = photos / "photos/b/0-from-a.png"
    if change == "gone":
        moved.unlink()
    elif change == "changed":
        moved.write_bytes(b"other")
    else:
        (photos / "photos/a/0.png").write_bytes(b"new")
    before = _state(photos)
    (applied,) = relabelling.journals(photos)
    with pytest.raises(UserError, match=r"Relabelling 1 cannot be taken back: .*; check an older version"):
        relabelling.take_back(photos, applied)
    assert _state(photos) == before
    relabelling.refuse_if_cut_off(photos)


def test_a_file_that_is_gone_is_told(photos: Path) -> None:
    journal = relabelling.begin(photos, "photos", _moves(photos))
    (photos / "photos/b/2.png").unlink()
    with pytest.raises(EnvironmentFault, match=r"b/2\.png cannot be moved .*neither place"):
        relabelling.carry_out(photos, journal)


def test_from_another_disk_files_are_copied(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, elsewhere = _state(photos), Path("/dev/shm") / f"rootstock-{os.getpid()}"
    if not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == photos.stat().st_dev:
        pytest.skip("no second file system here")
    elsewhere.mkdir()
    try:
        (photos / "photos").rename(photos / "old")
        subprocess.run(("cp", "-r", str(photos / "old"), str(elsewhere / "photos")), check=True)
        (photos / "photos").symlink_to(elsewhere / "photos")
        journal = relabelling.begin(photos, "photos", _moves(photos))
        relabelling.carry_out(photos, journal)
        assert _state(photos) == _after(before)
        relabelling.take_back(photos, journal)
        assert _state(photos) == before
    finally:
        subprocess.run(("rm", "-r", str(elsewhere)), check=True)


def test_a_journal_that_is_none_is_refused(photos: Path) -> None:
    folder = photos / ".rootstock/relabel/0001"
    folder.mkdir(parents=True)
    (folder / "journal.json").write_text('{"moves": 3}')
    with pytest.raises(UserError, match=r"journal\.json is no journal of a relabelling"):
        relabelling.journals(photos)


def test_killed_at_each_thing_it_does_to_the_disk_it_is_finished_or_taken_back(tmp_path: Path, root: Path) -> None:
    """Images and a table: neither is ever half there, and no kill leaves a file that was not there."""
    words = [sys.executable, "-m", "tests.adapters.killed_relabellings", str(tmp_path)]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [int(places) > 30 for places in done.stdout.split()] == [True, True]

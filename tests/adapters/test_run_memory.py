"""The memory of runs: lines come back whole, whoever wrote them and whatever was cut off."""

import json
import multiprocessing
from pathlib import Path

import pytest

from adapters.environment import MEMORY
from adapters.project import STATE_FOLDER
from adapters.run_memory import FILE, append, memory_file, read
from transfer.errors import UserError

LINE = {"task": "fotos", "n": 3, "näme": "ü"}


def test_lines_come_back_in_the_order_they_were_added(tmp_path: Path) -> None:
    path = tmp_path / "new" / FILE
    assert read(path) == ()
    for place in range(3):
        append(path, LINE | {"n": place})
    assert [line["n"] for line in read(path)] == [0, 1, 2]
    assert path.read_text(encoding="utf-8").count("\n") == 3


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_line_of_a_killed_process_is_lost_alone(tmp_path: Path, cut: int) -> None:
    path = tmp_path / FILE
    append(path, LINE | {"n": 0})
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: min(cut, len(whole) - 1)])
    append(path, LINE | {"n": 2})
    assert [line["n"] for line in read(path)] in ([0, 2], [0, 0, 2])  # a line that lacks its end of line alone is whole


@pytest.mark.parametrize("damage", [b"\xff\xfe\n", b"[1, 2]\n", b"null\n", b"{\n", b"\n", b'"text"\n', b"\x00\x00"])
def test_what_is_no_line_of_ours_is_left_out(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / FILE
    path.write_bytes(damage)
    append(path, LINE)
    assert read(path) == (LINE,)


def _add(path: Path, writer: int) -> None:
    for place in range(50):
        append(path, {"writer": writer, "place": place, "filling": "x" * 500})


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path, context = tmp_path / FILE, multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add, args=(path, writer)) for writer in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    found = read(path)
    assert len(found) == 100
    for writer in range(2):
        assert [line["place"] for line in found if line["writer"] == writer] == list(range(50))


def test_of_a_long_memory_the_newest_lines_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.run_memory._MOST_BYTES", 1000)
    path = tmp_path / FILE
    path.write_text("".join(json.dumps({"n": place}) + "\n" for place in range(500)))
    places = [line["n"] for line in read(path)]
    assert places == list(range(places[0], 500))
    assert 50 < len(places) < 120


def test_the_environment_may_name_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory_file(tmp_path) == tmp_path / STATE_FOLDER / FILE
    monkeypatch.setenv(MEMORY, "team.jsonl")
    assert memory_file(tmp_path) == tmp_path / "team.jsonl"
    monkeypatch.setenv(MEMORY, "/srv/team.jsonl")
    assert memory_file(tmp_path) == Path("/srv/team.jsonl")


def test_a_folder_is_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "team").mkdir()
    monkeypatch.setenv(MEMORY, "team")
    with pytest.raises(UserError, match="ROOTSTOCK_MEMORY is team, a folder; name a file in it, or unset it"):
        memory_file(tmp_path)

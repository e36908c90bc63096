"""The ledger is only added to: what is altered, removed, put in or half written is told apart from what was written."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.promotion_ledger import LEDGER, Line, append, read_ledger
from transfer.errors import EnvironmentFault


def entry(after: str | None, before: str | None = None, **more: Any) -> dict[str, Any]:
    values = {
        "time": "2026-01-02T03:04:05.000006+00:00", "who": "ada", "by": "gate", "model": "digits", "before": before,
        "after": after, "model_sha256": "0" * 64, "why": "é, \"quoted\"\nand a second line", "forced": False,
        "decision": {"outcome": "promote", "gain": 0.1},
    }  # fmt: skip
    return {**values, **more}


@pytest.fixture
def written(project: Path) -> Path:
    for after, before in (("1", None), ("2", "1"), ("3", "2")):
        append(project, entry(after, before))
    return project


def lines_of(project: Path) -> list[bytes]:
    return (project / LEDGER).read_bytes().splitlines(keepends=True)


def test_what_is_written_is_read_and_chained(written: Path) -> None:
    ledger = read_ledger(written)
    assert (ledger.problems, ledger.half) == ((), False)
    assert [(line.number, line.before, line.after) for line in ledger.lines] == [
        (1, None, "1"),
        (2, "1", "2"),
        (3, "2", "3"),
    ]
    assert [line.previous for line in ledger.lines[1:]] == [line.hash for line in ledger.lines[:-1]]
    assert ledger.lines[0].why == entry("1")["why"]
    assert ledger.of("digits") == ledger.lines
    assert ledger.of("photos") == ()


def test_a_ledger_that_is_not_there_is_empty(project: Path) -> None:
    assert read_ledger(project) == read_ledger(project / "nowhere")
    assert read_ledger(project).lines == ()


@pytest.mark.parametrize(
    "field", ["time", "who", "by", "model", "before", "after", "model_sha256", "why", "hash", "previous"]
)
def test_an_altered_field_is_detected_in_its_line(written: Path, field: str) -> None:
    whole = lines_of(written)
    values = json.loads(whole[1])
    values[field] = "9"
    (written / LEDGER).write_bytes(
        b"".join((whole[0], json.dumps(values, ensure_ascii=False).encode() + b"\n", whole[2]))
    )
    problems = read_ledger(written).problems
    assert f"line 2 of {LEDGER} was altered: its hash is not that of its words" in problems


def test_an_altered_line_with_a_hash_of_its_own_breaks_the_line_after_it(written: Path, tmp_path: Path) -> None:
    forged = append(tmp_path / "other", entry("1")) if (tmp_path / "other").mkdir() is None else None
    assert forged is not None
    append(tmp_path / "other", entry("7", "1"))
    whole = lines_of(written)
    (written / LEDGER).write_bytes(whole[0] + lines_of(tmp_path / "other")[1] + whole[2])
    assert read_ledger(written).problems == (
        f"line 3 of {LEDGER} does not follow the line before it: lines were altered, removed or put in",
    )


@pytest.mark.parametrize("places", [(1, 2), (0, 2), (0, 0, 1, 2), (0, 2, 1)], ids=["first", "middle", "twice", "order"])
def test_lines_that_are_removed_repeated_or_reordered_are_detected(written: Path, places: tuple[int, ...]) -> None:
    whole = lines_of(written)
    (written / LEDGER).write_bytes(b"".join(whole[place] for place in places))
    assert any("does not follow the line before it" in problem for problem in read_ledger(written).problems)


@pytest.mark.parametrize("change", [b"# a note\n", b"\n", b"{}\n", b"[1]\n"])
def test_what_is_no_line_is_named_and_later_lines_are_read(written: Path, change: bytes) -> None:
    whole = lines_of(written)
    (written / LEDGER).write_bytes(whole[0] + change + whole[2])
    ledger = read_ledger(written)
    assert [line.after for line in ledger.lines] == ["1", "3"]
    assert ledger.problems[0] == f"line 2 of {LEDGER} is no line of the ledger"


@pytest.mark.parametrize("n_bytes", [1, 20, 200, -1])
def test_a_line_that_was_half_written_is_recognised_and_replaced(written: Path, n_bytes: int) -> None:
    whole = lines_of(written)
    (written / LEDGER).write_bytes(whole[0] + whole[1] + whole[2][:n_bytes])
    ledger = read_ledger(written)
    assert (ledger.problems, ledger.half, [line.after for line in ledger.lines]) == ((), True, ["1", "2"])
    append(written, entry("4", "2"))
    ledger = read_ledger(written)
    assert (ledger.problems, ledger.half, [line.after for line in ledger.lines]) == ((), False, ["1", "2", "4"])


def test_an_altered_line_does_not_stop_the_next_and_stays_detected(written: Path) -> None:
    whole = lines_of(written)
    (written / LEDGER).write_bytes(whole[0] + whole[1] + whole[2].replace(b'"ada"', b'"eve"'))
    append(written, entry("4", "3"))
    ledger = read_ledger(written)
    assert [line.after for line in ledger.lines] == ["1", "2", "3", "4"]
    assert len(ledger.problems) == 1
    assert "line 3" in ledger.problems[0]


def test_a_process_killed_while_it_writes_leaves_a_ledger_that_holds(project: Path) -> None:
    code = (
        "from pathlib import Path\nfrom tests.adapters.test_promotion_ledger import entry\n"
        "from adapters.promotion_ledger import append\nprint('ready', flush=True)\n"
        "while True: append(Path.cwd(), entry('1'))"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{code}"]
    for _ in range(2):
        with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            seen = len(read_ledger(project).lines)
            while len(read_ledger(project).lines) < seen + 3:
                pass
            process.send_signal(signal.SIGKILL)
    assert read_ledger(project).problems == ()
    added = append(project, entry("2"))
    assert read_ledger(project).lines[-1] == added
    assert read_ledger(project).problems == ()


def test_a_ledger_that_cannot_be_written_says_so(project: Path) -> None:
    (project / LEDGER).mkdir(parents=True)
    with pytest.raises(EnvironmentFault, match=r"cannot be written \(Is a directory\)"):
        append(project, entry("1"))
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        read_ledger(project)


def test_a_line_says_everything(written: Path) -> None:
    names = set(json.loads(lines_of(written)[0]))
    assert names == set(Line.__slots__)

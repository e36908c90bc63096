"""What benchmarks keep is read as it was written, and a table takes the place of the one before alone."""

from pathlib import Path

from benchmarks.kept import put_table, read_runs, write_runs


def test_runs_are_kept_a_line_each(tmp_path: Path) -> None:
    path, runs = tmp_path / "runs.json", [{"seed": 1, "case": "b"}, {"seed": 0, "case": "a", "gain": 0.1}]
    assert read_runs(path) == []
    write_runs(path, runs)
    assert read_runs(path) == runs
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(runs) + 2


def test_a_table_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- a -->\nold\n<!-- end of a -->\nbetween\n<!-- b -->\nkept\n<!-- end of b -->\nafter\n")
    for text in ("new\nlonger", "last"):
        put_table(path, "a", text)
        put_table(path, "b", "kept")
        told = path.read_text(encoding="utf-8")
        assert told == (
            f"before\n<!-- a -->\n{text}\n<!-- end of a -->\nbetween\n<!-- b -->\nkept\n<!-- end of b -->\nafter\n"
        )

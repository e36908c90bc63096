"""What benchmarks keep: runs in a file, a line each, and tables in a document that people write the rest of."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from adapters.json_files import write_text


def read_runs(path: Path) -> list[Any]:
    """Return what was measured before; nothing where the file is not there."""
    runs: list[Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return runs


def write_runs(path: Path, runs: Iterable[Any]) -> None:
    """Write runs as JSON, a line each, so that a change shows what was measured."""
    write_text(path, "[\n" + ",\n".join(json.dumps(run, sort_keys=True) for run in runs) + "\n]\n")


def put_table(document: Path, name: str, text: str) -> None:
    """Put text between the marks `<!-- name -->` and `<!-- end of name -->`, in place of what is there."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    head, _, rest = document.read_text(encoding="utf-8").partition(begin)
    write_text(document, f"{head}{begin}\n{text}\n{end}{rest.partition(end)[2]}")

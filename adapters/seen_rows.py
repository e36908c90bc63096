"""The rows that a model may have learned from, kept with it: a later test must not ask it about them."""

from collections.abc import Iterable
from pathlib import Path

from adapters.json_files import write_text

EVIDENCE = "evidence"  # the folder of a packed model for what is known of it, as MLflow calls it
SEEN_ROWS = "seen_rows.txt"
_DIGITS = 16  # of a sha256: a chance of one in 10^9 that any of a million rows and ten thousand others agree


def write_seen_rows(path: Path, digests: Iterable[str]) -> None:
    """Write which files a model may have learned from.

    Args:
        path: the text file, a line a row, sorted.
        digests: sha256 of each file.
    """
    write_text(path, "".join(f"{short}\n" for short in sorted({shortened(digest) for digest in digests})))


def seen_among(path: Path, digests: Iterable[str]) -> set[str] | None:
    """Return which files a model may have learned from; None where nobody wrote that down.

    Args:
        path: what `write_seen_rows` wrote.
        digests: sha256 of each file that is asked about.
    """
    if not path.is_file():
        return None
    seen = set(path.read_text(encoding="utf-8").split())
    return {digest for digest in digests if shortened(digest) in seen}


def shortened(digest: str) -> str:
    """Return as much of a file's sha256 as tells it from other files."""
    return digest[:_DIGITS]

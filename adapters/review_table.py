"""The table of labels that look wrong: written for a person to fill with decisions, and read back with suspicion."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from adapters.tables import write_table
from transfer.errors import UserError

COLUMNS = ("path", "given", "suggested", "confidence", "decision", "sha256")
NEEDED = ("path", "given", "decision", "sha256")
KEEP, REMOVE, RELABEL = "keep", "remove", "relabel:"
_MOST_BYTES = 64 << 20
_DELIMITERS = (",", ";", "\t")  # spreadsheets of some countries write semicolons


@dataclass(frozen=True, slots=True)
class Suspect:
    """A label that looks wrong.

    Args:
        path: of the image, within the data set.
        sha256: of its file.
        given: the class it is labelled as.
        suggested: the class it is most likely of beside that.
        confidence: that the label is wrong, in (0.5, 1].
    """

    path: str
    sha256: str
    given: str
    suggested: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided of an image.

    Args:
        line: of the table, for sentences about it.
        path: as `Suspect` has it.
        sha256: likewise.
        given: likewise.
        new_class: the class that it is labelled as from now on; None where it leaves the data set.
    """

    line: int
    path: str
    sha256: str
    given: str
    new_class: str | None


def line_of(one: Suspect) -> tuple[str, ...]:
    """Return a suspect's line of the table, below `COLUMNS`, with the decision left open."""
    return one.path, one.given, one.suggested, f"{one.confidence:.3f}", "", one.sha256


def write_suspects(path: Path, suspects: Sequence[Suspect]) -> None:
    """Write a line a suspect, with the decision left open."""
    write_table(path, [COLUMNS, *map(line_of, suspects)])


def read_table(path: Path) -> tuple[Decision, ...]:
    """Read what a person decided; lines that are left open or say keep are passed over.

    Columns may stand in any order and others may be added; commas, semicolons or tabs separate them.

    Raises:
        UserError: no such file, no such table, an unknown decision, or two lines about one image.
    """
    seen: set[str] = set()
    found = list[Decision]()
    for number, row in _rows(path):
        if row["path"] in seen:
            raise UserError(f"Line {number} of {path} is a second decision about {row['path']!r}; leave one of them.")
        seen.add(row["path"])
        decided = _decided(row["decision"].strip(), number, path)
        if decided is not None:
            sha256 = row["sha256"].strip().lower()
            found.append(Decision(number, row["path"], sha256, row["given"], decided or None))
    return tuple(found)


def read_kept(path: Path) -> tuple[tuple[str, str], ...]:
    """Return digest and class of the labels that a table says to keep.

    Raises:
        UserError: no such file, or no such table.
    """
    kept = (row for _, row in _rows(path) if row["decision"].strip().lower() == KEEP)
    return tuple((row["sha256"].strip().lower(), row["given"]) for row in kept)


def set_aside(path: Path) -> Path | None:
    """Rename a table that somebody wrote into, before a new one takes its place.

    Returns:
        Its new name; None where nobody wrote into it.
    """
    try:
        if not path.exists() or not any(row["decision"].strip() for _, row in _rows(path)):
            return None
    except UserError:  # whoever made it unreadable may still want it
        pass
    taken = (path.with_stem(f"{path.stem}-{number}") for number in count(1))
    free = next(other for other in taken if not other.exists())
    path.rename(free)
    return free


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return column -> cell of every line below the first that holds something, each with its number."""
    lines = _lines(path)
    header = [name.strip().lower() for name in lines[0][1]] if lines else []
    lacking = [name for name in NEEDED if header.count(name) != 1]
    if lacking:
        raise UserError(
            f"{path} has no column {lacking[0]!r}, or more than one; its first line has to name "
            f"{', '.join(NEEDED)}, as in artifacts/review/labels.csv."
        )
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise UserError(
                f"Line {number} of {path} has {len(cells)} cells, but the first line names {len(header)} columns; "
                "quote cells that hold a separator."
            )
    return [(number, dict(zip(header, cells, strict=True))) for number, cells in lines[1:]]


def _decided(text: str, number: int, path: Path) -> str | None:
    """Return the new class, "" where the image is to leave, None where its label stays."""
    word = text.lower()
    if word in ("", KEEP):
        return None
    if word == REMOVE:
        return ""
    name = text[len(RELABEL) :].strip()
    if not word.startswith(RELABEL) or not name:
        raise UserError(
            f"Line {number} of {path} has the decision {text[:80]!r}; write {KEEP}, {RELABEL}CLASS or {REMOVE}, "
            "or leave it empty."
        )
    return name


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines that hold something, each with its number."""
    remedy = "name the table that `rootstock data review` wrote."
    if not path.is_file():
        raise UserError(f"{path} is no file; {remedy}")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path} has more than {_MOST_BYTES} bytes and is no table of decisions; {remedy}")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}); save it as CSV in UTF-8.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it readable.") from error
    if "\0" in text:
        raise UserError(f"{path} holds a zero byte and is no table of text; {remedy}")
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=first.count), strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise UserError(f"Line {reader.line_num} of {path} is no CSV ({error}); save the table again.") from error

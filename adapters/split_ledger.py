"""The ledger of splits: on which side each image was put, once and for good; versioned by DVC with the data."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adapters import dvc_cache, dvc_lock
from adapters.seen_rows import shortened
from adapters.tables import write_table
from transfer.errors import UserError
from transfer.records import SPLITS

LEDGER = Path("artifacts/manifest/splits.csv")
GIVEN = "given"  # the draw of images whose folder or table says where they belong
_HEADING = ("draw", "sha256", "split", "group")


@dataclass(frozen=True, slots=True)
class Decision:
    """Where an image was put.

    Args:
        split: "train", "val" or "test".
        group: of the user's, "" for none.
    """

    split: str
    group: str


Ledger = Mapping[tuple[str, str], Decision]  # draw and the first 16 digits of a sha256 -> what was decided


def draw_name(seed: int, val_fraction: float, test_fraction: float) -> str:
    """Return the name of a draw: another seed or another fraction is another one, with sides of its own."""
    return f"seed={seed} val={val_fraction:g} test={test_fraction:g}"


def decided(ledger: Ledger, draw: str, digests: Sequence[str]) -> dict[str, str]:
    """Return digest -> side, of the digests that a draw has put on one.

    Args:
        ledger: what was decided.
        draw: its name.
        digests: sha256 of files.
    """
    known = ((digest, ledger.get((draw, shortened(digest)))) for digest in digests)
    return {digest: decision.split for digest, decision in known if decision is not None}


def decided_of_groups(ledger: Ledger, draw: str) -> dict[str, str]:
    """Return group of the user's -> side; the side of training where there are several, then of validation."""
    found: dict[str, str] = {}
    for (name, _), decision in ledger.items():
        if name == draw and decision.group:
            found[decision.group] = min(found.get(decision.group, decision.split), decision.split, key=SPLITS.index)
    return found


def with_decisions(ledger: Ledger, draw: str, decisions: Mapping[str, Decision]) -> Ledger:
    """Return a ledger with what is new in some decisions; what stands in it stays, with a group where it had none.

    Args:
        ledger: what was decided before.
        draw: name of the draw.
        decisions: sha256 of a file -> where it was put.
    """
    found = dict(ledger)
    for digest, decision in decisions.items():
        key = (draw, shortened(digest))
        known = found.get(key, decision)
        found[key] = known if known.group == decision.group or known.group else replace(known, group=decision.group)
    return found


def read_ledger(project: Path) -> Ledger:
    """Read the ledger of a project; one that was deleted is brought back from DVC's cache.

    Raises:
        UserError: it is damaged, or gone though dvc.lock names it.
    """
    path = project / LEDGER
    if path.is_file():
        content = path.read_bytes()
    else:
        recorded = _recorded(project)
        kept = dvc_cache.content(project, recorded)
        if recorded and kept is None:
            raise UserError(
                f"{LEDGER}, which says where each image was put, is missing, and dvc.lock names one; bring it back "
                f"with `dvc pull {LEDGER}`, or, to draw all splits anew, write an empty file there (`touch {LEDGER}`)."
            )
        content = kept or b""
    return _parsed(content)


def write_ledger(project: Path, ledger: Ledger) -> None:
    """Write the ledger atomically, sorted."""
    lines = [(*key, decision.split, decision.group) for key, decision in sorted(ledger.items())]
    write_table(project / LEDGER, [_HEADING, *lines])


def _recorded(project: Path) -> str:
    """Return the digest that DVC recorded of the ledger; "" where there was none yet."""
    outs = dvc_lock.recorded(project).get("manifest", {}).get("outs", ())
    return next((str(out.get("md5", "")) for out in outs if out.get("path") == LEDGER.as_posix()), "")


def _parsed(content: bytes) -> Ledger:
    found: dict[tuple[str, str], Decision] = {}
    usual = csv.field_size_limit(len(content))  # of the whole process; what was written can be read, however long
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _damaged(1, str(error)) from error
    finally:
        csv.field_size_limit(usual)
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(_HEADING) or row[2] not in SPLITS:
            raise _damaged(number, f"{','.join(row)!r} is not {','.join(_HEADING)}")
        found[row[0], row[1]] = Decision(row[2], row[3])
    if rows and tuple(rows[0]) != _HEADING:
        raise _damaged(1, f"{','.join(rows[0])!r} is not {','.join(_HEADING)}")
    return found


def _damaged(line: int, why: str) -> UserError:
    return UserError(
        f"{LEDGER} cannot be read at line {line} ({why}); bring it back with `dvc checkout --force {LEDGER}`."
    )

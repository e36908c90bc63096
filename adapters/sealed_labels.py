"""The labels of test images: sealed in the manifest, opened here, and each time written down before anybody sees them.

Test images tell how good a model is as long as nobody chooses by what they said. So every look is a line of a ledger,
with the model that was asked and the images it was asked about, and no stage but `evaluate` gets to look.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from adapters import environment
from adapters.chained_lines import append_line, read_chain
from adapters.machine import account
from adapters.manifest_file import MANIFEST, read_label_of
from adapters.mlflow_runs import tag_values
from adapters.mlflow_store import STORE
from adapters.seen_rows import seen_among, write_seen_rows
from transfer.errors import EnvironmentFault, RootstockError, UserError
from transfer.records import Row

LOOKS = STORE / "looks.jsonl"
HEAD_TAG = "looks_head"  # of a run of `evaluate` in MLflow: hash of the last line when it ended
OPENER = "evaluate"  # the stage that may look
_SETS = STORE / "test_sets"  # which images each set of test images holds
_SHARED = 0.1  # of today's test images: what earlier looks at fewer of them told may be forgotten


@dataclass(frozen=True, slots=True)
class Look:
    """One reading of test labels.

    Args:
        number: from 1.
        time: when, ISO 8601 in UTC.
        who: the account of the machine.
        stage: whose process looked; "" outside of every stage.
        why: in words.
        model_sha256: of the weights of the model that was asked.
        chosen: whether the model is a new one that may be chosen by what it answers, rather than one that was.
        test_set: sha256 of the images and their labels.
        n_rows: how many images.
        previous: hash of the line before.
        hash: sha256 of all this.
    """

    number: int
    time: str
    who: str
    stage: str
    why: str
    model_sha256: str
    chosen: bool
    test_set: str
    n_rows: int
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Looks:
    """What the ledger holds.

    Args:
        lines: those that can be read, in order.
        problems: a sentence for each line that is not as it was written.
    """

    lines: tuple[Look, ...]
    problems: tuple[str, ...]


def open_labels(
    project: Path, rows: Sequence[Row], why: str, model_sha256: str, *, chosen: bool = True, path: Path = MANIFEST
) -> tuple[Row, ...]:
    """Return test rows with their labels, once the look is in the ledger.

    Args:
        project: the project's folder.
        rows: sealed ones, of the manifest's test split.
        why: in words.
        model_sha256: of the weights of the model that is asked.
        chosen: see `Look`.
        path: the manifest.

    Raises:
        RootstockError: another stage than `evaluate` asks.
        UserError: there are no test rows, or the manifest is missing or damaged.
        EnvironmentFault: the ledger cannot be read or written.
    """
    stage = environment.get(environment.STAGE) or ""
    if stage not in ("", OPENER):
        raise RootstockError(
            f"The stage {stage} asked for the labels of the test images, which {OPENER} alone may see; whatever it "
            f"needs them for, choose by validation images instead."
        )
    if not rows:
        raise UserError("There are no test images to look at; raise manifest.test_fraction or add a test/ folder.")
    label_of = read_label_of(path)
    opened = tuple(replace(row, label=label_of[row.path]) for row in rows)
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="microseconds"),
        "who": account(),
        "stage": stage,
        "why": why,
        "model_sha256": model_sha256,
        "chosen": chosen,
        "test_set": digest_of(opened),
        "n_rows": len(opened),
    }
    _write(project, entry, (row.sha256 for row in opened))
    return opened


def read_looks(project: Path) -> Looks:
    """Read and verify the ledger; one that is not there is empty.

    Raises:
        EnvironmentFault: the file cannot be read.
    """
    chain = read_chain(project / LOOKS, _names())
    problems = tuple(f"line {number} of {LOOKS} {problem}" for number, problem in chain.problems)
    return Looks(tuple(Look(**line) for line in chain.lines), problems)


def head(project: Path) -> str:
    """Return the hash of the last line; "" where there is none.

    Raises:
        EnvironmentFault: the file cannot be read.
    """
    lines = read_looks(project).lines
    return lines[-1].hash if lines else ""


def cut_off(project: Path) -> list[str]:
    """Return a sentence where runs in MLflow know of lines that the ledger does not hold any more.

    Raises:
        EnvironmentFault: the store or the ledger cannot be read.
    """
    held = {line.hash for line in read_looks(project).lines}
    gone = tag_values(project, OPENER, HEAD_TAG) - held - {""}
    if not gone:
        return []
    return [f"the last lines of {LOOKS} are gone: {len(gone)} runs in MLflow know of looks that it does not hold"]


def looks_at(project: Path, rows: Sequence[Row]) -> tuple[Look, ...]:
    """Return the looks at these test rows: at sets that share a tenth of them at least.

    A set whose list of images is gone counts: nobody can tell that it shared none.

    Args:
        project: the project's folder.
        rows: of the test split; labels are not asked for.
    """
    digests = {row.sha256 for row in rows}
    lines = read_looks(project).lines
    shared: dict[str, bool] = {}
    for test_set in {line.test_set for line in lines}:
        held = seen_among(project / _SETS / f"{test_set}.txt", digests)
        shared[test_set] = held is None or len(held) >= _SHARED * len(digests)
    return tuple(line for line in lines if shared[line.test_set])


def digest_of(rows: Iterable[Row]) -> str:
    """Return the sha256 of images and labels, whatever their order and their names.

    Args:
        rows: opened ones.
    """
    return hashlib.sha256("\n".join(sorted({f"{row.sha256} {row.label}" for row in rows})).encode()).hexdigest()


def _write(project: Path, entry: dict[str, object], digests: Iterable[str]) -> None:
    from filelock import FileLock

    held = project / _SETS / f"{entry['test_set']}.txt"
    try:
        held.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(project / STORE / ".looks.lock"):
            if not held.is_file():
                write_seen_rows(held, digests)
            append_line(project / LOOKS, entry, _names())
    except OSError as error:
        raise EnvironmentFault(
            f"A look at test labels cannot be written down below {project / STORE} ({error.strerror or error}), so "
            f"none is had; check the folder and run again."
        ) from error


def _names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Look))

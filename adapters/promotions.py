"""Move the champion of a registered model: the alias in MLflow and the line in the ledger, or neither.

What is to be done is noted first (`promotion.pending.json`), then the alias is moved, then the line is added, then the
note is removed. A process that is killed in between leaves the note; whoever asks for the champion next finishes what
it says, unless the alias is by then where the note does not know it. An alias that somebody moved without Rootstock is
not moved back: the ledger says so instead.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.json_files import read_plain_json, write_plain_json
from adapters.machine import account
from adapters.mlflow_aliases import MODEL_TAG, AliasedVersion, aliased, numbered
from adapters.mlflow_store import STORE, is_own, open_client, registry_uri, store_errors
from adapters.promotion_ledger import Ledger, Line, append, read_ledger
from transfer.errors import UserError

CHAMPION, CHALLENGER = "champion", "challenger"
GATE, BY_PERSON, ROLLBACK, REPAIR, OUTSIDE = "gate", "promote", "rollback", "repair", "outside"
GATE_TAG, WHY_TAG, AGAINST_TAG = "gate", "gate_why", "gate_against"  # of a version: what the gate said, beside whom
# Of a version: a person's word, the flow run that waits for it, and beside whom the gate had judged at that time.
APPROVAL_TAG, APPROVAL_RUN_TAG, APPROVAL_AGAINST_TAG = "approval", "approval_run", "approval_against"
NOBODY = "none"  # the value of AGAINST_TAG where there was no champion
HEAD_TAG = "rootstock.promotion"  # with the ledger's own mark, of a registered model: hash of the last line about it
PENDING = STORE / "promotion.pending.json"


@dataclass(frozen=True, slots=True)
class Move:
    """A champion's place is given to another version.

    Args:
        model: name of the registered model.
        before: version that is the champion now, as the mover knows it; None where there is none.
        after: version that is to be the champion.
        by: gate, promote, rollback or repair.
        why: in words.
        forced: whether a person overrules the gate.
        decision: what the gate said of the version; None where it said nothing.
        who: whose word it is; the account where it is None.
    """

    model: str
    before: str | None
    after: str
    by: str
    why: str
    forced: bool = False
    decision: Mapping[str, Any] | None = None
    who: str | None = None


def champion(project: Path, model: str) -> AliasedVersion | None:
    """Return the champion; None where there is none. A move that was cut off is finished first."""
    if (project / PENDING).is_file():
        with _lock(project):
            _finish(project)
    return aliased(project, model, CHAMPION)


def move(project: Path, wanted: Move) -> Line:
    """Make a version the champion and write down why.

    Raises:
        UserError: there is no such version, or the champion is another one than the mover knows.
        EnvironmentFault: the registry or the ledger cannot be written.
    """
    with _lock(project):
        _finish(project)
        _note_outside(project, wanted.model)
        now = _version(aliased(project, wanted.model, CHAMPION))
        if now != wanted.before:
            raise UserError(
                f"The champion of {wanted.model} is {_called(now)}, no longer {_called(wanted.before)}; look at "
                f"`rootstock champions {wanted.model}` and run the same command again."
            )
        target = numbered(project, wanted.model, wanted.after)
        if target is None:
            raise UserError(f"{wanted.model} has no version {wanted.after}; `make ui` shows those that it has.")
        names = ("model", "before", "after", "by", "why", "forced", "decision")
        values = {name: getattr(wanted, name) for name in names} | ({"who": wanted.who} if wanted.who else {})
        write_plain_json(project / PENDING, _signed({**values, "model_sha256": target.tags.get(MODEL_TAG, "")}))
        line = _finish(project)
    if line is None:
        raise UserError(
            f"The champion of {wanted.model} or version {wanted.after} was changed by others in this moment; look at "
            f"`rootstock champions {wanted.model}` and run the same command again."
        )
    return line


def settle(project: Path) -> list[str]:
    """Finish a move that was cut off, and write down moves that were made without Rootstock; return what was done."""
    if not read_ledger(project).lines and not (project / PENDING).is_file():
        return []
    done = []
    with _lock(project):
        finished = _finish(project)
        if finished is not None:
            what = f"{finished.model}@{CHAMPION} to version {finished.after}"
            done.append(f"the move of {what} had been cut off and is finished")
        models = sorted({line.model for line in read_ledger(project).lines})
        return done + [noted for model in models if (noted := _note_outside(project, model))]


def cut_off(project: Path) -> list[str]:
    """Return a sentence for each model whose last line in the ledger is gone: the registry remembers its hash.

    A registry that others share remembers those of their ledgers too, which are not asked about.
    """
    ledger, client = read_ledger(project), open_client(project)
    known, begins = {line.hash for line in ledger.lines}, HEAD_TAG if is_own(project) else _head_tag(ledger)
    with store_errors(registry_uri(project)):
        tags = {one.name: one.tags or {} for one in client.search_registered_models()}
    heads = {name: {text for tag, text in held.items() if tag.startswith(begins)} for name, held in tags.items()}
    return [
        f"the last line about {name} is gone from the ledger: the registry knows of one that it does not hold"
        for name, remembered in sorted(heads.items())
        if remembered - known
    ]


def _note_outside(project: Path, model: str) -> str:
    """Add a line where the alias is not where the last line about the model left it; return what was noted."""
    lines, found = read_ledger(project).of(model), aliased(project, model, CHAMPION)
    if not lines or lines[-1].after == _version(found):
        return ""
    values = {
        "model": model,
        "before": lines[-1].after,
        "after": _version(found),
        "by": OUTSIDE,
        "model_sha256": found.tags.get(MODEL_TAG, "") if found is not None else "",
        "why": "the alias was moved without Rootstock; noticed at this time",
        "forced": False,
        "decision": None,
    }
    line = append(project, {**_signed(values), "who": "unknown"})
    _remember_head(project, line)
    moved = f"from {_called(line.before)} to {_called(line.after)}"
    return f"{model}@{CHAMPION} was moved {moved} without Rootstock, which the ledger says now"


def _finish(project: Path) -> Line | None:
    """Do what the note says, as far as it is not done; the caller holds the lock.

    Returns:
        The line; None where there is no note, or the champion is by now one that the note does not know of, which
        somebody chose since, or the version was deleted: then the note is dropped.
    """
    if not (project / PENDING).is_file():
        return None
    entry = read_plain_json(project / PENDING)
    if numbered(project, entry["model"], entry["after"]) is None:  # the version was deleted meanwhile
        (project / PENDING).unlink()
        return None
    lines, now = read_ledger(project).lines, _version(aliased(project, entry["model"], CHAMPION))
    written = bool(lines) and (lines[-1].time, lines[-1].model) == (entry["time"], entry["model"])
    if not written and now not in (entry["before"], entry["after"]):
        (project / PENDING).unlink()
        return None
    if not written and now != entry["after"]:  # once the line is written the alias was moved, and is not moved again
        client = open_client(project)
        with store_errors(registry_uri(project)):
            client.set_registered_model_alias(entry["model"], CHAMPION, entry["after"])
    line = lines[-1] if written else append(project, entry)
    _remember_head(project, line)
    (project / PENDING).unlink()
    return line


def _remember_head(project: Path, line: Line) -> None:
    """Have the registry remember the last line about a model; the hash of a line that is gone is kept beside it."""
    from mlflow.exceptions import MlflowException

    client, ledger = open_client(project), read_ledger(project)
    tag, known = _head_tag(ledger), {one.hash for one in ledger.lines}
    with store_errors(registry_uri(project)), suppress(MlflowException):  # a deleted model has no tags
        before = (client.get_registered_model(line.model).tags or {}).get(tag)
        if before is not None and before not in known:
            client.set_registered_model_tag(line.model, f"{tag}.lost.{before[:12]}", before)
        client.set_registered_model_tag(line.model, tag, line.hash)


def _head_tag(ledger: Ledger) -> str:
    """Return the tag of a ledger, which is told by its first line."""
    return f"{HEAD_TAG}.{ledger.lines[0].hash[:12] if ledger.lines else 'none'}"


def _signed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"time": datetime.now(UTC).isoformat(timespec="microseconds"), "who": account(), **values}


def _version(found: AliasedVersion | None) -> str | None:
    return found.version if found is not None else None


def _called(version: str | None) -> str:
    return "no version" if version is None else f"version {version}"


@contextmanager
def _lock(project: Path) -> Iterator[None]:
    from filelock import FileLock

    (project / STORE).mkdir(exist_ok=True)
    with FileLock(project / STORE / ".promotion.lock"):
        yield

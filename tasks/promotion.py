"""Promote a version by a person's word, go back to the champion before, and tell who was champion when."""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from adapters import environment, prefect_commands
from adapters.golden_outputs import Proof, prove
from adapters.machine import account
from adapters.mlflow_aliases import MODEL_TAG, AliasedVersion, numbered
from adapters.mlflow_registry import tag_version
from adapters.prefect_api import running_api
from adapters.project import enter_project
from adapters.promotion_ledger import Line, read_ledger
from adapters.promotions import (
    AGAINST_TAG,
    APPROVAL_RUN_TAG,
    APPROVAL_TAG,
    BY_PERSON,
    CHAMPION,
    GATE_TAG,
    NOBODY,
    ROLLBACK,
    WHY_TAG,
    Move,
    champion,
    move,
    settle,
)
from tasks.versions import named_version
from transfer.errors import EnvironmentFault, UserError
from transfer.evaluation.promotion import REFUSE


def promote(target: str, why: str, *, force: bool, who: str | None = None) -> str:
    """Make a version the champion by a person's word; return what was done, a sentence.

    Args:
        target: NAME@ALIAS or NAME/VERSION.
        why: in words; kept in the ledger.
        force: whether to overrule the gate, which the ledger then says.
        who: whose word it is; the account where it is None.

    Raises:
        UserError: there is no such version, no reason, or the gate refused it and it is not forced.
        EnvironmentFault: the version does not reproduce its golden outputs, or the store failed.
    """
    if not why.strip():
        raise UserError("A promotion needs a reason that is kept with it; say it with --why TEXT.")
    project = _entered()
    name, found = named_version(project, target)
    now = champion(project, name)
    if now is not None and now.version == found.version:
        return f"{name} version {found.version} is the champion already"
    objection = _objection(found, now)
    if objection and not force:
        raise UserError(
            f"{name} version {found.version} is not promoted: {objection}; --force overrules that, and is recorded."
        )
    proof = _proven(found)
    if proof.holds is False or (proof.holds is None and not force):
        raise EnvironmentFault(f"{name} version {found.version} is not promoted: {proof.sentence}; register it again.")
    said = {tag: found.tags[tag] for tag in (GATE_TAG, WHY_TAG, AGAINST_TAG) if tag in found.tags} or None
    before = None if now is None else now.version
    move(project, Move(name, before, found.version, BY_PERSON, why.strip(), bool(objection), said, who))
    if APPROVAL_TAG in found.tags:
        tag_version(project, name, found.version, {APPROVAL_TAG: f"approved by {who or account()}: {why.strip()}"})
    overruled = f", against the gate: {objection}" if objection else ""
    return f"{name}@{CHAMPION} is version {found.version}, was {_called(before)} ({proof.sentence}){overruled}"


def release(target: str, why: str) -> bool:
    """Resume the flow run that waits for a person's word on a version; say whether one went on.

    Args:
        target: NAME@ALIAS or NAME/VERSION.
        why: what was said.
    """
    project = _entered()
    run = named_version(project, target)[1].tags.get(APPROVAL_RUN_TAG)
    api = running_api(project) if run else None
    answer = {"approve": True, "reason": why.strip(), "who": account()}
    return run is not None and api is not None and prefect_commands.resume(api, run, answer)


def rollback(target: str, why: str) -> str:
    """Give the champion's place back to the version that had it before; return what was done, a sentence.

    The version is asked about its golden images first, by the code that travels with it: one that does not answer as it
    did takes no place.

    Args:
        target: NAME, or models:/NAME.
        why: in words; kept in the ledger.

    Raises:
        UserError: there is no such model, there was no champion before, or it was deleted.
        EnvironmentFault: that version does not reproduce its golden outputs; the champion stays.
    """
    began = time.perf_counter()
    project, name = _entered(), target.removeprefix("models:/").partition("@")[0]
    settle(project)
    now, lines = champion(project, name), read_ledger(project).of(name)
    if now is None and not lines:
        raise _unknown(project, name)
    number = previous(lines)
    if now is None or number is None:
        raise UserError(
            f"{name} has no champion before the present one; `rootstock champions {name}` shows its history."
        )
    found = numbered(project, name, number)
    if found is None:
        raise UserError(f"{name} version {number}, the champion before, was deleted; promote another one instead.")
    proof = _proven(found)
    if not proof.holds:
        raise EnvironmentFault(
            f"{name} version {number} is not what it was: {proof.sentence}; the champion is still version "
            f"{now.version}; `rootstock promote {name}/VERSION --why TEXT` names another."
        )
    move(project, Move(name, now.version, number, ROLLBACK, why.strip() or f"back from version {now.version}"))
    took_s = time.perf_counter() - began
    return f"{name}@{CHAMPION} is version {number} again, was version {now.version} ({proof.sentence}; {took_s:.1f} s)"


def previous(lines: Sequence[Line]) -> str | None:
    """Return the version that a rollback goes to: the champion before the present one, rollbacks undone.

    Args:
        lines: of one model, in order.
    """
    held = [line.before for line in lines[:1] if line.before is not None]  # the champion of a time before the ledger
    for line in lines:
        if line.by == ROLLBACK and line.after in held:
            while held[-1] != line.after:  # to the last time that it was champion
                held.pop()
        elif line.after is not None and (not held or held[-1] != line.after):
            held.append(line.after)
    return held[-2] if len(held) > 1 else None


def history(target: str | None, at: str | None) -> list[Line]:
    """Return the moves of champions, oldest first: all of them, or for each model the one that counted at a time.

    Args:
        target: NAME or models:/NAME; every model when None.
        at: ISO 8601; a time without a zone is in UTC, a day without a time its end. None for all.

    Raises:
        UserError: there is no such model, or the time cannot be read.
    """
    project = _entered()
    settle(project)
    lines: tuple[Line, ...] = read_ledger(project).lines
    if target is not None:
        name = target.removeprefix("models:/").partition("@")[0]
        lines = tuple(line for line in lines if line.model == name)
        if not lines:
            raise _unknown(project, name)
    if at is None:
        return list(lines)
    moment = _moment(at)
    return [*{line.model: line for line in lines if datetime.fromisoformat(line.time) <= moment}.values()]


def _unknown(project: Path, name: str) -> UserError:
    known = ", ".join(sorted({line.model for line in read_ledger(project).lines})) or "no model"
    return UserError(f"The ledger says nothing of {name}; it knows {known}.")


def faults(project: Path) -> list[str]:
    """Return a sentence for everything in the ledger that is not as it was written."""
    from adapters.promotions import cut_off

    ledger = read_ledger(project)
    return [*ledger.problems, *cut_off(project)]


def verify(*, thoroughly: bool) -> list[str]:
    """Check the ledger of the project that holds the current directory; return what is wrong, a sentence each.

    Args:
        thoroughly: whether to ask the registry, too, for the last line that it knows of.
    """
    project = _entered()
    return faults(project) if thoroughly else [*read_ledger(project).problems]


def _entered() -> Path:
    project = enter_project()
    environment.prepare(project)
    return project


def _objection(found: AliasedVersion, now: AliasedVersion | None) -> str:
    """Return what speaks against a version, a phrase; "" where nothing does."""
    if GATE_TAG not in found.tags:
        return "the gate never judged it"
    if found.tags[GATE_TAG] == REFUSE:
        return f"the gate refused it ({found.tags[WHY_TAG].removeprefix('Not promoted: ').rstrip('.')})"
    if now is not None and found.tags.get(AGAINST_TAG) != now.tags.get(MODEL_TAG, f"version {now.version}"):
        beside = "no champion" if found.tags.get(AGAINST_TAG) == NOBODY else "another champion"
        return f"it was judged beside {beside}, not beside version {now.version}"
    return ""


def _proven(found: AliasedVersion) -> Proof:
    """Ask a version about its golden images; MLflow is imported meanwhile, since both take seconds."""
    from threading import Thread

    from adapters.registered_models import package_folder

    opening = Thread(target=_open_store, daemon=True)
    opening.start()
    proof = prove(package_folder(found.location))
    opening.join()
    return proof


def _open_store() -> None:
    from adapters.mlflow_store import open_client

    with suppress(EnvironmentFault):  # whoever needs the store says so
        open_client()


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{text!r} is no time; write it like 2026-03-31 or 2026-03-31T14:00+02:00.") from error
    if len(text) == len("2026-03-31"):
        moment = moment.replace(hour=23, minute=59, second=59, microsecond=999999)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _called(version: str | None) -> str:
    return "none" if version is None else f"version {version}"

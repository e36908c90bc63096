"""A person's word on a new champion, asked for by suspending the run of a deployment until it is resumed.

A suspended run has no process: server, worker and machine may be started again meanwhile. What it waits for stands in
the tags of the version, so that the run finds it again when it is resumed, and anybody can see it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect.context import FlowRunContext
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.states import Completed, Failed
from pydantic import Field

from adapters import environment
from adapters.json_files import read_json
from adapters.machine import account
from adapters.mlflow_aliases import aliased, numbered
from adapters.mlflow_registry import tag_version, tagged
from adapters.project import find_project
from adapters.promotions import (
    AGAINST_TAG,
    APPROVAL_AGAINST_TAG,
    APPROVAL_RUN_TAG,
    APPROVAL_TAG,
    CHALLENGER,
    NOBODY,
    WHY_TAG,
    champion,
)
from tasks import prefect_runs, promotion
from tasks.handoffs import REGISTRATION
from tasks.params import PARAMS_FILE, read_params
from tasks.params_blocks import REQUIRED
from transfer.errors import RootstockError
from transfer.evaluation.promotion import ASK

WAITS = timedelta(days=14)
REJECTED = "Rejected"  # the name of the state that a run ends in whose model is not wanted
_REJECTED, _APPROVED = "rejected by ", "approved by "  # how the tag begins once nobody is to be asked any more
_KEY = "approval"  # by which Prefect tells a run that was suspended before


class Approval(RunInput):
    """What a person says of a new model.

    Inheritance is Prefect's own seam here: the form in its pages is made from the class.
    """

    approve: bool = Field(description="Make it the champion; without it nothing changes.")
    reason: str = Field(min_length=1, description="Kept in the ledger of promotions.")
    who: str = Field(default="", description="For the ledger; empty: the account that the worker runs under.")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A version that waits for a person's word.

    Args:
        name: of the registered model.
        version: its number.
        gate: what the gate said of it.
    """

    name: str
    version: str
    gate: str


def resumed() -> Waiting | None:
    """Return what this very flow run was suspended for; None where it was not."""
    run = _deployed_run()
    if run is None:
        return None
    project = find_project()
    environment.prepare(project)
    found = tagged(project, APPROVAL_RUN_TAG, run)
    return _waiting(project, *found[0]) if found else None


def asked(project: Path) -> Waiting | None:
    """Return the version that this flow run has to wait for, and mark it; None where nobody is to be asked.

    Only the run of a deployment can wait, since something has to start it again; others end with what the gate left to
    a person. A version is asked about until a person rejected it, or it was promoted: again where the run that waited
    has ended without that, and where the gate has compared with another champion since, which the run that waits for a
    word on the old comparison gives way to.

    Args:
        project: the project's folder.
    """
    run = _deployed_run()
    if run is None or read_params(project / PARAMS_FILE).register.approval != REQUIRED:
        return None
    record = read_json(project / REGISTRATION)
    if record["promotion"]["outcome"] != ASK:
        return None
    found = numbered(project, record["name"], str(record["model_version"]))
    if found is None or _is_closed(found.tags, run):
        return None
    earlier = found.tags.get(APPROVAL_RUN_TAG, run)
    if earlier != run:
        prefect_runs.withdraw(earlier, f"Flow run {run} asks about {record['name']} version {found.version} anew.")
    until = (datetime.now(UTC) + WAITS).isoformat(timespec="minutes")
    tags = {APPROVAL_RUN_TAG: run, APPROVAL_TAG: f"waiting until {until}"}
    tags |= {APPROVAL_AGAINST_TAG: found.tags.get(AGAINST_TAG, NOBODY)}
    tag_version(project, record["name"], found.version, tags)
    return _waiting(project, record["name"], found.version)


def decided(waiting: Waiting) -> Any:
    """Wait for a person's word and do as it says; return the state that the flow run ends in.

    The flow run is suspended here: its process ends, and once it is resumed the flow comes back with the answer.

    Args:
        waiting: what `asked` or `resumed` returned.
    """
    text = (
        f"**{waiting.name} version {waiting.version}** wants to be the champion. {waiting.gate}\n\n"
        f"`rootstock promote {waiting.name}/{waiting.version} --why REASON` does the same."
    )
    answer = suspend_flow_run(
        wait_for_input=Approval.with_initial_data(description=text), timeout=int(WAITS.total_seconds()), key=_KEY
    )
    return carry_out(find_project(), waiting, answer)


def carry_out(project: Path, waiting: Waiting, answer: Approval) -> Any:
    """Do what a person said; return the state that the flow run ends in.

    Args:
        project: the project's folder.
        waiting: what it is about.
        answer: what was said.
    """
    who = answer.who.strip() or account()
    if not answer.approve:
        _close(project, waiting, f"{_REJECTED}{who}: {answer.reason}")
        return Completed(name=REJECTED, message=f"{_called(waiting)} was rejected by {who}: {answer.reason}")
    newer = aliased(project, waiting.name, CHALLENGER)
    now = champion(project, waiting.name)
    try:
        if now is not None and now.version == waiting.version:
            done = f"{_called(waiting)} is the champion already"
        elif newer is not None and newer.version != waiting.version:
            problem = f"version {newer.version} was registered since and is the challenger now"
            return _refused(project, waiting, who, f"{_called(waiting)} is not promoted: {problem}.")
        else:
            done = promotion.promote(f"{waiting.name}/{waiting.version}", answer.reason, force=False, who=who)
    except RootstockError as error:
        return _refused(project, waiting, who, str(error))
    return Completed(message=f"{done}.")


def _refused(project: Path, waiting: Waiting, who: str, why: str) -> Any:
    """Return the state of a run whose model was wanted and could not be promoted; nothing changes."""
    _close(project, waiting, f"not promoted, though approved by {who}: {why}")
    return Failed(message=why)


def _close(project: Path, waiting: Waiting, text: str) -> None:
    tag_version(project, waiting.name, waiting.version, {APPROVAL_TAG: text})


def _is_closed(tags: Mapping[str, str], run: str) -> bool:
    """Say whether a person had the last word on a version, or another run waits for it beside the same champion."""
    said = tags.get(APPROVAL_TAG)
    if said is None or said.startswith((_REJECTED, _APPROVED)):
        return said is not None
    if tags[APPROVAL_RUN_TAG] == run or tags.get(APPROVAL_AGAINST_TAG) != tags.get(AGAINST_TAG, NOBODY):
        return False
    return prefect_runs.is_unfinished(tags[APPROVAL_RUN_TAG])


def _waiting(project: Path, name: str, version: str) -> Waiting:
    found = numbered(project, name, version)
    return Waiting(name, version, found.tags.get(WHY_TAG, "") if found is not None else "")


def _deployed_run() -> str | None:
    """Return the id of the flow run at work where a deployment started it."""
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    return str(run.id) if run is not None and run.deployment_id is not None else None


def _called(waiting: Waiting) -> str:
    return f"{waiting.name} version {waiting.version}"

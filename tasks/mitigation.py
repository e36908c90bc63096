"""Climb the ladder of mitigations where the verdict is negative: other parameters, judged on validation images."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters import params_file
from adapters.held_out_file import read_held_out
from adapters.json_files import read_json, read_plain_json, write_json, write_plain_json
from adapters.model_files import WEIGHTS, keeps_statistics
from adapters.project import state_folder
from tasks import overrides
from tasks.handoffs import FINETUNE_HISTORY, HELD_OUT, MITIGATION, MODEL, RANDOM_FROZEN, RANKING, SCRATCH, VERDICT
from tasks.history import read_history
from tasks.licences import objection
from tasks.mitigation_record import MADE_FROM, climbed
from tasks.params import PARAMS_FILE, check_params, flatten, read_params
from tasks.params_blocks import MITIGATE
from tasks.release import kind_of
from tasks.staleness import EVALUATE, SELECT, STAGES, stale_stages
from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError
from transfer.evaluation import mitigation as ladder
from transfer.evaluation.mitigation import Start, Tried, Validated
from transfer.evaluation.verdict import NEGATIVE

Reproduce = Callable[..., dict[str, Any]]
FINETUNE, REFERENCE = "finetune", "reference"
_KEYS = (ladder.STRATEGY, ladder.HEAD, ladder.STATISTICS, ladder.L2_SP, ladder.BSS, ladder.CANDIDATES)
_REFERENCES = {"scratch": SCRATCH, "random_frozen": RANDOM_FROZEN}
_NOTE = "climb.json"  # the parameters that were asked for, and what a run that tries others wrote over them


@dataclass(frozen=True)
class _Stages:
    """Runs stages of a project and keeps how long they took."""

    project: Path
    reproduce: Reproduce
    times: list[dict[str, Any]] = field(default_factory=list)

    def run(self, *stages: str) -> None:
        """Reproduce stages, all that they read being up to date."""
        for stage in stages:
            self.times.append(self.reproduce(stage, stale=True, alone=True))


def is_due(project: Path) -> bool:
    """Say whether the ladder is asked for, the verdict is negative, and it was not climbed for this model."""
    if not (project / VERDICT).is_file() or kind_of(read_plain_json(project / VERDICT)) != NEGATIVE:
        return False
    return read_params(project / PARAMS_FILE).evaluate.on_negative == MITIGATE and climbed(project) is None


def climb(project: Path, reproduce: Reproduce) -> list[dict[str, Any]]:
    """Try rung after rung until validation no longer finds the model behind a reference; return how long stages took.

    What stands in the end is in params.yaml, so that DVC reproduces it; the test images are looked at once more, by
    `evaluate`. Where that is not what `is_due` says, nothing is done.

    Args:
        project: the project's folder.
        reproduce: runs a stage, `tasks.pipeline.repro`.

    Raises:
        EnvironmentFault: a stage failed by no fault of the rung; params.yaml is as it was before.
    """
    if not is_due(project):
        return []
    flat, before = flatten(read_params(project / PARAMS_FILE)), str(read_plain_json(project / VERDICT)["sentence"])
    start, now = _start(project, {key: flat[key] for key in _KEYS}), validation(project)
    stages = _Stages(project, reproduce)
    with _noted(project, start.settings):
        found = ladder.climbed(start, now, lambda settings: _attempted(stages, settings))
        _write(project, found.settings)
        stale = stale_stages(project)
        stages.run(*(stage for stage in _up_to_evaluation() if stage in stale))
        changes = {key: value for key, value in found.settings.items() if value != start.settings[key]}
        record: dict[str, Any] = {
            "verdict_before": before,
            "asked": start.settings,
            "start": _figures(now),
            "changes": changes,
        }
        record |= {"stands": found.stands, "tried": [_plain(one) for one in found.tried]}
        write_json(project / MITIGATION, record, {name: project / path for name, path in MADE_FROM.items()})
    return stages.times


def put_back(project: Path) -> str:
    """Give params.yaml what was asked for where a climb was killed before it ended; return what to say of it, or "".

    What somebody edited since is what counts now: it stays, and so does all else where the two do not go together.
    """
    note = state_folder(project) / _NOTE
    if not note.is_file():
        return ""
    left = read_plain_json(note)
    now = flatten(check_params(params_file.read(project / PARAMS_FILE)))
    edited = [key for key, own in left["written"].items() if now[key] not in own]
    wanted = {key: value for key, value in left["asked"].items() if key not in edited and value != now[key]}
    try:
        overrides.write_overrides(project, wanted)
    except UserError as error:
        told = f"What was asked for before other parameters were tried does not go with {PARAMS_FILE} as edited since"
        told += f", which stays as it is: {error}"
    else:
        told = (
            f"{', '.join(edited)} in {PARAMS_FILE}, edited since other parameters were tried, stays." if edited else ""
        )
    note.unlink()
    return told


def validation(project: Path) -> Validated:
    """Return how the model of artifacts/ does on validation images beside the references there are.

    Raises:
        UserError: an artifact is missing, or was made from other rows.
    """
    own = read_held_out(project / HELD_OUT, {"model": project / MODEL / WEIGHTS})
    others = {
        name: read_held_out(project / folder / HELD_OUT.name, {"model": project / folder / WEIGHTS})
        for name, folder in _REFERENCES.items()
    }
    if any(not one.labels.equal(own.labels) for one in others.values()):
        raise UserError("The references answered other validation images than the model; run `dvc repro` again.")
    shares = {name: one.logits.double().softmax(dim=1).numpy() for name, one in others.items()}
    return ladder.validated(own.labels.numpy(), own.logits.double().softmax(dim=1).numpy(), shares)


def _attempted(stages: _Stages, settings: Mapping[str, Any]) -> Validated:
    """Fine-tune with other parameters; a model that holds beside the old references is given its own to hold beside."""
    if ladder.CANDIDATES in _write(stages.project, settings):
        stages.run(SELECT)
    stages.run(FINETUNE)
    found = validation(stages.project)
    if not found.holds:
        return found
    stages.run(REFERENCE)
    return validation(stages.project)


def _write(project: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Write what differs to params.yaml and return it; candidates that stay are not named anew.

    It is noted first: a process that is killed in between leaves a file that says either.
    """
    now, note = flatten(read_params(project / PARAMS_FILE)), state_folder(project) / _NOTE
    changes = {key: value for key, value in values.items() if value != now[key]}
    left = read_plain_json(note)
    left["written"] |= {key: [now[key], value] for key, value in changes.items()}
    write_plain_json(note, left)
    return overrides.write_overrides(project, changes)


def _start(project: Path, asked: Mapping[str, Any]) -> Start:
    ranking = read_json(project / RANKING)
    _, *behind = (row["reference"] for row in ranking["candidates"])
    others = tuple(one for one in behind if not BackboneReference.parse(one).is_random)
    kept = {one.name for one in read_history(project / FINETUNE_HISTORY)[1] if one.kept}
    statistics = (keeps_statistics(project / MODEL), "norms" in kept)
    if read_params(project / PARAMS_FILE).register.allow_unknown_licence:
        return Start(asked, others, tuple(behind), *statistics)
    barred = {one: why for one in others if (why := objection(project, one))}
    return Start(asked, others, tuple(behind), *statistics, barred)


def _up_to_evaluation() -> tuple[str, ...]:
    """Return the stages up to the one that looks at the test images, in order."""
    return tuple(STAGES)[: list(STAGES).index(EVALUATE) + 1]


@contextmanager
def _noted(project: Path, asked: Mapping[str, Any]) -> Iterator[None]:
    """Remember what was asked for while other parameters are tried; it is put back unless the block ends well."""
    write_plain_json(
        state_folder(project) / _NOTE, {"asked": asked, "written": {key: [value] for key, value in asked.items()}}
    )
    try:
        yield
    except BaseException:
        put_back(project)
        raise
    (state_folder(project) / _NOTE).unlink()


def _plain(one: Tried) -> dict[str, Any]:
    """Return what a rung came to as JSON-able values."""
    rung, found = one.rung, one.found
    told = {"rung": rung.name, "says": rung.says, "changes": dict(rung.changes)}
    if found is not None:
        return {**told, **_figures(found)}
    return {**told, **({"skipped": rung.skipped} if rung.skipped else {"failed": one.failed})}


def _figures(found: Validated) -> dict[str, Any]:
    return {"accuracy": found.accuracy, "nll": found.nll, "references": dict(found.references), "holds": found.holds}

"""Examine everything a run needs: what works, what does not, what to do."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from adapters import dvc_commands, environment, git_commands, installed, prefect_api
from adapters.locks import holder_of
from adapters.project import enter_project, state_folder
from tasks import candidate_check, data_source, weights_records
from tasks.params import PARAMS_FILE, Params, flatten, read_params
from transfer.backbones.reference import BackboneReference
from transfer.errors import EnvironmentFault, RootstockError

OK, NOTE, BAD = "ok", "note", "bad"
_OLDEST_PYTHON = (3, 11)
_LITTLE_SPACE_BYTES, _TOO_LITTLE_BYTES = 2_000_000_000, 200_000_000
_NAMED = 3
_TOOLS = ("prefect", "mlflow", "dvc", "great-expectations", "torch", "torchvision")
_HELD = ("is busy", "Unable to acquire lock")  # what DVC says while another DVC is at work
_TELEMETRY = (
    ("PREFECT_SERVER_ANALYTICS_ENABLED", "false"),
    ("MLFLOW_DISABLE_TELEMETRY", "true"),
    ("DVC_NO_ANALYTICS", "true"),
    ("GX_ANALYTICS_ENABLED", "false"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the doctor's table.

    Args:
        verdict: "ok", "note" (worth knowing, a run still works) or "bad" (a run would fail).
        what: the thing examined.
        found: what it is like.
        remedy: what to do; empty when there is nothing to do.
    """

    verdict: str
    what: str
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Run every check on the project that holds the current directory; one that breaks is a finding of its own.

    Raises:
        UserError: the current directory is in no project.
    """
    project = enter_project()
    environment.prepare(project)
    checks: Sequence[tuple[str, Callable[[Path], list[Finding]]]] = (
        ("Python", _python),
        ("packages", _packages),
        ("git", _git),
        (PARAMS_FILE, _params),
        ("DVC", _dvc),
        ("Prefect server", _prefect),
        ("MLflow store", _mlflow),
        ("promotions", _promotions),  # before the registry is mended, which may add a line to the ledger
        ("test images", _looks),
        ("model registry", _registry),
        ("disk", _disk),
        ("lock", _lock),
        ("telemetry", _telemetry),
    )
    return [finding for what, check in checks for finding in _checked(what, check, project)]


def _checked(what: str, check: Callable[[Path], list[Finding]], project: Path) -> list[Finding]:
    try:
        return check(project)
    except RootstockError as error:
        found, _, remedy = str(error).partition("; ")
        return [Finding(BAD, what, found, remedy)]
    except Exception as error:  # noqa: BLE001  a broken check is what the doctor is asked to report
        return [Finding(BAD, what, f"the check failed: {type(error).__name__}: {error}", "run `make setup` again")]


def _python(_: Path) -> list[Finding]:
    version = installed.python_version()
    if tuple(map(int, version.split(".")[:2])) < _OLDEST_PYTHON:
        return [Finding(BAD, "Python", version, "install Python 3.11 or later and run `make setup`")]
    return [Finding(OK, "Python", version)]


def _packages(project: Path) -> list[Finding]:
    wrong = installed.differences(project / "requirements.lock")
    if not wrong:
        versions = ", ".join(f"{name} {installed.version_of(name)}" for name in _TOOLS)
        return [Finding(OK, "packages", f"as requirements.lock says: {versions}")]
    listed = ", ".join(wrong[:_NAMED]) + (f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else "")
    missing = any(phrase.endswith("is missing") for phrase in wrong)
    return [Finding(BAD if missing else NOTE, "packages", listed, "run `make setup`")]


def _git(project: Path) -> list[Finding]:
    version = installed.tool_version("git")
    if version is None:
        return [Finding(BAD, "git", "not found", "install git")]
    if git_commands.head(project) is None:
        return [
            Finding(
                NOTE, "git", f"{version}; no commit here", "`git init` and commit, so that versions can be compared"
            )
        ]
    return [Finding(OK, "git", version)]


def _params(project: Path) -> list[Finding]:
    params = read_params(project / PARAMS_FILE)
    return [Finding(OK, PARAMS_FILE, "valid"), _data(project, params), *_weights(project, params)]


def _data(project: Path, params: Params) -> Finding:
    path = params.data.path
    try:
        data_source.check(project, path)
        data_source.examine(flatten(params))
    except RootstockError as error:
        found, _, remedy = str(error).partition("; ")
        return Finding(BAD, "data.path", found, remedy)
    if not (project / path).exists():
        return Finding(OK, "data.path", f"{path}, which the next run makes or `dvc checkout` restores")
    outside = not (project / path).resolve().is_relative_to(project.resolve())
    return Finding(OK, "data.path", f"{path}{', outside the project: hashed, not versioned' if outside else ''}")


def _weights(project: Path, params: Params) -> list[Finding]:
    return [_candidate(project, reference, params.select.weights_sha256) for reference in params.select.candidates]


def _candidate(project: Path, reference: str, recorded: dict[str, str]) -> Finding:
    try:
        weights_records.current(project, [reference], recorded)
        here = candidate_check.check(project, reference)
    except RootstockError as error:
        found, _, remedy = str(error).partition("; ")
        return Finding(BAD, reference, found, remedy)
    if not here:
        return Finding(
            NOTE, reference, "not downloaded yet", "the next run downloads it once; without a network name a file"
        )
    return Finding(OK, reference, _kind(BackboneReference.parse(reference), recorded))


def _kind(reference: BackboneReference, recorded: dict[str, str]) -> str:
    if reference.record_key is not None:
        known, what = reference.record_key in recorded, "registered model" if reference.registered_model else "file"
        return f"the recorded {what} fits" if known else f"the {what} fits, the next run records it"
    if reference.is_random:
        return "random weights"
    return "published weights, downloaded" if reference.is_published else "shipped with the code"


def _dvc(project: Path) -> list[Finding]:
    if not (project / ".dvc").is_dir():
        return [Finding(BAD, "DVC", "not initialised here", "run `dvc init`")]
    try:
        stale = list(dvc_commands.status(project))
    except EnvironmentFault as error:
        if _at_work(project) is None and not any(words in str(error) for words in _HELD):
            raise
        found = "a run holds its lock, so what is stale cannot be told now"
        return [Finding(NOTE, "DVC", found, "wait until the run has ended, then ask again")]
    if stale:
        return [
            Finding(
                OK,
                "DVC",
                f"works; changed since the last run: {', '.join(stale)}",
                "`rootstock run` brings it up to date",
            )
        ]
    return [Finding(OK, "DVC", "works; everything is up to date")]


def _prefect(project: Path) -> list[Finding]:
    url = prefect_api.running_api(project)
    exported = environment.get("PREFECT_API_URL")
    if url is not None:
        return [Finding(OK, "Prefect server", f"answers on {url}")]
    if exported is not None:
        remedy = "start that server or unset the variable; meanwhile `rootstock run` starts one of its own"
        return [Finding(NOTE, "Prefect server", f"PREFECT_API_URL is {exported}, where nothing answers", remedy)]
    return [Finding(OK, "Prefect server", "none runs; `rootstock run` starts its own, `rootstock up` keeps one")]


def _mlflow(project: Path) -> list[Finding]:
    database = project / "mlruns" / "mlflow.db"
    if not database.is_file():
        return [Finding(OK, "MLflow store", "not there yet; the first run makes it")]
    return [Finding(OK, "MLflow store", f"{installed.count_runs(database)} runs in mlruns/mlflow.db")]


def _registry(project: Path) -> list[Finding]:
    if not (project / "artifacts" / "register" / "registration.json").is_file():
        return [Finding(OK, "model registry", "nothing registered yet; a run does it")]
    if _at_work(project) is not None:
        return [Finding(NOTE, "model registry", "not compared while a run is at work", "ask again when it has ended")]
    from tasks.registry_care import mend

    mended = mend(project)
    if mended:
        return [Finding(NOTE, "model registry", f"did not match artifacts/ and was mended: {mended}")]
    return [Finding(OK, "model registry", "holds the model of artifacts/")]


def _promotions(project: Path) -> list[Finding]:
    from adapters.promotion_ledger import read_ledger
    from tasks.promotion import faults

    ledger = read_ledger(project)
    registered = (project / "artifacts" / "register" / "registration.json").is_file()
    wrong = faults(project) if ledger.lines or ledger.problems or registered else []
    if not ledger.lines and not wrong:
        return [Finding(OK, "promotions", "no model has had a champion yet")]
    found = [Finding(BAD, "promotions", problem, "compare it with a copy of yours") for problem in wrong]
    if ledger.half:
        text = "the last line of the ledger was half written by a process that was killed"
        found.append(Finding(NOTE, "promotions", text, "the next line takes its place; no promotion is lost"))
    return found or [Finding(OK, "promotions", f"{len(ledger.lines)} in the ledger, every hash is that of its line")]


def _looks(project: Path) -> list[Finding]:
    from adapters.sealed_labels import cut_off, read_looks

    looks = read_looks(project)
    wrong = [*looks.problems]
    with suppress(EnvironmentFault):  # a store that cannot be read is told of by itself
        wrong += cut_off(project) if (project / "mlruns" / "mlflow.db").is_file() else []
    if wrong:
        return [Finding(BAD, "test images", one, "compare it with a copy of yours") for one in wrong]
    return [Finding(OK, "test images", f"{len(looks.lines)} looks in the ledger, every hash is that of its line")]


def _disk(project: Path) -> list[Finding]:
    free = installed.free_bytes(project)
    found = f"{free / 1e9:.1f} GB free"
    if free < _TOO_LITTLE_BYTES:
        return [Finding(BAD, "disk", found, "free some space")]
    return [
        Finding(
            NOTE if free < _LITTLE_SPACE_BYTES else OK,
            "disk",
            found,
            "free some space" if free < _LITTLE_SPACE_BYTES else "",
        )
    ]


def _lock(project: Path) -> list[Finding]:
    pid = _at_work(project)
    if pid is not None:
        return [Finding(NOTE, "lock", f"process {pid} is running the pipeline here", "wait until it ends, or stop it")]
    return [Finding(OK, "lock", "free")]


def _at_work(project: Path) -> int | None:
    """Return the process that is running the pipeline here, if any."""
    return holder_of(state_folder(project) / "run.lock")


def _telemetry(_: Path) -> list[Finding]:
    on = [name for name, silent in _TELEMETRY if (environment.get(name) or "").lower() != silent]
    if on:
        return [Finding(NOTE, "telemetry", f"your environment overrules {', '.join(on)}", f"unset {' '.join(on)}")]
    return [Finding(OK, "telemetry", "off for Prefect, MLflow, DVC and Great Expectations")]

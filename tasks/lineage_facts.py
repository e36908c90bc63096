"""Everything that is known of a registered version, fact by fact; what nobody recorded is a fact without a value."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters import dvc_cache, git_copies, machine, mlflow_lineage, origin_files
from adapters.json_files import sha256_of
from adapters.mlflow_aliases import CARD_TAG, MODEL_TAG
from adapters.mlflow_registry import CODE_TAG
from adapters.promotion_ledger import Line, read_ledger
from adapters.promotions import AGAINST_TAG, CHAMPION, GATE_TAG, WHY_TAG
from adapters.version_records import Run, Version, folder_at, near
from adapters.weights_cards import DATA_TAG, LICENCE_TAG, ORIGIN_TAG
from tasks.licences import UNKNOWN_TAG, WEIGHTS_DIGEST
from tasks.lineage_params import params_of
from tasks.origin import COMMIT, DATA_PATH, DIRTY, ENVIRONMENT, MACHINE

REPORT = Path("report", "index.html")  # of the stage `report`, below the files of its run
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Fact:
    """Something known of a version.

    Args:
        part: what it belongs to: version, data, code, params, weights, environment, runs, result or promotions.
        label: what it is.
        value: JSON-able; None where it was not recorded.
        note: what should be known beside it, in words; "" for nothing.
    """

    part: str
    label: str
    value: Any
    note: str = ""


def facts_of(project: Path, version: Version) -> Iterator[Fact]:
    """Yield everything that is known of a version."""
    lines = read_ledger(project).of(version.name)
    register = mlflow_lineage.run(project, version.run_id) if version.run_id else None
    parent = mlflow_lineage.parent_of(project, version.run_id) if version.run_id else None
    origin = origin_folder(version, register)
    yield from _version(project, version, lines)
    yield from _data(project, version)
    yield from _code(project, version, origin)
    for label, value, note in params_of(project, version, parent, origin):
        yield Fact("params", label, value, note)
    yield from _weights(version)
    yield from _environment(version, origin)
    yield from _runs(project, register, parent)
    yield from _result(version)
    yield from _promotions(version, lines)


def kept_files(version: Version) -> dict[str, str]:
    """Return name -> sha256 of what was kept of the making of a version, or why it was not; {} where nothing was."""
    return origin_files.recorded(version.tags)


def origin_folder(version: Version, register: Run | None) -> Path | None:
    """Return the folder on this disk with the files that made a version; None where there is none.

    Args:
        version: of a registered model.
        register: the run that registered it.
    """
    digests = kept_files(version)
    places = [folder_at(version.location), None if register is None else folder_at(register.place)]
    return origin_files.find([place for place in places if place is not None], digests) if digests else None


def _version(project: Path, version: Version, lines: Sequence[Line]) -> Iterator[Fact]:
    yield Fact("version", "model", version.name)
    yield Fact("version", "version", version.number)
    yield Fact("version", "aliases", list(version.aliases))
    since = next((line.time for line in reversed(lines) if line.after == version.number), None)
    if CHAMPION in version.aliases:
        yield Fact("version", "champion since", since)
    yield Fact("version", "registered", datetime.fromtimestamp(version.created_ms / 1000, UTC).isoformat())
    yield Fact("version", "model sha256", version.tags.get(MODEL_TAG))
    yield Fact("version", "card sha256", version.tags.get(CARD_TAG))
    folder = folder_at(version.location)
    gone = folder is not None and not (folder / "MLmodel").is_file()
    yield Fact("version", "files", near(project, version.location), "gone" if gone else "")


def _data(project: Path, version: Version) -> Iterator[Fact]:
    digest = _known(version.tags.get(mlflow_lineage.DIGEST_TAG))
    yield Fact("data", "name", version.tags.get(mlflow_lineage.NAME_TAG))
    yield Fact("data", "path", version.tags.get(DATA_PATH))
    yield Fact("data", "digest", digest, "" if digest is None else _kept(project, digest))


def _kept(project: Path, digest: str) -> str:
    kept, remote = dvc_cache.kept(project, digest), dvc_cache.remote(project)
    if kept.whole:
        return f"all {kept.n_files} files are in the DVC cache"
    beyond = f"; the remote {remote} may hold more" if remote else ""
    if kept.n_files is None:
        return f"its files are not in the DVC cache{beyond}"
    return f"{kept.n_here} of {kept.n_files} files are in the DVC cache{beyond}"


def _code(project: Path, version: Version, origin: Path | None) -> Iterator[Fact]:
    commit = _known(version.tags.get(COMMIT))
    here = commit is not None and git_copies.has_commit(project, commit)
    yield Fact("code", "commit", commit, "" if here or commit is None else "no longer in this repository")
    yield Fact("code", "beyond the commit", _changes(project, version, origin))
    yield Fact("code", "code sha256", version.tags.get(CODE_TAG), "of what travels with the model")


def _changes(project: Path, version: Version, origin: Path | None) -> str | None:
    """Say what the code was beside its commit; None where that was not recorded."""
    files, changed = kept_files(version), version.tags.get(DIRTY) == "true"
    if not files:
        return None if changed or DIRTY not in version.tags else "nothing"
    if origin_files.ARCHIVE in files:
        return "all of it: it was in no commit, and is kept with the version"
    said = files.get(origin_files.PATCH)
    if said is None:
        return "nothing of the code" if changed else "nothing"
    if said.startswith(origin_files.NOT_KEPT):
        return said
    return "changes of the code, which are gone" if origin is None else near(project, origin / origin_files.PATCH)


def _weights(version: Version) -> Iterator[Fact]:
    tags = version.tags
    yield Fact("weights", "backbone", tags.get("backbone"))
    yield Fact("weights", "sha256", tags.get(WEIGHTS_DIGEST))
    for label, tag in (("licence", LICENCE_TAG), ("origin", ORIGIN_TAG), ("trained on", DATA_TAG)):
        yield Fact("weights", label, tags.get(tag))
    if UNKNOWN_TAG in tags:
        yield Fact("weights", "unknown", tags[UNKNOWN_TAG])


def _environment(version: Version, origin: Path | None) -> Iterator[Fact]:
    yield Fact("environment", "summary", version.tags.get(ENVIRONMENT))
    then, now = version.tags.get(MACHINE), machine.described()
    yield Fact("environment", "machine", then, f"here now: {now}" if then not in (None, now) else "")
    file = None if origin is None else origin / origin_files.PACKAGES
    if file is None or not file.is_file():
        yield Fact("environment", "packages", None)
        return
    recorded = file.read_text(encoding="utf-8").split()
    changed = origin_files.moved(recorded)
    more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
    note = f"differ here now: {', '.join(changed[:_NAMED])}{more}" if changed else "the same here now"
    yield Fact(
        "environment", "packages", {"sha256": sha256_of(file), "number": len(recorded), "changed": changed}, note
    )


def _runs(project: Path, register: Run | None, parent: Run | None) -> Iterator[Fact]:
    yield Fact("runs", "register", None if register is None else register.run_id, _gone(register))
    yield Fact("runs", "pipeline", None if parent is None else parent.run_id, _gone(parent))
    below = [] if parent is None else mlflow_lineage.children_of(project, parent.run_id)
    stages = {one.stage: one.run_id for one in below if one.stage}
    yield Fact("runs", "stages", stages or None)
    yield Fact("runs", "report", _report(project, below))


def _report(project: Path, below: Sequence[Run]) -> str | None:
    """Return where the report of a pipeline run lies: its page on this disk, else its run."""
    found = [one for one in below if one.stage == REPORT.parent.name]
    if not found:
        return None
    folder = folder_at(found[-1].place)
    pages = [] if folder is None else [page for page in (folder / REPORT, folder / REPORT.name) if page.is_file()]
    return near(project, pages[0]) if pages else f"{found[-1].place} (run {found[-1].run_id})"


def _gone(run: Run | None) -> str:
    return "deleted" if run is not None and run.deleted else ""


def _result(version: Version) -> Iterator[Fact]:
    tags = version.tags
    yield Fact("result", "accuracy", tags.get("accuracy"))
    yield Fact("result", "figures", _figures(tags.get("metrics")))
    yield Fact("result", "verdict", tags.get("verdict_kind"), tags.get("verdict", ""))
    yield Fact("result", "gate", tags.get(GATE_TAG), tags.get(WHY_TAG, ""))
    yield Fact("result", "judged beside", tags.get(AGAINST_TAG))


def _figures(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


def _promotions(version: Version, lines: Sequence[Line]) -> Iterator[Fact]:
    own = [line for line in lines if version.number in (line.before, line.after)]
    moves: list[Mapping[str, Any]] = [
        {"time": line.time, "from": line.before, "to": line.after, "by": line.by, "why": line.why} for line in own
    ]
    yield Fact("promotions", "moves", moves)


def _known(value: str | None) -> str | None:
    return None if value in (None, "none", "unknown") else value

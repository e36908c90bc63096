"""What the report says of where the model comes from, and how to make it again."""

import shlex
from typing import Any

from adapters import environment
from tasks.report_records import Records
from tasks.report_words import served

_UNKNOWN, _NONE = "unknown", "none"  # what is not known; a project without a commit


def lineage(records: Records) -> dict[str, Any]:
    """Return facts of the model's origin, and the commands that make and use it."""
    registration, winner = records.registration, records.ranking["candidates"][0]
    gate = served(records)
    commit = registration.get("git_commit", _NONE)
    changed = registration.get("git_dirty") == "true" and commit != _NONE
    run = environment.get(environment.PARENT_RUN)
    facts = [
        ("Model", f"{records.model}, alias {gate['alias']} when this was written"),
        ("Model weights", f"sha256 {registration['model_sha256']}"),
        ("Backbone", winner["reference"]),
        ("Pretrained weights", f"sha256 {winner['weights_sha256']}" if winner["weights_sha256"] else "random"),
        ("Their licence", registration.get("weights_licence", _UNKNOWN)),
        ("Their origin", registration.get("weights_origin", _UNKNOWN)),
        ("Their training data", registration.get("weights_training_data", _UNKNOWN)),
        ("Data set", records.params.data.path),
        ("Digest of the data", records.data_digest or _UNKNOWN),
        ("Code", _code(commit, changed=changed)),
        ("Parameters", f"sha256 {registration.get('params_sha256', _UNKNOWN)}"),
        ("Environment", registration.get("environment", _UNKNOWN)),
        (
            "MLflow",
            f"run {run}, with a child run for each stage" if run else "the runs of this project, tag stage=report",
        ),
    ]
    return {"facts": facts, "commands": _commands(records, gate), "changed": changed}


def _code(commit: str, *, changed: bool) -> str:
    if commit == _NONE:
        return "in no commit: the project has none"
    return f"commit {commit}{', with uncommitted changes' if changed else ''}"


def _commands(records: Records, gate: dict[str, Any]) -> list[tuple[str, str]]:
    version = shlex.quote(f"{records.registration['name']}/{records.registration['model_version']}")
    data = shlex.quote(records.params.data.path)
    return [
        (f"rootstock lineage {version}", "all that is recorded of what it was made from"),
        (f"rootstock reproduce {version}", "makes it again beside the project: is it the same?"),
        (f"rootstock predict {shlex.quote(gate['uri'])} {data}", "classifies images with it"),
        (f"rootstock champions {shlex.quote(records.registration['name'])}", "who was champion when, on whose word"),
    ]

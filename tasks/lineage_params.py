"""The parameters of a registered version: those of the file that was kept with it; else what its run says."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapters import mlflow_lineage, params_file
from adapters.mlflow_texts import key_of, text_of
from adapters.origin_files import SETTINGS
from adapters.version_records import Run, Version, near
from tasks.origin import PARAMS, params_digest
from transfer.errors import UserError

_NAMED = 3


def params_of(
    project: Path, version: Version, parent: Run | None, origin: Path | None
) -> Iterator[tuple[str, Any, str]]:
    """Yield label, value and note of what is known of the parameters.

    The run of a pipeline names those it began with, as texts; what a climb of mitigations made of them stands in the
    file alone.

    Args:
        project: the project's folder.
        version: of a registered model.
        parent: the run of its pipeline.
        origin: folder of what made it, each file with the digest it was kept with.
    """
    digest = version.tags.get(PARAMS)
    texts = {} if parent is None else mlflow_lineage.params_of(project, parent.run_id)
    file = None if origin is None else origin / SETTINGS
    values = None if file is None or not file.is_file() else _values(file, digest)
    if file is None or values is None:
        said: dict[str, Any] = {key: _value(text) for key, text in sorted(texts.items())}
        yield "sha256", digest, _of_run(said, digest)
        yield "values", said or None, "those the run began with" if said else ""
        yield "file", None, ""
        return
    whole = params_digest(values) == digest
    yield "sha256", digest, f"the digest of the {len(values)} values" if whole else "of these values and defaults"
    yield "values", values, _others(values, texts)
    yield "file", near(project, file), ""


def _values(file: Path, digest: str | None) -> dict[str, Any] | None:
    """Return every parameter of a file; None where it cannot be read.

    Where the file alone does not come to the digest, keys left to their defaults are added as they are today.
    """
    try:
        blocks = params_file.read(file)
        flat = {f"{block}.{key}": value for block, keys in blocks.items() for key, value in (keys or {}).items()}
        if params_digest(flat) == digest:
            return flat
    except (UserError, AttributeError, TypeError):
        return None
    from tasks.params import flatten, read_params  # pydantic, which takes longer than the rest of the answer

    try:
        checked = flatten(read_params(file))
    except UserError:  # today's schema is another one
        return flat
    return checked if params_digest(checked) == digest else flat


def _others(values: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """Say which values the run names otherwise; those that it does not name were left to their defaults."""
    pairs = [(key, text_of(value), texts.get(key_of(key))) for key, value in values.items()]
    named = [f"{key} {said}" for key, text, said in pairs if said not in (None, text)]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return f"the run says otherwise: {', '.join(named[:_NAMED])}{more}" if named else ""


def _of_run(values: Mapping[str, Any], digest: str | None) -> str:
    """Say what the values of a run are to the digest: a text does not tell whether it was a number."""
    if not values or digest is None:
        return ""
    if params_digest(values) == digest:
        return f"the digest of the {len(values)} values of the run"
    return "no file with these values is kept; the run's are texts, and need not be all of them"


def _value(text: str) -> Any:
    """Return the value whose text MLflow keeps."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text

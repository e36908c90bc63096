"""The parameters of the project: what params.yaml may say, and the sentence for what it may not."""

from collections.abc import Mapping
from dataclasses import fields
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

from adapters import params_file
from tasks.params_blocks import (
    SELECTED,
    DataParams,
    EvaluateParams,
    ExplainParams,
    FinetuneParams,
    ManifestParams,
    ReferenceParams,
    RegisterParams,
    ReportParams,
    SampleParams,
    SelectParams,
    ValidateParams,
)
from tasks.params_sentences import allowed_values, shown, words
from transfer.errors import UserError

PARAMS_FILE = "params.yaml"

_AS_CLOSE = 0.05  # a second name is offered beside the closest one only where it is about as close
_HEADS_OF_FROZEN = ("forest", "knn")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Params:
    """Every parameter of the project, a block a stage.

    A dataclass, because a pydantic model cannot have a field named validate.
    """

    data: DataParams = DataParams()
    sample: SampleParams = SampleParams()
    manifest: ManifestParams = ManifestParams()
    validate: ValidateParams = ValidateParams()
    select: SelectParams = SelectParams()
    finetune: FinetuneParams = FinetuneParams()
    reference: ReferenceParams = ReferenceParams()
    evaluate: EvaluateParams = EvaluateParams()
    explain: ExplainParams = ExplainParams()
    register: RegisterParams = RegisterParams()
    report: ReportParams = ReportParams()


def read_params(path: str | Path = PARAMS_FILE) -> Params:
    """Read and check the parameter file.

    Args:
        path: the file, relative to the current directory.

    Raises:
        UserError: the file is missing, is not YAML, names an unknown key or holds a value that is not allowed.
    """
    params = check_params(params_file.read(Path(path)), source=str(path))
    require_consistent(params, str(path))
    return params


def require_consistent(params: Params, source: str = PARAMS_FILE) -> None:
    """Refuse values that are allowed one by one, but not together.

    Raises:
        UserError: a head or norm statistics that do not go with what the strategy trains, or a penalty on batches that
            processes share.
    """
    for strategy in strategies_of(params):
        _require_suited(params.finetune, strategy, source)
    if params.finetune.bss and params.finetune.processes > 1:
        bss, processes = params.finetune.bss, params.finetune.processes
        raise UserError(
            f"{source}: finetune.bss is {bss:g} and finetune.processes {processes}, but "
            "singular values are those of a whole batch, in one process; set bss=0 or processes=1 and run again."
        )


def strategies_of(params: Params) -> tuple[str, ...]:
    """Return the strategies that fine-tuning may follow: the one that is named, or those that `select` tries out."""
    named = params.finetune.strategy
    return params.select.strategies if named == SELECTED else (named,)


def _require_suited(settings: FinetuneParams, strategy: str, source: str) -> None:
    head, norms = settings.head, settings.norms
    if strategy == "scratch" and head != "ridge":
        raise UserError(
            f"{source}: finetune.head is {head!r}, but finetune.strategy scratch fits no head to features; "
            f"leave the head at ridge, or choose another strategy, and run again."
        )
    if head in _HEADS_OF_FROZEN and strategy != "features":
        raise UserError(
            f"{source}: finetune.head is {head!r}, which no step can train, but finetune.strategy is {strategy!r}; "
            f"make the strategy features, or the head ridge, logistic or svm, and run again."
        )
    if (norms, strategy) == ("trained", "features") or (norms != "auto" and strategy == "scratch"):
        raise UserError(
            f"{source}: finetune.norms is {norms!r}, but finetune.strategy {strategy} "
            f"{'trains no layer' if strategy == 'features' else 'always trains them'}; "
            f"leave the norms at auto, or choose another strategy, and run again."
        )


def check_params(values: Mapping[str, Any], source: str = PARAMS_FILE) -> Params:
    """Check nested values against the schema.

    Args:
        values: block name -> key -> value, as YAML gives them.
        source: what the error sentence calls the place the values came from.

    Raises:
        UserError: an unknown key or a value that is not allowed; the sentence names the first one.
    """
    try:
        return TypeAdapter(Params).validate_python(values)
    except ValidationError as error:
        raise UserError(_sentence(error.errors()[0], source)) from error


def flatten(params: Params) -> dict[str, Any]:
    """Return every parameter under its dotted key, as YAML would give it (lists, not tuples)."""
    return {
        f"{block.name}.{key}": value
        for block in fields(Params)
        for key, value in getattr(params, block.name).model_dump(mode="json").items()
    }


def declared_fields() -> dict[str, FieldInfo]:
    """Return the declaration of every parameter under its dotted key, in the order of the file."""
    return {
        f"{block.name}.{key}": declaration
        for block in fields(Params)
        if isinstance(block.type, type) and issubclass(block.type, BaseModel)
        for key, declaration in block.type.model_fields.items()
    }


def unknown_key(key: str, source: str) -> UserError:
    """Return the error for a key that no stage reads, with the closest known ones."""
    known = [*declared_fields()]
    close = get_close_matches(key, known, n=2, cutoff=0.75)
    alike = [SequenceMatcher(None, key, name).ratio() for name in close]
    close = [name for name, ratio in zip(close, alike, strict=True) if ratio > alike[0] - _AS_CLOSE]
    close = close or [name for name in known if name.partition(".")[2] == key.rpartition(".")[2]][:2]
    block = [name for name in known if name.startswith(key.partition(".")[0] + ".")]
    listed = block or list(dict.fromkeys(name.partition(".")[0] for name in known))
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(listed)}."
    return UserError(f"{source}: there is no parameter {key!r}; {hint}")


def _sentence(problem: Any, source: str) -> str:
    place = [str(part) for part in problem["loc"]]
    key = ".".join(place[:2])
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return str(unknown_key(key, source))
    if len(place) == 1:
        return f"{source}: {key!r} is {shown(problem['input'])}, but must be a block of keys; restore it and run again."
    if len(place) == 0:
        return f"{source} must hold blocks of keys (data:, select:, ...); restore it from git and run again."
    field = declared_fields()[key]
    inner = [] if words(field) else place[2:]  # of a union pydantic names the member that it tried
    spot = key + "".join(f"[{part}]" for part in inner if part != "[key]")
    return (
        f"{source}: {spot} is {shown(problem['input'])}, but must be {allowed_values(field)}; change it and run again."
    )

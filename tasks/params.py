"""The parameters of the project: what params.yaml may say, and the sentence for what it may not."""

from collections.abc import Mapping
from dataclasses import fields
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

from adapters import params_file
from tasks.params_sentences import allowed_values, shown, words
from transfer.errors import UserError

PARAMS_FILE = "params.yaml"

_CLOSED = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, regex_engine="python-re")
_Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
_Rate = Annotated[float, Field(gt=0, le=1)]
_AUTO = Literal["auto"]
_Name = Annotated[str, Field(min_length=1)]
_Strategy = Annotated[
    str, Field(pattern=r"^(staged|features|last-[1-9][0-9]*|gradual|full|norm-only|bias-only|scratch)$")
]
_MAX_SIDE_PX = 4096
_AS_CLOSE = 0.05  # a second name is offered beside the closest one only where it is about as close
_HEADS_OF_FROZEN = ("forest", "knn")
SELECTED = "selected"  # the strategy that `select` found to be the best
AUTO_NORMS, FROZEN_NORMS, REESTIMATED_NORMS, TRAINED_NORMS = "auto", "frozen", "reestimated", "trained"


def _distinct(texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(texts)) != len(texts):
        raise ValueError("named twice")
    return texts


class DataParams(BaseModel):
    """Where the data set is, relative to the project's root unless absolute."""

    model_config = _CLOSED
    path: _Name = "data/digits"


class SampleParams(BaseModel):
    """The embedded data set."""

    model_config = _CLOSED
    size_px: int = Field(default=32, ge=8, le=_MAX_SIDE_PX)


class ManifestParams(BaseModel):
    """Which images are held out."""

    model_config = _CLOSED
    seed: _Seed = 0
    val_fraction: float = Field(default=0.2, gt=0, le=0.45)
    test_fraction: float = Field(default=0.2, gt=0, le=0.45)


class ValidateParams(BaseModel):
    """What the data must look like."""

    model_config = _CLOSED
    max_quarantined_fraction: float = Field(default=0.05, ge=0, le=1)
    min_images_per_class: int = Field(default=3, ge=2)
    min_side_px: int = Field(default=8, ge=1, le=_MAX_SIDE_PX)
    max_class_ratio: float = Field(default=20.0, ge=1)


class SelectParams(BaseModel):
    """Which backbones compete, on how many rows, with which weights files."""

    model_config = _CLOSED
    candidates: Annotated[tuple[_Name, ...], Field(min_length=1, strict=False), AfterValidator(_distinct)] = (
        "rootstock/strokes",
        "rootstock/strokes@none",
    )
    max_rows: int = Field(default=2000, ge=2)
    knn_k: int = Field(default=5, ge=1)
    confidence: float = Field(default=0.95, ge=0.5, le=0.999)
    strategies: Annotated[tuple[_Strategy, ...], Field(min_length=1, strict=False), AfterValidator(_distinct)] = (
        "staged",
    )
    trial_images: int = Field(default=0, ge=0)
    candidates_at_once: int = Field(default=1, ge=1, le=64)
    memory: bool = True
    max_latency_ms: Annotated[float, Field(gt=0)] | None = None
    max_size_mb: Annotated[float, Field(gt=0)] | None = None
    max_training_s: Annotated[float, Field(gt=0)] | None = None
    weights_sha256: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(default_factory=dict)


class FinetuneParams(BaseModel):
    """How the winner is adapted."""

    model_config = _CLOSED
    seed: _Seed = 0
    strategy: _Strategy | Literal["selected"] = "staged"
    head: str = Field(default="ridge", pattern=r"^(ridge|logistic|svm|forest|knn)$")
    max_images_seen: int = Field(default=1500, ge=1)
    epochs: int = Field(default=10, ge=1)
    batch_size: Annotated[int, Field(ge=2)] | _AUTO = 32
    head_lr: _Rate | _AUTO = 0.0001
    backbone_lr: _Rate | _AUTO = 0.0001
    lr_decay: float = Field(default=2.6, ge=1, le=100)
    scratch_lr: _Rate = 0.001
    weight_decay: float = Field(default=0.05, ge=0, le=1)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    trivial_augment: bool = False
    norms: str = Field(default="auto", pattern=r"^(auto|frozen|reestimated|trained)$")
    imbalance: Annotated[str, Field(pattern=r"^(auto|none|weights|sampling|logits)$")] = "auto"
    budget_s: Annotated[float, Field(gt=0)] | None = None
    processes: int = Field(default=1, ge=1, le=1024)
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")


class ReferenceParams(BaseModel):
    """How the models that the transfer has to beat are trained."""

    model_config = _CLOSED
    seed: _Seed = 0
    learning_rate: _Rate = 0.001


class EvaluateParams(BaseModel):
    """How the test rows are summarised."""

    model_config = _CLOSED
    confidence: float = Field(default=0.95, ge=0.5, le=0.999)
    margin: float = Field(default=0.01, ge=0, le=0.5)
    set_error: float = Field(default=0.1, ge=0.001, le=0.5)
    resamples: int = Field(default=1000, ge=100, le=100_000)
    seed: _Seed = 0


class RegisterParams(BaseModel):
    """Under which name the model is registered, the data set's when None; what makes it the champion."""

    model_config = _CLOSED
    model_name: Annotated[str, Field(pattern=r"^[^/:%.@?]+$")] | None = None
    promote: str = Field(default="superior", pattern=r"^(superior|non-inferior|by-hand)$")
    confidence: float = Field(default=0.95, ge=0.5, le=0.999)
    margin: float = Field(default=0.01, gt=0, lt=0.5)
    min_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    max_ece: Annotated[float, Field(ge=0, le=1)] | None = None
    max_latency_p95_ms: Annotated[float, Field(gt=0)] | None = None
    max_size_mb: Annotated[float, Field(gt=0)] | None = None
    allow_unknown_licence: bool = False


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
    register: RegisterParams = RegisterParams()


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
        UserError: a head or norm statistics that do not go with what the strategy trains.
    """
    for strategy in strategies_of(params):
        _require_suited(params.finetune, strategy, source)


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

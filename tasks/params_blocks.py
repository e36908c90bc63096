"""The blocks of params.yaml, one a stage: what each key may be."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_CLOSED = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, regex_engine="python-re")
_Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
_Rate = Annotated[float, Field(gt=0, le=1)]
_AUTO = Literal["auto"]
_Name = Annotated[str, Field(min_length=1)]
_Said = Annotated[str, Field(pattern=r"\S")]
_Strategy = Annotated[
    str, Field(pattern=r"^(staged|features|last-[1-9][0-9]*|gradual|full|norm-only|bias-only|scratch)$")
]
_MAX_SIDE_PX = 4096
WARN, STOP, MITIGATE = "warn", "stop", "mitigate"  # what a negative verdict leads to
REQUIRED = "required"  # of approval: a person has to say so too
SELECTED = "selected"  # the strategy that `select` found to be the best
AUTO_NORMS, FROZEN_NORMS, REESTIMATED_NORMS, TRAINED_NORMS = "auto", "frozen", "reestimated", "trained"


def _distinct(texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(texts)) != len(texts):
        raise ValueError("named twice")
    return texts


class DataParams(BaseModel):
    """Where the data set is, relative to the project's root unless absolute; how its table is to be read."""

    model_config = _CLOSED
    path: _Name = "data/digits"
    table: _Name | None = None
    images: _Name | None = None
    image: _Name | None = None
    label: _Name | None = None
    group: _Name | None = None
    split: _Name | None = None
    columns: Annotated[tuple[_Name, ...], Field(strict=False), AfterValidator(_distinct)] | None = None

    def names(self) -> tuple[str, ...]:
        """Return what the data set may be called: its folder, and its table if it has to be named."""
        return (self.path,) if self.table is None else (self.path, f"{self.path}/{self.table}")


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
    near_duplicates: bool = True


class ValidateParams(BaseModel):
    """What the data must look like."""

    model_config = _CLOSED
    max_quarantined_fraction: float = Field(default=0.05, ge=0, le=1)
    min_images_per_class: int = Field(default=3, ge=2)
    min_side_px: int = Field(default=8, ge=1, le=_MAX_SIDE_PX)
    max_class_ratio: float = Field(default=20.0, ge=1)
    max_aspect_ratio: float = Field(default=10.0, ge=1)
    min_highlight: float = Field(default=0.15, ge=0, le=1)
    max_shadow: float = Field(default=0.9, ge=0, le=1)
    min_contrast: float = Field(default=0.05, ge=0, le=1)
    min_sharpness: float = Field(default=0.02, ge=0, le=4)
    max_drift: float = Field(default=0.1, ge=0)
    confidence: float = Field(default=0.95, ge=0.5, le=0.999)
    severities: dict[str, Literal["error", "warning", "info", "ignore"]] = Field(default_factory=dict)


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
    l2_sp: Annotated[float, Field(ge=0, le=1)] | _AUTO = "auto"
    bss: float = Field(default=0.0, ge=0, le=1)
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
    on_negative: str = Field(default=WARN, pattern=rf"^({WARN}|{STOP}|{MITIGATE})$")


class ExplainParams(BaseModel):
    """Which answers are explained, how, and what they are compared with."""

    model_config = _CLOSED
    errors: int = Field(default=8, ge=1, le=100)
    right: int = Field(default=8, ge=1, le=100)
    nearest: int = Field(default=3, ge=1, le=20)
    max_rows: int = Field(default=2000, ge=1)
    method: str = Field(default="auto", pattern=r"^(auto|grad-cam|integrated-gradients|occlusion)$")
    networks: int = Field(default=5, ge=2, le=100)
    seed: _Seed = 0


class RegisterParams(BaseModel):
    """Under which name the model is registered, the data set's when None; what makes it the champion."""

    model_config = _CLOSED
    model_name: Annotated[str, Field(pattern=r"^[^/:%.@?]+$")] | None = None
    promote: str = Field(default="superior", pattern=r"^(superior|non-inferior|by-hand)$")
    approval: str = Field(default="none", pattern=r"^(none|required)$")
    confidence: float = Field(default=0.95, ge=0.5, le=0.999)
    margin: float = Field(default=0.01, gt=0, lt=0.5)
    min_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    min_worst_slice: Annotated[float, Field(ge=0, le=1)] | None = None
    max_ece: Annotated[float, Field(ge=0, le=1)] | None = None
    max_latency_p95_ms: Annotated[float, Field(gt=0)] | None = None
    max_size_mb: Annotated[float, Field(gt=0)] | None = None
    allow_unknown_licence: bool = False


class ReportParams(BaseModel):
    """What only the owner of a model can say; the model card tells what is not stated."""

    model_config = _CLOSED
    title: _Said | None = None
    owner: _Said | None = None
    contact: _Said | None = None
    licence: _Said | None = None
    intended_use: _Said | None = None
    out_of_scope: _Said | None = None
    factors: _Said | None = None
    training_data: _Said | None = None
    ethics: _Said | None = None
    caveats: _Said | None = None

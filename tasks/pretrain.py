"""The stage `pretrain`: train the shipped backbone on procedural images, then write its weights and its card."""

import copy
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import params_file
from adapters.json_files import atomic_write, sha256_of, write_plain_json
from adapters.source_samples import N_IMAGES, recipe_of, write_sample
from tasks.progress import progress
from tasks.step import step
from transfer.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

PARAMS_FILE = Path("backbones/params.yaml")
WEIGHTS_FILE = Path("backbones/strokes.safetensors")
CARD_FILE = Path("backbones/strokes.json")
HELD_OUT_CLASSES = {"glyph": 100, "contour": 25, "fractal": 10, "texture": 15}
HELD_OUT_EPISODES = 40


@dataclass(frozen=True, slots=True)
class PretrainParams:
    """The block `pretrain` of backbones/params.yaml; the file says what each value means."""

    seed: int
    device: str
    threads: int
    classes: dict[str, int]
    n_variants: int
    template_px: int
    steps: int
    batch_size: int
    learning_rate: float
    warmup_fraction: float
    weight_decay: float
    label_smoothing: float
    average_decay: float
    bfloat16: bool
    report_every_steps: int


@dataclass(frozen=True, slots=True)
class Pretrained:
    """What training leaves.

    Args:
        weights: name -> float32 tensor on the CPU, the moving average of the trunk.
        figures: what the card reports about the training.
        features: float32 (N, D) of images drawn as those it was trained on.
    """

    weights: dict[str, Any]
    figures: dict[str, Any]
    features: Any


@step
def read_params() -> PretrainParams:
    """Read the block `pretrain` and refuse unknown and missing keys.

    Raises:
        UserError: the file or a key is missing, or a key is unknown.
    """
    block = params_file.read(PARAMS_FILE).get("pretrain")
    known = {field.name for field in fields(PretrainParams)}
    if not isinstance(block, dict) or set(block) != known:
        wrong = sorted(known ^ set(block)) if isinstance(block, dict) else sorted(known)
        raise UserError(
            f"{PARAMS_FILE}: the block pretrain has unknown or missing keys ({', '.join(wrong)}); restore it from git."
        )
    return PretrainParams(**block)


@step
def train(params: PretrainParams) -> Pretrained:
    """Train StrokesNet from random weights.

    Raises:
        UserError: the device is not there.
    """
    import torch

    from transfer.backbones.strokes import FEATURE_DIM, PREPROCESS, strokes
    from transfer.pretraining.bank import draw_bank
    from transfer.pretraining.held_out import few_shot_accuracy
    from transfer.pretraining.loop import PretrainingRecord, pretrain

    if params.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "pretrain.device is cuda and PyTorch finds no CUDA device here; set it to cpu in backbones/params.yaml."
        )
    torch.set_num_threads(params.threads)
    generator = torch.Generator(params.device).manual_seed(params.seed)
    bank = draw_bank(params.classes, params.n_variants, params.template_px, generator)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(params.seed)  # initial weights; torch.nn offers no generator
        trunk, head = strokes(), torch.nn.Linear(FEATURE_DIM, bank.n_classes)
    average = copy.deepcopy(trunk).to(params.device)
    models = trunk.to(params.device), head.to(params.device), average
    record = PretrainingRecord(0, 0, float("nan"), 0.0, 0.0)
    with progress("pretrain", params.steps) as shown:
        for record in pretrain(*models, bank, PREPROCESS, _settings(params), generator):
            shown.advance(record.step - shown.done)
    held_out = torch.Generator().manual_seed(params.seed + 1)
    unseen = draw_bank(HELD_OUT_CLASSES, params.n_variants, params.template_px, held_out)
    accuracy = few_shot_accuracy(average.cpu(), unseen, PREPROCESS, HELD_OUT_EPISODES, held_out)
    weights = {name: value.contiguous() for name, value in average.state_dict().items()}
    figures = {"last": asdict(record), "held_out_5_shot_10_way_accuracy": round(accuracy, 4)}
    return Pretrained(weights, figures, features_of_source(params, average))


@step
def write(params: PretrainParams, pretrained: Pretrained) -> None:
    """Write the weights and the card, each under a temporary name first."""
    import torch
    from safetensors.torch import save

    from transfer.backbones.strokes import DEPTH_GROUPS, FEATURE_DIM, PREPROCESS, strokes

    with atomic_write(WEIGHTS_FILE) as temporary:
        temporary.write_bytes(save(pretrained.weights))
    with torch.random.fork_rng(devices=[]):
        n_parameters = sum(parameter.numel() for parameter in strokes().parameters())
    card = {
        "name": "rootstock/strokes",
        "architecture": "strokes",
        "weights": WEIGHTS_FILE.name,
        "sha256": sha256_of(WEIGHTS_FILE),
        "n_parameters": n_parameters,
        "feature_dim": FEATURE_DIM,
        "depth_groups": DEPTH_GROUPS,
        "preprocess": asdict(PREPROCESS),
        "licence": "Apache-2.0",
        "data": "images generated by transfer/pretraining; no data set was used",
        "images_seen": pretrained.figures["last"]["images_seen"],
        "training": asdict(params),
        "results": pretrained.figures,
    }
    write_plain_json(CARD_FILE, card)
    recipe = recipe_of(sha256_of(WEIGHTS_FILE), card["name"], PREPROCESS)
    write_sample(WEIGHTS_FILE, recipe, pretrained.features)


def features_of_source(params: PretrainParams, trunk: "nn.Module") -> "Tensor":
    """Return the features of images drawn as those that the trunk was trained on, float32 (N, D).

    Args:
        params: what the classes are drawn with.
        trunk: trained, on the CPU.
    """
    import torch

    from transfer.backbones.strokes import PREPROCESS
    from transfer.pretraining.bank import draw_bank
    from transfer.pretraining.loop import draw_batch

    generator = torch.Generator(params.device).manual_seed(params.seed)  # as `train` draws them: the same classes
    bank = draw_bank(params.classes, params.n_variants, params.template_px, generator)
    images, _ = draw_batch(bank, PREPROCESS, N_IMAGES, generator.manual_seed(params.seed + 2))
    with torch.inference_mode():
        features: Tensor = trunk.eval()(images.cpu())
    return features.float()


def _settings(params: PretrainParams) -> Any:
    """Return the loop's settings, which carry the same names in the parameter file."""
    from transfer.pretraining.loop import Settings

    return Settings(**{field.name: getattr(params, field.name) for field in fields(Settings)})

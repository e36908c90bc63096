"""Measure what starting from `rootstock/strokes` gains with a few labels a class, against every honest baseline.

    python benchmarks/strokes_gain.py digits
    python benchmarks/strokes_gain.py ../shared/datasets/mnist
    python benchmarks/strokes_gain.py ../shared/datasets/cifar10/train --shots 20 --frozen-only

The second form takes any folder of class folders. Each draw picks the labelled images; the test images are the rest of
scikit-learn's digits, or a fixed sample of a folder's images that no draw labels. Fine-tuned and from-scratch models
share one schedule.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from transfer.backbones.strokes import FEATURE_DIM, PREPROCESS, strokes
from transfer.pretraining.loop import normalised

WEIGHTS = Path(__file__).parent.parent / "backbones" / "strokes.safetensors"
EPOCHS, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, MAX_SHIFT_PX = 60, 50, 3e-3, 0.05, 3
RAW, SCRATCH = "raw pixels + LR", "from scratch"
RANDOM, FROZEN, TUNED = "random, frozen + LR", "strokes, frozen + LR", "strokes, fine-tuned"
CONTRASTS = ((FROZEN, RANDOM), (FROZEN, SCRATCH), (TUNED, SCRATCH))


@dataclass(frozen=True, slots=True)
class Draw:
    """One choice of labelled images; images float32 (N, 3, 32, 32) in [0, 1], labels int64 (N,)."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    seed: int


def main() -> None:
    """Print a table of accuracies and one of paired differences for every number of labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="digits, or a folder of class folders")
    parser.add_argument("--shots", type=int, nargs="+", default=[5, 10], help="labels a class")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--test-size", type=int, default=2000, help="test images of a folder")
    parser.add_argument("--frozen-only", action="store_true", help="leave out the arms that train the trunk")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    arms = {RAW: raw_pixels, RANDOM: random_frozen, FROZEN: strokes_frozen}
    if not options.frozen_only:
        arms |= {TUNED: strokes_tuned, SCRATCH: from_scratch}
    for shots in options.shots:
        draws = (
            digits_draws(shots, options.draws)
            if options.data == "digits"
            else folder_draws(Path(options.data), shots, options)
        )
        accuracies = {name: np.array([100.0 * arm(draw) for draw in draws]) for name, arm in arms.items()}
        print(
            table(f"{options.data}, {shots} labels a class, {len(draws[0].test_labels)} test images", accuracies),
            flush=True,
        )


def digits_draws(shots: int, n_draws: int) -> list[Draw]:
    """Draw labelled digits (8 px scans enlarged bicubically); the test images are all the others."""
    data = load_digits()
    grey = torch.tensor(data.images / 16.0, dtype=torch.float32)[:, None]
    size = (PREPROCESS.crop_px, PREPROCESS.crop_px)
    images = functional.interpolate(grey, size, mode="bicubic", align_corners=False).clamp(0, 1).expand(-1, 3, -1, -1)
    labels = torch.tensor(data.target)
    return [_digits_draw(images, labels, shots, seed) for seed in range(n_draws)]


def _digits_draw(images: Tensor, labels: Tensor, shots: int, seed: int) -> Draw:
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    chosen = torch.cat([order[labels[order] == label][:shots] for label in range(10)])
    rest = torch.ones(len(labels), dtype=torch.bool)
    rest[chosen] = False
    return Draw(images[chosen], labels[chosen], images[rest], labels[rest], seed)


def folder_draws(folder: Path, shots: int, options: argparse.Namespace) -> list[Draw]:
    """Fix a test sample of a folder of class folders, then draw labelled images from the others."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    rows = [(path, label) for label, name in enumerate(names) for path in sorted((folder / name).iterdir())]
    rows = _shuffled(rows, 0)
    test, pool = rows[: options.test_size], rows[options.test_size :]
    test_images, test_labels = _load(test)
    draws = []
    for seed in range(options.draws):
        order = _shuffled(pool, seed)
        chosen = [row for label in range(len(names)) for row in [row for row in order if row[1] == label][:shots]]
        draws.append(Draw(*_load(chosen), test_images, test_labels, seed))
    return draws


def _shuffled(rows: list[tuple[Path, int]], seed: int) -> list[tuple[Path, int]]:
    return [rows[index] for index in np.random.default_rng(seed).permutation(len(rows))]


def _load(rows: list[tuple[Path, int]]) -> tuple[Tensor, Tensor]:
    size = (PREPROCESS.crop_px, PREPROCESS.crop_px)
    arrays = [np.asarray(Image.open(path).convert("RGB").resize(size, Image.Resampling.BILINEAR)) for path, _ in rows]
    images = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255.0
    return images, torch.tensor([label for _, label in rows])


def raw_pixels(draw: Draw) -> float:
    """Fit logistic regression to the pixels.

    Weights with an L2 penalty lie in the span of the labelled images: a fit in an orthonormal basis of it is the same.
    """
    basis = torch.linalg.qr(draw.images.flatten(1).T).Q
    return _linear(LogisticRegression(max_iter=2000), draw, lambda images: images.flatten(1) @ basis)


def random_frozen(draw: Draw) -> float:
    """Fit a logistic head to the features of random weights, a new trunk each draw."""
    return _frozen(_trunk(draw.seed, pretrained=False), draw)


def strokes_frozen(draw: Draw) -> float:
    """Fit a logistic head to the features of the shipped weights."""
    return _frozen(_trunk(draw.seed, pretrained=True), draw)


def strokes_tuned(draw: Draw) -> float:
    """Train the whole model, norm statistics too, from the shipped weights."""
    return _tuned(_trunk(draw.seed, pretrained=True), draw)


def from_scratch(draw: Draw) -> float:
    """Train the whole model from random weights on the same schedule."""
    return _tuned(_trunk(draw.seed, pretrained=False), draw)


def _trunk(seed: int, *, pretrained: bool) -> nn.Module:
    torch.default_generator.manual_seed(seed)  # initial weights and head; torch.nn offers no generator
    trunk = strokes()
    if pretrained:
        trunk.load_state_dict(load_file(WEIGHTS))
    return trunk


def _frozen(trunk: nn.Module, draw: Draw) -> float:
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return _linear(head, draw, lambda images: _forward(trunk.eval(), images))


def _linear(head: LogisticRegression, draw: Draw, features: Callable[[Tensor], Tensor]) -> float:
    head.fit(features(draw.images).numpy(), draw.labels.numpy())
    return float(head.score(features(draw.test_images).numpy(), draw.test_labels.numpy()))


@torch.no_grad()
def _forward(model: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([model(normalised(batch, PREPROCESS)) for batch in torch.split(images, 256)])


def _tuned(trunk: nn.Module, draw: Draw) -> float:
    generator = torch.Generator().manual_seed(draw.seed)
    model = nn.Sequential(trunk, nn.Linear(FEATURE_DIM, int(draw.labels.max()) + 1)).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    n = len(draw.labels)
    steps = EPOCHS * -(-n // BATCH_SIZE) + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, cycle_momentum=False)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(n, generator=generator), BATCH_SIZE):
            logits = model(normalised(_shifted(draw.images[rows], generator), PREPROCESS))
            optimiser.zero_grad()
            loss = functional.cross_entropy(logits, draw.labels[rows], label_smoothing=0.1)
            loss.backward()
            optimiser.step()
            schedule.step()
    return float((_forward(model.eval(), draw.test_images).argmax(dim=1) == draw.test_labels).float().mean())


def _shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by up to `MAX_SHIFT_PX`, repeating the border."""
    padded = functional.pad(images, [MAX_SHIFT_PX] * 4, mode="replicate")
    corners = torch.randint(0, 2 * MAX_SHIFT_PX + 1, (len(images), 2), generator=generator).tolist()
    side = images.shape[-1]
    return torch.stack(
        [image[:, top : top + side, left : left + side] for image, (top, left) in zip(padded, corners, strict=True)]
    )


def table(title: str, accuracies: dict[str, NDArray[np.float64]]) -> str:
    """Return Markdown: mean and standard deviation over draws, then paired differences with their 95 % t interval."""
    lines = [f"**{title}, {len(next(iter(accuracies.values())))} draws**", "", "| arm | accuracy, % |", "|---|---|"]
    lines += [f"| {name} | {values.mean():.1f} +- {values.std(ddof=1):.1f} |" for name, values in accuracies.items()]
    lines += ["", "| paired difference | points | 95 % t interval |", "|---|---|---|"]
    for better, baseline in CONTRASTS:
        if better in accuracies and baseline in accuracies:
            difference = accuracies[better] - accuracies[baseline]
            low, high = stats.t.interval(0.95, len(difference) - 1, difference.mean(), stats.sem(difference))
            lines.append(f"| {better} minus {baseline} | {difference.mean():+.1f} | {low:+.1f} to {high:+.1f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()

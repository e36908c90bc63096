"""Measure whether the verdict is right where the answer is known: backbones planted to hurt, to help, or to do nothing.

    python -m benchmarks.verdicts --seeds 20

Every case fits a head to a frozen backbone, by the strategy `features`, on 20 training and 8 validation images of each
digit, which lie somewhere in the picture, with noise. It is compared with the references of the pipeline: a head on a
random trunk, and the same network trained from scratch, which sees 6,000 images. 500 other images are the test; these
and 160 more tell the true gain.

| case | the backbone was trained on |
|---|---|
| good | 80 other images of each digit |
| shuffled labels | the same images, their labels shuffled |
| permuted pixels | the same images, the pixels of all of them permuted alike |
| far statistics | the same images at a tenth of the contrast; its norm statistics are frozen |
| trained alike | nothing: it is the reference from scratch once more, under another seed |
| exchanged answers | the answers of two such models, exchanged at random for every image, in 50 ways: nothing differs |

Runs are added to docs/verdicts.json, and the table in docs/evaluation.md is made from all of them.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from benchmarks.kept import put_table, read_runs, write_runs
from tasks.adaptation import budget
from tasks.automatic import first_batch_size
from tasks.params_blocks import FinetuneParams
from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.features import extract_features
from transfer.backbones.heads import take_head
from transfer.backbones.reference import BackboneReference
from transfer.data.examples import Examples, Target
from transfer.evaluation.comparison import compare, together
from transfer.evaluation.verdict import INCONCLUSIVE, NEGATIVE, NEUTRAL, POSITIVE, judge
from transfer.finetuning.loop import train
from transfer.finetuning.measuring import predict_logits
from transfer.finetuning.norms import reestimate
from transfer.finetuning.plan import scratch_plan
from transfer.finetuning.probing import probed, refitted
from transfer.finetuning.problem import Problem
from transfer.heads.nearest_mean import nearest_mean
from transfer.randomness import generator

ROOT = Path(__file__).resolve().parents[1]
RUNS, DOCUMENT = ROOT / "docs" / "verdicts.json", ROOT / "docs" / "evaluation.md"
GOOD, SHUFFLED, PERMUTED, FAR = "good", "shuffled labels", "permuted pixels", "far statistics"
ALIKE, EXCHANGED = "trained alike", "exchanged answers"
CASES = (GOOD, SHUFFLED, PERMUTED, FAR, ALIKE, EXCHANGED)
_N_TRAIN, _N_VAL, _N_SOURCE, _N_TEST, _N_CLASSES = 20, 8, 80, 500, 10
_SOURCE_IMAGES, _SCRATCH_IMAGES, _RATE, _CONFIDENCE, _MARGIN = 9_000, 6_000, 0.001, 0.95, 0.01
_N_EXCHANGES = 50
_SIDE_PX, _PLACED_PX, _NOISE = 32, 20, 0.1
_WORDS = (POSITIVE, NEUTRAL, INCONCLUSIVE, NEGATIVE)

Answers = NDArray[np.int64]


@dataclass(frozen=True)
class Draw:
    """One division of the digits; pixels float32 (n, 8, 8) in [0, 1]."""

    seed: int
    target: Target
    source: tuple[Tensor, Tensor]
    test: Examples
    others: Examples


def main() -> None:
    """Run every case of every seed that is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--redraw", action="store_true", help="run nothing; write the table from the runs there are")
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = read_runs(RUNS)
    done = {run["seed"] for run in runs}
    for seed in () if options.redraw else (seed for seed in range(options.seeds) if seed not in done):
        began = time.perf_counter()
        runs += [{"seed": seed, **run} for run in cases(drawn(seed))]
        write_runs(RUNS, runs)
        said = ", ".join(
            f"{run['case']} {run['verdict']} ({100 * run['true_gain']:+.1f})"
            for run in runs
            if run["seed"] == seed and run["case"] != EXCHANGED
        )
        print(f"seed {seed}, {time.perf_counter() - began:.0f} s: {said}", flush=True)
    text = table(runs)
    print(text)
    put_table(DOCUMENT, "verdicts", text)


def drawn(seed: int) -> Draw:
    """Divide the digits: source, training, validation, test, others; a row is in one of them."""
    digits = load_digits()
    pixels, labels = torch.tensor(digits.images / 16.0, dtype=torch.float32), torch.tensor(digits.target)
    order = torch.randperm(len(labels), generator=generator(seed, "division"))
    parts: dict[str, list[Tensor]] = {"train": [], "val": [], "source": [], "rest": []}
    for label in range(_N_CLASSES):
        rows = order[labels[order] == label]
        cuts = rows.split([_N_TRAIN, _N_VAL, _N_SOURCE, len(rows) - _N_TRAIN - _N_VAL - _N_SOURCE])
        for part, of_class in zip(parts.values(), cuts, strict=True):
            part.append(of_class)
    train, val, source, rest = map(torch.cat, parts.values())
    rest = rest[torch.randperm(len(rest), generator=generator(seed, "rest"))]
    images = as_images(pixels, generator(seed, "places"))
    own = [Examples(images[rows], labels[rows]) for rows in (train, val, rest[:_N_TEST], rest[_N_TEST:])]
    return Draw(seed, Target(own[0], own[1], _N_CLASSES), (pixels[source], labels[source]), own[2], own[3])


def as_images(pixels: Tensor, draw: torch.Generator, contrast: float = 1.0) -> Tensor:
    """Return pixels (n, 8, 8) in [0, 1] as uint8 (n, 3, 32, 32): enlarged to 20 px, placed anywhere, with noise.

    Args:
        pixels: of the digits.
        draw: of places and noise.
        contrast: below 1 the picture is pale: a share of it, and white for the rest.
    """
    large = functional.interpolate(pixels[:, None], (_PLACED_PX, _PLACED_PX), mode="bicubic", align_corners=False)
    canvas = _NOISE * torch.randn((len(pixels), 1, _SIDE_PX, _SIDE_PX), generator=draw)
    places = torch.randint(0, _SIDE_PX - _PLACED_PX + 1, (len(pixels), 2), generator=draw).tolist()
    for image, own, (top, left) in zip(canvas, large.clamp(0, 1), places, strict=True):
        image[:, top : top + _PLACED_PX, left : left + _PLACED_PX] += own
    pale = contrast * canvas.clamp(0, 1) + 1 - contrast
    return (255 * pale).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()


def cases(draw: Draw) -> Iterator[dict[str, Any]]:
    """Yield what every case of a draw comes to."""
    frozen = asked(draw, with_probe(draw.target, random_backbone(draw.seed), own_norms=True))
    scratch, again = (asked(draw, trained(draw.target, _SCRATCH_IMAGES, draw.seed + more)) for more in (0, 1000))
    others = {"scratch": scratch, "random_frozen": frozen}
    for case in (GOOD, SHUFFLED, PERMUTED, FAR):
        backbone = pretrained(draw, case)
        means = {"nearest_mean": asked(draw, with_class_means(backbone, draw.target))}
        yield {"case": case, **judged(draw, asked(draw, with_probe(draw.target, backbone)), others | means)}
    yield {"case": ALIKE, **judged(draw, again, others)}
    exchange = np.random.default_rng(draw.seed)
    for _ in range(_N_EXCHANGES):
        swapped = exchange.random(len(again)) < 0.5
        one, other = (np.where(swapped, *pair) for pair in ((again, scratch), (scratch, again)))
        verdict = judged(draw, one, {**others, "scratch": other})["verdict"]
        yield {"case": EXCHANGED, "verdict": verdict, "true_gain": 0.0}


def pretrained(draw: Draw, case: str) -> Backbone:
    """Return a backbone that was trained as a case says."""
    pixels, labels = draw.source
    order = generator(draw.seed, case)
    if case == SHUFFLED:
        labels = labels[torch.randperm(len(labels), generator=order)]
    if case == PERMUTED:
        pixels = pixels.flatten(1)[:, torch.randperm(64, generator=order)].view(-1, 8, 8)
    source = Examples(as_images(pixels, order, 0.1 if case == FAR else 1.0), labels)
    of_source = Target(source, Examples(source.inputs[::6], source.labels[::6]), _N_CLASSES)
    classifier = trained(of_source, _SOURCE_IMAGES, draw.seed + 500)
    classifier.backbone.reference = "rootstock/strokes"
    return classifier.backbone


def random_backbone(seed: int) -> Backbone:
    """Return the architecture of the shipped backbone with random weights."""
    return build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=seed)


def trained(target: Target, n_images: int, seed: int) -> Classifier:
    """Return a classifier that was trained from random weights; of its epochs the best one by validation."""
    backbone = random_backbone(seed)
    classifier = Classifier(backbone, target.n_classes)
    plan = scratch_plan([group.name for group in backbone.depth_groups], _RATE)
    settings = FinetuneParams()
    limits = budget(settings, first_batch_size(settings, len(target.train)) or 32)
    limits = replace(limits, max_images=n_images, epochs=n_images, patience=None)
    for _ in train(classifier, Problem.of_images(classifier, target, limits.augmentation), plan, limits, seed):
        pass
    return classifier.eval()


def with_probe(target: Target, backbone: Backbone, *, own_norms: bool = False) -> Classifier:
    """Return the model of the strategy `features`: the trunk as it is, a head fitted to all labelled rows."""
    if own_norms:
        reestimate(backbone, target.train.inputs)
    classifier, _ = probed(backbone, target)
    take_head(classifier, refitted(classifier, target)[0])
    return classifier


def with_class_means(backbone: Backbone, target: Target) -> Classifier:
    """Return the class means on a trunk."""
    rows = torch.cat([extract_features(backbone, one.inputs) for one in (target.train, target.val)])
    labels = torch.cat((target.train.labels, target.val.labels))
    return Classifier(backbone, target.n_classes, nearest_mean(rows, labels, target.n_classes)).eval()


def asked(draw: Draw, classifier: Classifier) -> Answers:
    """Return the classes that a model answers with: of the test images, then of all others."""
    inputs = torch.cat((draw.test.inputs, draw.others.inputs))
    found: Answers = predict_logits(classifier, inputs).argmax(1).numpy()
    return found


def judged(draw: Draw, model: Answers, others: dict[str, Answers]) -> dict[str, Any]:
    """Return the verdict on the test images, and the gain over the reference it is about on all images."""
    actual = torch.cat((draw.test.labels, draw.others.labels)).numpy()
    tested = slice(0, _N_TEST)
    compared = together(
        {name: compare(actual[tested], model[tested], name, one[tested], _CONFIDENCE) for name, one in others.items()},
        _CONFIDENCE,
    )
    verdict = judge({name: compared[name] for name in ("scratch", "random_frozen")}, _CONFIDENCE, margin=_MARGIN)
    rights = {name: float((one == actual).mean()) for name, one in {"model": model, **others}.items()}
    best = max(rights["scratch"], rights["random_frozen"])
    return {"verdict": verdict.verdict, "true_gain": rights["model"] - best, "accuracies": rights}


def table(runs: list[dict[str, Any]]) -> str:
    """Return how often each verdict was given in every case, and the mean gain on all images."""
    lines = [f"| the backbone | true gain, points | {' | '.join(_WORDS)} |", "|---" * (len(_WORDS) + 2) + "|"]
    for case in CASES:
        own = [run for run in runs if run["case"] == case]
        if own:
            gains = 100 * np.array([run["true_gain"] for run in own])
            counts = [sum(run["verdict"] == word for run in own) for word in _WORDS]
            spread = f"{gains.mean():+.1f} ({gains.min():+.1f} to {gains.max():+.1f})"
            lines.append(f"| {case} | {spread} | {' | '.join(f'{count} of {len(own)}' for count in counts)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

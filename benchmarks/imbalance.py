"""Measure what each remedy for unequal classes is worth on real images, and what choosing one by the probe loses.

    python -m benchmarks.imbalance digits --data ../shared/datasets/mnist --largest 150 --max-images 1000
    python -m benchmarks.imbalance mnist --data ../shared/datasets/mnist --largest 300 --ratios 100 20 --only-auto
    python -m benchmarks.imbalance --redraw

Training and validation images are drawn long-tailed: class k of C, in an order drawn anew by every seed, has the
largest class's number times ratio^(-k / (C - 1)); the test images are equally many of every class, and are never
trained on. Every arm is fine-tuned by the same steps. Runs are added to docs/imbalance.json, the tables in
docs/imbalance.md made from all of them.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adapters.image_files import list_images, load_examples
from adapters.json_files import sha256_of
from benchmarks.imbalance_tables import tables
from benchmarks.kept import put_table, read_runs, write_runs
from tasks.adaptation import MOST_KEPT_BYTES, budget
from tasks.automatic import base_rate, first_batch_size
from tasks.candidates import candidate
from tasks.params_blocks import FinetuneParams
from transfer.backbones.backbone import Classifier
from transfer.backbones.features import extract_features
from transfer.backbones.reference import BackboneReference
from transfer.data.examples import Examples, Target
from transfer.finetuning.measuring import predict_logits
from transfer.finetuning.plan import staged_plan
from transfer.finetuning.planning import plan_steps
from transfer.finetuning.probing import probed, refitted, with_own_norms
from transfer.finetuning.remedy import chosen, unequal
from transfer.finetuning.staged import Checkpoint, run_steps
from transfer.finetuning.states import clone_state
from transfer.metrics import classification
from transfer.randomness import generator
from transfer.records import REMEDIES, ClassBalance, Row, StepOutcome

ROOT = Path(__file__).resolve().parents[1]
RUNS, DOCUMENT = ROOT / "docs" / "imbalance.json", ROOT / "docs" / "imbalance.md"
PLAIN = "off"
_VAL_SHARE = 0.3  # of the training images, beside them


def main() -> None:
    """Run the arms for every ratio and seed that was asked for, and write the tables."""
    options = _options()
    if not options.redraw:
        images, labels = _loaded(options)
        for seed in options.seeds:
            for ratio in options.ratios:
                began = time.perf_counter()
                found = run(images, labels, ratio, seed, options)
                print(f"{options.name}, ratio {ratio:g}, seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)
                _add({"data": options.name, "backbone": options.backbone, "ratio": ratio, "seed": seed, **found})
    text = tables(_read())
    print(text)
    put_table(DOCUMENT, "tables", text)


def run(images: Tensor, labels: Tensor, ratio: float, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return how every arm does on the test images of a draw, which remedy was chosen, and the training counts."""
    drawn, test = drawn_target(images, labels, ratio, seed, options.largest, options.test_per_class)
    counts = tuple(drawn.train.labels.bincount().tolist())
    known = unequal(drawn.train.labels, drawn.n_classes, "auto")
    remedy, losses = (PLAIN, {}) if known is not None else _chosen(drawn, options)
    arms: dict[str, Any] = {}
    for arm in (PLAIN, remedy) if options.only_auto else (PLAIN, *REMEDIES):
        balance = ClassBalance(counts) if arm == PLAIN else ClassBalance(counts, equally=True, remedy=arm)
        arms[arm] = _measured(replace(drawn, balance=balance), test, seed, options)
    return {"counts": counts, "arms": arms, "chosen": remedy, "loo_nlls": losses}


def _chosen(drawn: Target, options: argparse.Namespace) -> tuple[str, dict[str, float]]:
    """Return the remedy that the probe prefers, and the losses by which it does."""
    backbone, _ = candidate(BackboneReference.parse(options.backbone), None)
    features = extract_features(backbone, drawn.train.inputs)
    batch_size = first_batch_size(FinetuneParams(), len(drawn.train))
    found = chosen(features, drawn.train.labels, drawn.n_classes, batch_size)
    return found.remedy, dict(found.loo_nlls)


def drawn_target(
    images: Tensor, labels: Tensor, ratio: float, seed: int, largest: int, test_per_class: int
) -> tuple[Target, Examples]:
    """Return long-tailed training and validation images, and test images, equally many of every class."""
    n_classes = int(labels.max()) + 1
    ranks = torch.randperm(n_classes, generator=generator(seed, "ranks")).tolist()
    parts: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    for label in range(n_classes):
        rows = (labels == label).nonzero()[:, 0]
        test, pool = rows[:test_per_class], rows[test_per_class:]
        pool = pool[torch.randperm(len(pool), generator=generator(seed, f"class {label}"))]
        n_train = max(2, round(largest * ratio ** (-ranks[label] / (n_classes - 1))))
        n_val = max(1, round(_VAL_SHARE * n_train))
        if n_train + n_val > len(pool):
            raise ValueError(
                f"Class {label} has {len(pool)} images beside the test images, {n_train + n_val} are asked."
            )
        for part, of_class in zip(parts, (pool[:n_train], pool[n_train : n_train + n_val], test), strict=True):
            part.append(of_class)
    train, val, test_set = (Examples(images[rows], labels[rows]) for rows in map(torch.cat, parts))
    return Target(train, val, n_classes), test_set


def _measured(drawn: Target, test: Examples, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Fine-tune one arm; return balanced accuracy and loss after the probe and at the end."""
    backbone, _ = candidate(BackboneReference.parse(options.backbone), None)
    classifier, _ = probed(backbone, drawn)
    after_probe = _figures(classifier, test)
    classifier, more = with_own_norms(classifier, drawn)
    settings, n_train = FinetuneParams(max_images_seen=options.max_images), len(drawn.train)
    limits = budget(settings, first_batch_size(settings, n_train), n_train / drawn.n_classes)
    names = [group.name for group in backbone.depth_groups]
    rates = (base_rate(settings.head_lr), base_rate(settings.backbone_lr), settings.lr_decay)
    steps = staged_plan(names, *rates, adapts_norms=any(one.kept for one in more))
    plans = plan_steps(classifier, steps, len(drawn.train), len(drawn.val), limits, MOST_KEPT_BYTES)
    spare, _ = refitted(classifier, drawn)
    start = Checkpoint(0, (), clone_state(classifier), spare=spare)
    outcomes = [one for one in run_steps(classifier, drawn, plans, limits, seed, start) if isinstance(one, StepOutcome)]
    kept = float(sum(one.kept for one in outcomes))
    return {**_figures(classifier, test), **{f"probe_{key}": value for key, value in after_probe.items()}, "kept": kept}


def _figures(classifier: Classifier, test: Examples) -> dict[str, float]:
    """Return figures on test images that are equally many of every class, where each class counts the same anyway."""
    probabilities = predict_logits(classifier, test.inputs).double().softmax(1).numpy()
    actual = test.labels.numpy()
    confusion = classification.confusion_matrix(actual, probabilities.argmax(1), probabilities.shape[1])
    recalls = [one.recall for one in classification.class_metrics(confusion)]
    nll, f1 = classification.negative_log_likelihood(actual, probabilities), classification.macro_f1(confusion)
    return {"accuracy": float(np.mean(recalls)), "worst": float(min(recalls)), "nll": nll, "macro_f1": f1}


def _loaded(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Return the images of all folders, uint8 (N, 3, H, W), and their labels."""
    backbone, _ = candidate(BackboneReference.parse(options.backbone), None)
    images, labels = [], []
    for folder in options.data:
        found = list_images(folder)
        rows = [
            Row(file.path, found.classes.index(file.class_name), "train", sha256_of(folder / file.path))
            for file in found.files
        ]
        images += list(load_examples(folder, rows, backbone.preprocess))
        labels += [row.label for row in rows]
    return torch.cat(images).permute(0, 3, 1, 2), torch.tensor(labels)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="", help="what the tables call the data")
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="folders of the same class folders")
    parser.add_argument("--backbone", default="rootstock/strokes", help="a backbone reference")
    parser.add_argument("--ratios", type=float, nargs="+", default=[1, 5, 20, 100], help="largest over smallest class")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--largest", type=int, default=100, help="training images of the largest class")
    parser.add_argument("--test-per-class", type=int, default=100)
    parser.add_argument("--max-images", type=int, default=1500, help="finetune.max_images_seen")
    parser.add_argument("--only-auto", action="store_true", help="measure nothing but off and what the probe chooses")
    parser.add_argument("--redraw", action="store_true", help="run nothing; write the tables from the runs there are")
    return parser.parse_args()


def _read() -> list[dict[str, Any]]:
    return read_runs(RUNS)


def _add(run: dict[str, Any]) -> None:
    def same(one: dict[str, Any]) -> bool:
        return all(one[key] == run[key] for key in ("data", "backbone", "ratio", "seed"))

    runs = [one for one in _read() if not same(one)] + [run]
    write_runs(RUNS, runs)


if __name__ == "__main__":
    main()

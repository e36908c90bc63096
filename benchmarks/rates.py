"""Measure what finding learning rates before a step is worth, against every fixed rate.

    python benchmarks/rates.py --shared ../shared --cases mnist usps --seeds 0 1 2 --out rates.jsonl
    python benchmarks/rates_table.py rates.jsonl

It fine-tunes at every rate of a grid, as `finetune` does: probe, step `last`, then step `all` after a `last` at
the base rate; each state is judged on test images that nothing else saw, at the temperature that suits validation.
Beside that it records what short runs at the same rates reach on validation and what a range test sees, so that rules
to choose a rate can be compared without training again. A line of JSON a case, seed and step.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapters.image_files import load_examples
from adapters.json_files import sha256_of
from tasks.candidates import candidate
from transfer.backbones.backbone import Classifier
from transfer.backbones.reference import BackboneReference
from transfer.data.batches import Augmentation
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget, batches
from transfer.finetuning.caching import Compute
from transfer.finetuning.freezing import parameter_groups, thaw
from transfer.finetuning.measuring import judged
from transfer.finetuning.plan import Step, staged_plan
from transfer.finetuning.planning import StepPlan, plan_steps
from transfer.finetuning.probing import probed
from transfer.finetuning.problem import Problem
from transfer.finetuning.rates import SCALES, scaled, trial_nll
from transfer.finetuning.staged import Hooks, posed, run_steps
from transfer.finetuning.states import clone_state, trained_state
from transfer.randomness import generator
from transfer.records import Row

BASE, DECAY, SHARES, RANGE_SHARE = 1e-4, 2.6, (1 / 20, 1 / 8, 1 / 4), 1 / 4
STROKES = "rootstock/strokes"
SMALL = "torchvision/mobilenet_v2?width_mult=0.35&resize_px={0}&crop_px={0}@{1}/mobilenet_v2_w035_imagenet_features.pth"
LARGE = "torchvision/mobilenet_v2?resize_px=96&crop_px=96@{1}/mobilenet_v2_imagenet.pth"


@dataclass(frozen=True, slots=True)
class Case:
    """A data set and a backbone: rows to train on, to validate on and to test on; images a step sees; side, px."""

    data: str
    backbone: str
    n_train: int
    n_val: int
    n_test: int
    n_images: int
    side_px: int = 96


CASES = {
    "hymenoptera": Case("hymenoptera", LARGE, 160, 60, 170, 480),
    "photo": Case("pacs/photo", SMALL, 180, 80, 160, 720),
    "sketch": Case("pacs/sketch", SMALL, 180, 80, 160, 720),
    "mnist": Case("mnist", STROKES, 200, 100, 1000, 2000),
    "usps": Case("usps", STROKES, 200, 100, 1000, 2000),
    "cifar10": Case("cifar10/train", SMALL, 300, 100, 500, 900, 64),
}


def main() -> None:
    """Measure, and write a line of JSON a case, seed and step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    for name, seed in itertools.product(options.cases, options.seeds):
        began = time.perf_counter()
        with options.out.open("a") as stream:
            for found in measured(CASES[name], seed, options.shared.resolve()):
                stream.write(json.dumps({"case": name, "seed": seed, **found}) + "\n")
        print(f"{name}, seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)


def measured(case: Case, seed: int, shared: Path) -> Iterator[dict[str, Any]]:
    """Yield what was measured for each step."""
    text = case.backbone.format(case.side_px, shared / "weights")
    backbone, _ = candidate(BackboneReference.parse(text), None)
    target, test_set = drawn(case, seed, shared, backbone.preprocess)
    classifier, _ = probed(backbone, target)
    budget = Budget(case.n_images, 100, 32, weight_decay=0.05, label_smoothing=0.1)
    budget = replace(budget, anchor=0.01 if case.n_train / target.n_classes < 20 else 0.0)
    steps = staged_plan([group.name for group in backbone.depth_groups], BASE, BASE, DECAY)
    hooks = Hooks(keep=remembering())
    for plan in plan_steps(classifier, steps, len(target.train), len(target.val), budget, 2_000_000_000):
        before = clone_state(classifier)
        found: dict[str, Any] = {
            "step": plan.step.name,
            "scales": SCALES,
            "before": judgement(classifier, target, test_set),
        }
        found["short"] = shorts(classifier, target, plan, budget, seed, hooks)
        classifier.load_state_dict(before)
        after, states = [], []
        for scale in SCALES:
            one = replace(plan, step=scaled(plan.step, tuple(plan.step.rates), scale))
            *_, outcome = run_steps(classifier, target, (one,), budget, seed, None, hooks)
            after.append({**judgement(classifier, target, test_set), "kept": getattr(outcome, "kept", None)})
            states.append(clone_state(classifier))
            classifier.load_state_dict(before)
        yield {**found, "after": after}
        classifier.load_state_dict(states[SCALES.index(1.0)])


def shorts(
    classifier: Classifier, target: Target, plan: StepPlan, budget: Budget, seed: int, hooks: Hooks
) -> dict[str, list[float]]:
    """Return validation losses of short runs at each rate, by their share of the step; and the range test's curve."""
    thaw(classifier, plan.step.rates, adapts_norms=plan.step.adapts_norms)
    problem = posed(classifier, target, plan, budget, seed, hooks)
    live, everything = trained_state(classifier), tuple(plan.step.rates)
    found = {}
    for share in SHARES:
        n_images = max(2, int(share * plan.n_images))
        tried = (scaled(plan.step, everything, scale) for scale in SCALES)
        found[f"{share:g}"] = [trial_nll(classifier, live, problem, step, budget, n_images, seed) for step in tried]
    found["range"] = range_test(classifier, problem, plan.step, budget, int(RANGE_SHARE * plan.n_images), seed)
    thaw(classifier, ())
    return found


def range_test(
    classifier: Classifier, problem: Problem, step: Step, budget: Budget, n_images: int, seed: int
) -> list[float]:
    """Return the training losses of batches while the rates grow from the grid's lowest to its highest.

    Source: Smith 2017, "Cyclical learning rates for training neural networks", arXiv:1506.01186, section 3.3.
    """
    thaw(classifier, step.rates, adapts_norms=step.adapts_norms)
    optimiser = torch.optim.AdamW(parameter_groups(classifier, step.rates, budget.weight_decay))
    peaks = [group["lr"] for group in optimiser.param_groups]
    order = torch.cat(
        [torch.randperm(len(problem.train.labels), generator=generator(seed, f"range {n}")) for n in range(9)]
    )
    parts = batches(order[:n_images], budget.batch_size)
    losses = []
    for number, rows in enumerate(parts):
        scale = SCALES[0] * (SCALES[-1] / SCALES[0]) ** (number / max(1, len(parts) - 1))
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["lr"] = peak * scale
        inputs = problem.train.varied(rows, number, generator(seed, f"range variation {number}"))
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(
            problem.network(inputs), problem.train.labels[rows], label_smoothing=budget.label_smoothing
        )
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def judgement(classifier: Classifier, target: Target, test_set: Examples) -> dict[str, float]:
    """Return test loss and accuracy at the temperature that suits validation, and the validation loss."""
    problem = Problem.of_images(classifier, Target(target.train, target.val, target.n_classes), Augmentation())
    on_val = judged(classifier, problem.val)
    problem = Problem.of_images(classifier, Target(target.train, test_set, target.n_classes), Augmentation())
    with torch.no_grad():
        logits = torch.cat([classifier(rows) for rows in problem.val.plain()]).double()
    loss = nn.functional.cross_entropy(on_val.sharpness * logits, test_set.labels)
    accuracy = (logits.argmax(1) == test_set.labels).double().mean()
    return {"val_nll": on_val.nll, "test_nll": float(loss), "test_accuracy": float(accuracy)}


def drawn(case: Case, seed: int, shared: Path, preprocess: Any) -> tuple[Target, Examples]:
    """Draw rows to train, to validate and to test on, from a folder of class folders."""
    folder = shared / "datasets" / case.data
    pattern = "*/*/*" if case.data == "hymenoptera" else "*/*"  # its train/ and val/ together
    paths = sorted(path for path in folder.glob(pattern) if path.suffix in (".jpg", ".png"))
    names = sorted({path.parent.name for path in paths})
    rows = [
        Row(str(path.relative_to(folder)), names.index(path.parent.name), "train", sha256_of(path)) for path in paths
    ]
    order = torch.randperm(len(rows), generator=generator(seed, f"rows of {case.data}"))
    parts = order[: case.n_train + case.n_val + case.n_test].split([case.n_train, case.n_val, case.n_test])
    sets = [prepared(folder, [rows[index] for index in part], preprocess) for part in parts]
    return Target(sets[0], sets[1], len(names)), sets[2]


def prepared(folder: Path, rows: list[Row], preprocess: Any) -> Examples:
    """Return rows as a backbone reads them."""
    pixels = torch.cat(list(load_examples(folder, rows, preprocess))).permute(0, 3, 1, 2)
    return Examples(pixels, torch.tensor([row.label for row in rows]), tuple(row.sha256 for row in rows))


def remembering() -> Callable[..., Tensor]:
    """Return a keep that holds values in memory, so that every run of a step finds them."""
    held: dict[str, Tensor] = {}

    def keep(what: Any, keys: Any, compute: Compute) -> Tensor:
        name = repr((sorted(what.items(), key=str), keys))
        if name not in held:
            held[name] = torch.cat(list(compute(range(len(keys)))))
        return held[name]

    return keep


if __name__ == "__main__":
    main()

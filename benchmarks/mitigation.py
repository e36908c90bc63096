"""Measure what the ladder of mitigations makes of backbones that were planted to hurt.

    python -m benchmarks.mitigation --seeds 8

The backbones, images and references are those of `benchmarks.verdicts`; each backbone is first used frozen, norm
statistics included, as `warn` leaves it. Where the verdict on the test images is negative the ladder is climbed by the
answers to 80 validation images, every step seeing 1,500 images at most, and the verdict is asked for once more. There
is one backbone alone, so that the rung of the next one is skipped.

Runs are added to docs/mitigation.json, and the table in docs/evaluation.md is made from all of them.
"""

import argparse
import copy
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.kept import put_table, read_runs, write_runs
from benchmarks.verdicts import (
    DOCUMENT,
    FAR,
    PERMUTED,
    RUNS,
    SHUFFLED,
    Draw,
    asked,
    drawn,
    judged,
    pretrained,
    random_backbone,
    trained,
)
from tasks.adaptation import MOST_KEPT_BYTES, budget
from tasks.params_blocks import FinetuneParams
from transfer.backbones.backbone import Backbone, Classifier
from transfer.evaluation.mitigation import (
    BSS,
    L2_SP,
    SCRATCH,
    STATISTICS,
    STRATEGY,
    Start,
    Validated,
    climbed,
    validated,
)
from transfer.evaluation.verdict import INCONCLUSIVE, NEGATIVE
from transfer.finetuning.measuring import predict_logits
from transfer.finetuning.norms import reestimate, statistics_of
from transfer.finetuning.planning import plan_steps
from transfer.finetuning.probing import fitted_to_all, probed, refitted
from transfer.finetuning.staged import Checkpoint, run_steps
from transfer.finetuning.states import clone_state
from transfer.finetuning.strategies import Rates, steps_of
from transfer.records import StepOutcome

KEPT = RUNS.with_name("mitigation.json")
CASES = (FAR, SHUFFLED, PERMUTED)
_SCRATCH_IMAGES, _BATCH = 6_000, 32
_ASKED = {STRATEGY: "features", "finetune.head": "ridge", STATISTICS: "frozen", L2_SP: "auto", BSS: 0.0}

Shares = NDArray[np.float64]


def main() -> None:
    """Climb for every case of every seed that is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--redraw", action="store_true", help="run nothing; write the table from the runs there are")
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = read_runs(KEPT)
    done = {run["seed"] for run in runs}
    for seed in () if options.redraw else (seed for seed in range(options.seeds) if seed not in done):
        began = time.perf_counter()
        runs += climbs(drawn(seed))
        write_runs(KEPT, runs)
        said = ", ".join(f"{run['case']} {run['stands']} {run['after']}" for run in runs if run["seed"] == seed)
        print(f"seed {seed}, {time.perf_counter() - began:.0f} s: {said}", flush=True)
    text = table(runs)
    print(text)
    put_table(DOCUMENT, "mitigation", text)


def climbs(draw: Draw) -> list[dict[str, Any]]:
    """Return what every case of a draw comes to."""
    alone = trained(draw.target, _SCRATCH_IMAGES, draw.seed)
    frozen, frozen_val = fitted(draw, random_backbone(draw.seed), {**_ASKED, STATISTICS: "reestimated"})
    others = {"scratch": asked(draw, alone), "random_frozen": asked(draw, frozen)}
    beside = {"scratch": shares(predict_logits(alone, draw.target.val.inputs)), "random_frozen": frozen_val}
    return [_climb(draw, case, others, beside) for case in CASES]


def _climb(draw: Draw, case: str, others: dict[str, Any], beside: dict[str, Shares]) -> dict[str, Any]:
    backbone, actual = pretrained(draw, case), draw.target.val.labels.numpy()
    models: dict[tuple[Any, ...], Classifier] = {}

    def attempt(settings: Mapping[str, Any]) -> Validated:
        model, own = fitted(draw, copy.deepcopy(backbone), settings)
        models[tuple(settings[key] for key in _ASKED)] = model
        return validated(actual, own, beside)

    now = attempt(_ASKED)
    before = judged(draw, asked(draw, models[tuple(_ASKED.values())]), others)
    run = {"seed": draw.seed, "case": case, "before": before["verdict"], "gain_before": before["true_gain"]}
    if before["verdict"] != NEGATIVE:
        return {**run, "stands": "not climbed", "after": before["verdict"], "gain_after": before["true_gain"]}
    start = Start(_ASKED, (), (), bool(statistics_of(backbone)), has_own_statistics=False)
    found = climbed(start, now, attempt)
    after = judged(draw, asked(draw, models[tuple(found.settings[key] for key in _ASKED)]), others)
    alone = found.stands == SCRATCH and after["verdict"] != NEGATIVE
    word = INCONCLUSIVE if alone else after["verdict"]  # of transfer nothing is claimed without it
    tried = {one.rung.name: one.found.accuracy for one in found.tried if one.found is not None}
    return {**run, "stands": found.stands, "after": word, "gain_after": after["true_gain"], "tried": tried}


def fitted(draw: Draw, backbone: Backbone, settings: Mapping[str, Any]) -> tuple[Classifier, Shares]:
    """Return the model that parameters lead to, and its probabilities of validation images it was not fitted to."""
    target = draw.target
    if settings[STRATEGY] == SCRATCH:
        model = trained(target, _SCRATCH_IMAGES, draw.seed + 2000)
        return model, shares(predict_logits(model, target.val.inputs))
    if settings[STATISTICS] == "reestimated":
        reestimate(backbone, target.train.inputs)
    model, _ = probed(backbone, target)
    spare = refitted(model, target)[0]
    unseen = fitted_to_all(backbone, target).held_out[len(target.train) :]
    own = FinetuneParams(l2_sp=settings[L2_SP], bss=settings[BSS])
    rates = Rates(float(own.head_lr), float(own.backbone_lr), own.lr_decay, own.scratch_lr)
    steps = steps_of(settings[STRATEGY], backbone, rates, adapts_norms=False)
    n_train, n_val = len(target.train), len(target.val)
    limits = budget(own, _BATCH, n_train / target.n_classes)
    plans = plan_steps(model, steps, n_train, n_val, limits, MOST_KEPT_BYTES)
    begun = Checkpoint(0, (), clone_state(model), spare=spare)
    events = list(run_steps(model, target, plans, limits, draw.seed, begun))
    kept = any(isinstance(event, StepOutcome) and event.kept for event in events)
    return model.eval(), shares(predict_logits(model, target.val.inputs) if kept else unseen)


def shares(logits: Tensor) -> Shares:
    """Return the probabilities, float64 (N, C), that logits stand for."""
    found: Shares = logits.double().softmax(dim=1).numpy()
    return found


def table(runs: list[dict[str, Any]]) -> str:
    """Return how often the verdict was negative before and after, the mean gains, and which rungs stand."""
    lines = [
        "| the backbone | negative with `warn` | true gain, points | with `mitigate` | true gain, points | it stands |",
        "|---|---|---|---|---|---|",
    ]
    for case in CASES:
        own = [run for run in runs if run["case"] == case]
        cells = []
        for when in ("before", "after"):
            gains = 100 * np.array([run[f"gain_{when}"] for run in own])
            count = sum(run[when] == NEGATIVE for run in own)
            cells += [f"{count} of {len(own)}", f"{gains.mean():+.1f} ({gains.min():+.1f} to {gains.max():+.1f})"]
        stands = Counter(run["stands"] for run in own).most_common()
        rungs = ", ".join(f"`{name}` {count}" for name, count in stands)
        lines.append(f"| {case} | {' | '.join(cells)} | {rungs} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

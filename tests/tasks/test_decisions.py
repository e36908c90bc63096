"""What was decided by measuring comes back as it was, or not at all."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks import decisions
from transfer.finetuning.caching import CachePlan
from transfer.finetuning.plan import Step
from transfer.finetuning.planning import StepCost, StepPlan
from transfer.records import RateSearch

PLAN = StepPlan(
    Step("last", {"deep": 1e-4, "head": 1e-3}, searched=("deep",)),
    (),
    n_images=400,
    n_train=40,
    n_val=10,
    cache=CachePlan(4, 2_000_000, 1.5, 3.25, "half of a forward pass is frozen", frozen_share=0.5),
)
FOUND = RateSearch("last", ("deep",), 3.0, (1.0, 3.0), (20, 20), (None, 0.1 + 0.2))
DECIDED = replace(
    PLAN.shortened(120, 1),
    cost=StepCost(8, 1.0, 0.01, 0.02, 0.1, 1 / 3, 5_000),
    batch_size=16,
    found=FOUND,
)


def test_a_shortened_plan_comes_back_with_its_views_batches_and_rates(project: Path) -> None:
    decisions.keep(project, "key", [DECIDED])
    assert decisions.recalled(project, "key", [PLAN]) == (DECIDED,)
    assert decisions.recalled(project, "another", [PLAN]) is None


def test_the_oldest_plans_give_way(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "_MOST", 2)
    for place, key in enumerate(("first", "second", "third")):
        decisions.keep(project, key, [DECIDED])
        os.utime(decisions._path(project, key), (place, place))
    decisions.keep(project, "fourth", [DECIDED])
    found = [decisions.recalled(project, key, [PLAN]) for key in ("first", "second", "third", "fourth")]
    assert [plans is not None for plans in found] == [False, False, True, True]


@pytest.mark.parametrize(
    "change",
    [
        lambda step: step | {"n_views": 5},
        lambda step: step | {"n_views": -1},
        lambda step: step | {"batch_size": 1},
        lambda step: step | {"batch_size": None},
        lambda step: step | {"found": step["found"] | {"scale": 2.0}},
        lambda step: step | {"found": step["found"] | {"groups": ["head"]}},
        lambda step: step | {"found": {"scale": 3.0, "groups": ["deep"]}},
        lambda step: step | {"cost": step["cost"] | {"n_bytes": -1}},
        lambda step: {name: value for name, value in step.items() if name != "found"},
    ],
)
def test_what_could_not_have_been_decided_is_not_taken(
    project: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    decisions.keep(project, "key", [DECIDED])
    (path,) = (project / ".rootstock/plans").iterdir()
    step = json.loads(path.read_text())["steps"][0]
    path.write_text(json.dumps({"steps": [change(step)]}))
    assert decisions.recalled(project, "key", [PLAN]) is None


def test_a_decision_fits_as_long_as_memory_suffices() -> None:
    assert decisions.fit([DECIDED, PLAN], 5_000)
    assert not decisions.fit([PLAN, DECIDED], 4_999)
    assert decisions.fit([replace(DECIDED, n_images=0)], 4_999)

"""What a budget leaves of the steps: nothing is measured that would itself outlast it."""

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tasks import costing
from transfer.finetuning.caching import CachePlan
from transfer.finetuning.plan import Step
from transfer.finetuning.planning import StepPlan

CACHE = CachePlan(0, 0, 1.0, 1.0, "nothing is frozen")
PLANS = [StepPlan(Step(name, {"head": 1e-3}), (), 400, 40, 10, CACHE) for name in ("last", "all")]


@pytest.mark.parametrize(
    ("left_s", "first_s", "measured"),
    [(10.0, 0.0, ["last", "all"]), (0.15, 0.0, ["last"]), (0.15, 0.2, []), (-1.0, 0.0, [])],
)
def test_a_step_that_cannot_be_measured_in_time_gets_no_image(
    monkeypatch: pytest.MonkeyPatch, left_s: float, first_s: float, measured: list[str]
) -> None:
    work: Any = SimpleNamespace(limits=SimpleNamespace(batch_size=32))
    asked: list[str] = []

    def slowly(_: object, plan: StepPlan) -> StepPlan:
        asked.append(plan.step.name)
        time.sleep(0.1)
        return replace(plan, batch_size=32)

    monkeypatch.setattr(costing, "_measured", slowly)
    found = costing._costed(work, PLANS, time.perf_counter() + left_s, first_s)
    assert asked == measured
    assert [plan.step.name for plan in found if plan.n_images] == measured
    assert [plan.batch_size for plan in found] == [32, 32]

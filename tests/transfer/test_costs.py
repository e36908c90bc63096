"""What a step costs is measured on real updates; the classifier is as it was; a budget shortens steps in order."""

import itertools
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from transfer.backbones.backbone import Backbone, Classifier
from transfer.data.examples import Examples, Target
from transfer.finetuning import staged
from transfer.finetuning.budget import Budget
from transfer.finetuning.caching import Keep
from transfer.finetuning.costs import Pose, measured
from transfer.finetuning.plan import Step, staged_plan
from transfer.finetuning.planning import StepCost, StepPlan, plan_steps, within
from transfer.finetuning.problem import Problem
from transfer.finetuning.staged import Hooks, posed, run_steps
from transfer.finetuning.states import clone_state

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
BUDGET = Budget(max_images=400, epochs=10, batch_size=8, weight_decay=0.0, label_smoothing=0.0)
STEPS = staged_plan(("stem", "middle", "deep"), 0.01, 0.001, 2.0, adapts_norms=True)
COST = StepCost(at_once=8, prepare_s=1.0, prefix_s=0.01, varied_s=0.03, update_s=0.1, val_s=0.02, n_bytes=1000)


@pytest.fixture
def target(striped: MakeExamples) -> Target:
    return Target(striped(40, 0), striped(10, 1), 2)


def costs_of(classifier: Classifier, target: Target, free_bytes: int, now: Callable[[], float]) -> list[StepCost]:
    def pose_as(plan: StepPlan) -> Pose:
        return lambda rows, keep: posed(classifier, rows, plan, BUDGET, 0, Hooks(keep=keep))

    plans = plan_steps(classifier, STEPS, 40, 10, BUDGET, 10**9)
    return [measured(classifier, target, plan, pose_as(plan), BUDGET, free_bytes, now) for plan in plans]


def test_measuring_changes_nothing(tiny_backbone: MakeBackbone, target: Target) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    before = clone_state(classifier)
    for cost in costs_of(classifier, target, 10**9, time.perf_counter):
        assert cost.update_s > 0
        assert cost.val_s > 0
        assert cost.n_bytes > 0
        assert cost.at_once == 8
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert not any(parameter.requires_grad for parameter in classifier.parameters())


def test_training_every_layer_holds_more_memory(tiny_backbone: MakeBackbone, target: Target) -> None:
    last, everything = costs_of(Classifier(tiny_backbone(), 2), target, 10**9, time.perf_counter)
    kept = plan_steps(Classifier(tiny_backbone(), 2), STEPS, 40, 10, BUDGET, 10**9)[0].cache.n_bytes
    assert everything.n_bytes > 1.5 * (last.n_bytes - 2 * kept)


def test_what_autograd_holds_is_counted(tiny_backbone: MakeBackbone, target: Target) -> None:
    _, everything = costs_of(Classifier(tiny_backbone(), 2), target, 10**9, time.perf_counter)
    activations = 8 * 6 * 8 * 8 * 4  # a batch of 8, 6 channels of 8 x 8, float32; three blocks of several such values
    weights = 18 * sum(value.numel() * value.element_size() for value in Classifier(tiny_backbone(), 2).parameters())
    assert 3 * activations < everything.n_bytes - weights < 15 * activations


def test_a_rate_that_explodes_costs_what_another_does(tiny_backbone: MakeBackbone, target: Target) -> None:
    found = []
    for rate in (1e-4, 1e30):
        classifier = Classifier(tiny_backbone(), 2)
        steps = (Step("all", dict.fromkeys(("stem", "middle", "deep", "head"), rate)),)
        (plan,) = plan_steps(classifier, steps, 40, 10, BUDGET, 10**9)

        def pose(rows: Target, keep: Keep, plan: StepPlan = plan, classifier: Classifier = classifier) -> Problem:
            return posed(classifier, rows, plan, BUDGET, 0, Hooks(keep=keep))

        found.append(measured(classifier, target, plan, pose, BUDGET, 10**9, time.perf_counter))
    assert found[0].n_bytes == found[1].n_bytes


@pytest.mark.parametrize(("share", "at_once"), [(1.0, 8), (0.8, 4), (1e-6, 2)])
def test_a_batch_that_would_not_fit_is_made_of_parts(
    tiny_backbone: MakeBackbone, target: Target, share: float, at_once: int
) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    _, whole = costs_of(classifier, target, 10**9, time.perf_counter)
    _, parts = costs_of(classifier, target, int(share * whole.n_bytes / 0.8) + 8, time.perf_counter)
    assert parts.at_once <= at_once
    assert (parts.at_once == 8) == (share == 1.0)


def test_seconds_are_those_of_the_clock(tiny_backbone: MakeBackbone, target: Target) -> None:
    ticks = itertools.count()
    last, everything = costs_of(Classifier(tiny_backbone(), 2), target, 10**9, lambda: float(next(ticks)))
    assert last.update_s == everything.update_s == 1 / 8  # one tick between the updates of a pass
    assert last.val_s == everything.val_s == 1 / 10
    assert (everything.prefix_s, everything.varied_s, everything.prepare_s) == (0.0, 0.0, 0.0)
    assert (last.prefix_s, last.varied_s) == (2 / 26, 3 / 48)  # a tick a view: training and validation, three varied
    assert last.prepare_s == 6  # a tick before each of five views and one after them


def test_a_plan_adds_up(tiny_backbone: MakeBackbone) -> None:
    last, everything = plan_steps(Classifier(tiny_backbone(), 2), STEPS, 40, 10, BUDGET, 10**9)
    last, everything = replace(last, cost=COST), replace(everything, cost=COST)
    keeping_s = 1 + 0.01 * (40 + 10) + 0.03 * 3 * 40
    assert last.seconds() == pytest.approx(keeping_s + 0.02 * 10 * 5 + 400 * 0.1 + 10 * 10 * 0.02)
    assert everything.seconds() == pytest.approx(0.02 * 10 * 5 + 400 * 0.1 + 10 * 10 * 0.02)
    assert replace(last, n_images=0).seconds() == 0
    assert last.updates_s() == pytest.approx(400 * 0.1)


def test_updates_alone_decide_whether_to_compile(
    tiny_backbone: MakeBackbone, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(staged, "pays_to_compile", lambda _, seconds, **__: asked.append(seconds) or False)
    classifier = Classifier(tiny_backbone(), 2)
    plans = plan_steps(classifier, STEPS[:1], 40, 10, BUDGET, 10**9)
    plans = (replace(plans[0], n_images=40, cost=replace(COST, val_s=1e6)),)
    list(run_steps(classifier, target, plans, BUDGET, 0))
    assert asked == [pytest.approx(40 * 0.1)]


@pytest.mark.parametrize("seconds", [0.0, 5.0, 20.0, 46.0, 60.0, 80.0, 1000.0])
def test_a_budget_is_kept_and_the_first_step_comes_first(tiny_backbone: MakeBackbone, seconds: float) -> None:
    plans = plan_steps(Classifier(tiny_backbone(), 2), STEPS, 40, 10, BUDGET, 10**9)
    plans = tuple(replace(plan, cost=COST) for plan in plans)
    last, everything = within(plans, seconds, fewest=8)
    assert last.seconds() + everything.seconds() <= seconds
    assert last.n_images <= 400
    assert last.n_images == 400 or everything.n_images == 0 or everything.n_images < last.n_images
    assert all(plan.n_images == 0 or plan.n_images >= 8 for plan in (last, everything))
    if seconds == 1000.0:
        assert (last, everything) == plans


def test_a_step_that_keeps_nothing_any_more_pays_for_its_prefix_in_every_pass(tiny_backbone: MakeBackbone) -> None:
    planned, *_ = plan_steps(Classifier(tiny_backbone(), 2), STEPS, 40, 10, BUDGET, 10**9)
    slow = replace(planned, n_val=1, cost=replace(COST, prefix_s=1.0, varied_s=1.2))
    (fitted,) = within((slow,), 30.0, fewest=8)  # a view of every row would take 41 s
    assert fitted.cache.n_views == 0
    assert 0 < fitted.n_images * (1.2 + COST.update_s) < fitted.seconds() <= 30
    assert fitted.cost == replace(COST, prepare_s=0.0, prefix_s=0.0, varied_s=0.0, update_s=1.3, val_s=1.22)
    share = planned.cache.frozen_share
    in_torch = replace(COST, prefix_s=0.0, varied_s=0.0).of_whole_images(share)  # whatever a fast executor took
    assert in_torch.val_s == pytest.approx(COST.val_s / (1 - share))


@pytest.mark.parametrize(("n_images", "n_views"), [(400, 2), (120, 1), (30, 0), (0, 0)])
def test_a_shortened_plan_tells_of_itself(tiny_backbone: MakeBackbone, n_images: int, n_views: int) -> None:
    planned, *_ = plan_steps(Classifier(tiny_backbone(), 2), STEPS, 40, 10, BUDGET, 10**9)
    row_bytes = planned.cache.n_bytes / (planned.cache.n_views * 40 + 10)
    cache, share = planned.shortened(n_images, n_views).cache, planned.cache.frozen_share
    assert cache.n_bytes == ((n_views * 40 + 10) * row_bytes if n_views else 0)
    assert (f"{n_views} view" in cache.why) == (n_views > 0)
    assert ("budget leaves" in cache.why) == (n_views == 0)
    if n_views:
        n_epochs = n_images / 40
        uncached, cached = n_epochs * (share + 3 * (1 - share)), n_views * share + 3 * n_epochs * (1 - share)
        assert cache.speed_up == pytest.approx(uncached / cached)
        assert cache.speed_up_over_all == pytest.approx(3 * n_epochs / cached)

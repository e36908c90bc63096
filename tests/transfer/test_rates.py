"""Rates are found by short runs: deterministic, harmless, on kept values where the step learns from them."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from transfer.backbones.backbone import Backbone, Classifier
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget, batch_sizes
from transfer.finetuning.freezing import thaw
from transfer.finetuning.inputs import Views
from transfer.finetuning.plan import staged_plan
from transfer.finetuning.planning import StepCost, StepPlan, plan_steps, within
from transfer.finetuning.probing import probed
from transfer.finetuning.problem import Problem
from transfer.finetuning.rates import (
    SCALES,
    SHARE,
    scaled,
    search_of,
    searched,
    searched_images,
    trial_images,
    trial_nll,
)
from transfer.finetuning.staged import Checkpoint, Event, Hooks, posed, run_steps
from transfer.finetuning.states import clone_state, trained_state
from transfer.records import EpochRecord, RateSearch

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
BUDGET = Budget(max_images=320, epochs=8, batch_size=8, weight_decay=0.0, label_smoothing=0.0)
GROUPS = ("stem", "middle", "deep")
COST = StepCost(8, 1.0, 0.01, 0.01, 0.1, 0.02, 1000)


@pytest.fixture
def target(striped: MakeExamples) -> Target:
    return Target(striped(40, 0), striped(20, 1), 2)


def plans_for(classifier: Classifier, rate: float, *, adapts_norms: bool = False) -> tuple[StepPlan, ...]:
    """Return two steps whose rates are all to be found around one."""
    steps = staged_plan(GROUPS, rate, rate, 2.0, adapts_norms=adapts_norms)
    steps = tuple(replace(step, searched=tuple(step.rates)) for step in steps)
    return plan_steps(classifier, steps, 40, 20, BUDGET, 10**9)


def search(classifier: Classifier, target: Target, plan: StepPlan, advance: Callable[[int], None]) -> RateSearch:
    thaw(classifier, plan.step.rates, adapts_norms=plan.step.adapts_norms)
    problem = posed(classifier, target, plan, BUDGET, 0, Hooks())
    return searched(classifier, trained_state(classifier), problem, plan.step, BUDGET, 0, advance)


@pytest.mark.parametrize("adapts_norms", [False, True])
@pytest.mark.parametrize("index", [0, 1])
def test_searching_changes_nothing_and_finds_the_same_again(
    tiny_backbone: MakeBackbone, target: Target, index: int, adapts_norms: bool
) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    before, seen = clone_state(classifier), list[int]()
    plan = plans_for(classifier, 1e-3, adapts_norms=adapts_norms)[index]
    first = search(classifier, target, plan, seen.append)
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert search(classifier, target, plan, seen.append) == first
    assert sum(seen) == 2 * sum(first.images_seen) == 2 * searched_images(320)
    assert first.groups == tuple(plan.step.rates)


def test_the_rate_with_the_lowest_loss_wins(tiny_backbone: MakeBackbone, target: Target) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    found = search(classifier, target, plans_for(classifier, 1e-3)[0], lambda _: None)
    first, second = (
        {
            scale: nll
            for scale, seen, nll in zip(found.scales, found.images_seen, found.val_nlls, strict=True)
            if seen == n
        }
        for n in trial_images(320)
    )
    assert tuple(first) == SCALES
    assert set(second) == set(sorted(SCALES, key=lambda scale: (first[scale], scale))[:2])
    assert found.scale == min(second, key=lambda scale: (second[scale], scale))


@pytest.mark.parametrize(("rate", "low", "high"), [(1e-6, 3.0, 10.0), (0.9, 0.1, 1 / 3)])
def test_a_base_that_is_far_too_slow_or_fast_is_mended(
    tiny_backbone: MakeBackbone, target: Target, rate: float, low: float, high: float
) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    found = search(classifier, target, plans_for(classifier, rate)[1], lambda _: None)
    assert low <= found.scale <= high


def test_of_equal_losses_the_smaller_rate_is_taken(tiny_backbone: MakeBackbone, target: Target) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    found = search(classifier, target, plans_for(classifier, 1e-30)[0], lambda _: None)
    assert len(set(found.val_nlls)) == 1
    assert found.scale == SCALES[0]


def test_a_run_that_explodes_is_worse_than_any(tiny_backbone: MakeBackbone, target: Target) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    plan = plans_for(classifier, 1e30)[0]
    thaw(classifier, plan.step.rates)
    before = clone_state(classifier)
    problem, live = posed(classifier, target, plan, BUDGET, 0, Hooks()), trained_state(classifier)
    assert trial_nll(classifier, live, problem, plan.step, BUDGET, 40, 0) == float("inf")
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    found = searched(classifier, live, problem, plan.step, BUDGET, 0)
    assert (found.scale, set(found.val_nlls)) == (SCALES[0], {None})


def test_only_the_named_groups_are_scaled() -> None:
    step, _ = staged_plan(GROUPS, 0.1, 0.01, 2.0)
    assert scaled(step, ("head",), 3.0).rates == {"deep": 0.01, "head": pytest.approx(0.3)}


def test_a_step_searches_once_and_goes_on_from_any_checkpoint(tiny_backbone: MakeBackbone, target: Target) -> None:
    def run(start: Checkpoint | None, known: tuple[RateSearch | None, ...]) -> tuple[list[Event], Classifier]:
        classifier, _ = probed(tiny_backbone(), target)
        plans = (replace(plan, found=one) for plan, one in zip(plans_for(classifier, 1e-3), known, strict=True))
        return list(run_steps(classifier, target, tuple(plans), BUDGET, 3, start, Hooks(save=saved.append))), classifier

    saved: list[Checkpoint] = []
    events, classifier = run(None, (None, None))
    checkpoints, found = list(saved), tuple(event for event in events if isinstance(event, RateSearch))
    assert [one.step_name for one in found] == ["last", "all"]
    assert any(one.snapshot is not None for one in checkpoints)
    for start, known in ((None, found), *((one, (None, None)) for one in checkpoints)):
        later, other = run(start, known)
        assert [*(start.events if start else ()), *later] == events
        assert all(torch.equal(value, classifier.state_dict()[name]) for name, value in other.state_dict().items())


def test_a_known_rate_is_the_one_that_trains(tiny_backbone: MakeBackbone, target: Target) -> None:
    def run(plan: StepPlan) -> list[EpochRecord]:
        classifier, _ = probed(tiny_backbone(), target)
        events = run_steps(classifier, target, (plan,), BUDGET, 3)
        return [event for event in events if isinstance(event, EpochRecord)]

    plan = plans_for(Classifier(tiny_backbone(), 2), 1e-3)[0]
    known = replace(plan, found=RateSearch("last", tuple(plan.step.rates), 10.0, (), (), ()))
    faster = replace(plan, step=replace(scaled(plan.step, tuple(plan.step.rates), 10.0), searched=()))
    assert run(known) == run(faster)
    assert search_of(plan.step, [known.found]) == known.found


def test_a_search_uses_kept_values(tiny_backbone: MakeBackbone, target: Target) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    plan = plans_for(classifier, 1e-3)[0]
    thaw(classifier, plan.step.rates)
    problem = posed(classifier, target, plan, BUDGET, 0, Hooks())
    assert isinstance(problem.train, Views)
    whole = Problem.of_images(classifier, target, BUDGET.augmentation)
    live, plain = trained_state(classifier), replace(BUDGET, batch_size=40)
    assert trial_nll(classifier, live, problem, plan.step, plain, 40, 0) != trial_nll(
        classifier, live, whole, plan.step, plain, 40, 0
    )  # views are other variations than those of whole images


def test_a_search_costs_its_share_and_budgets_count_it(tiny_backbone: MakeBackbone) -> None:
    plans = tuple(replace(plan, cost=COST) for plan in plans_for(Classifier(tiny_backbone(), 2), 1e-3))
    for plan in plans:
        assert 0.9 * SHARE * plan.n_images <= plan.n_searched <= SHARE * plan.n_images
        assert plan.search_s() == pytest.approx(plan.n_searched * 0.1 + 7 * 20 * 0.02)
        fixed = replace(plan, step=replace(plan.step, searched=()))
        assert plan.seconds() == pytest.approx(fixed.seconds() + plan.search_s())
        assert replace(plan, found=RateSearch(plan.step.name, (), 1.0, (), (), ())).search_s() == 0
    for seconds in (0.0, 20.0, 60.0, 100.0):
        assert sum(plan.seconds() for plan in within(plans, seconds, fewest=8)) <= seconds


def test_a_short_step_is_not_searched(tiny_backbone: MakeBackbone, target: Target) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    plan = replace(plans_for(classifier, 1e-3)[0], n_images=100)
    assert (plan.seeks, plan.n_searched) == (False, 0)
    assert not any(isinstance(event, RateSearch) for event in run_steps(classifier, target, (plan,), BUDGET, 0))


@pytest.mark.parametrize(
    ("n_train", "sizes"), [(2, (8,)), (127, (8,)), (128, (8, 16)), (512, (8, 16, 32, 64)), (10**6, (8, 16, 32, 64))]
)
def test_batch_sizes_leave_updates_enough(n_train: int, sizes: tuple[int, ...]) -> None:
    assert batch_sizes(n_train) == sizes

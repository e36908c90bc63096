"""Steps are kept only where validation likelihood gains beyond noise, and undone to the byte where it does not."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from transfer.backbones.backbone import Backbone, Classifier
from transfer.data.batches import Augmentation
from transfer.data.examples import Examples, Target
from transfer.errors import UserError
from transfer.finetuning.budget import Budget
from transfer.finetuning.inputs import Pixels
from transfer.finetuning.measuring import judged
from transfer.finetuning.plan import Step, staged_plan
from transfer.finetuning.planning import StepPlan, plan_steps
from transfer.finetuning.probing import probed, refitted, with_own_norms
from transfer.finetuning.staged import Checkpoint, Done, Event, Hooks, run_steps
from transfer.finetuning.states import clone_state
from transfer.records import EpochRecord, StepOutcome

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
BUDGET = Budget(max_images=80, epochs=4, batch_size=10, weight_decay=0.0, label_smoothing=0.0)
GENTLE = staged_plan(("stem", "middle", "deep"), head_lr=0.02, backbone_lr=0.02, lr_decay=2.0)
LAST = (Step("last", {"deep": 0.01, "head": 0.01}),)


@pytest.fixture
def target(striped: MakeExamples) -> Target:
    return Target(striped(40, 0), striped(20, 1), 2)


def measured(classifier: Classifier, examples: Examples) -> tuple[float, float]:
    found = judged(classifier, Pixels(examples, classifier.backbone.preprocess, BUDGET.augmentation))
    return found.nll, found.accuracy


def planned(
    classifier: Classifier, target: Target, steps: tuple[Step, ...], budget: Budget = BUDGET, max_bytes: int = 10**9
) -> tuple[StepPlan, ...]:
    return plan_steps(classifier, steps, len(target.train), len(target.val), budget, max_bytes)


def mislabelled(target: Target) -> Target:  # what is learned makes validation worse
    return replace(target, train=Examples(target.train.inputs, 1 - target.train.labels))


def same(one: Classifier, state: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in one.state_dict().items())


def test_the_probe_leaves_the_trunk_as_it_is(tiny_backbone: MakeBackbone, target: Target) -> None:
    backbone = tiny_backbone()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    classifier, (record, outcome) = probed(backbone, target)
    assert all(torch.equal(value, before[name]) for name, value in classifier.backbone.state_dict().items())
    assert record.images_seen == outcome.images_seen == 40
    assert (outcome.val_nll_after, outcome.val_accuracy) == pytest.approx(measured(classifier, target.val))
    assert (outcome.name, outcome.kept, outcome.val_nll_before) == ("probe", True, None)


def test_steps_that_help_are_kept(tiny_backbone: MakeBackbone, target: Target) -> None:
    classifier = Classifier(tiny_backbone(), 2)  # a head of zeros: every step helps
    events = run_steps(classifier, target, planned(classifier, target, GENTLE), BUDGET, 0)
    outcomes = [event for event in events if isinstance(event, StepOutcome)]
    assert [(outcome.name, outcome.kept) for outcome in outcomes] == [("last", True), ("all", True)]
    assert outcomes[0].val_nll_before == pytest.approx(math.log(2), rel=1e-4)
    for outcome in outcomes:
        assert outcome.val_nll_before is not None
        assert outcome.val_nll_noise is not None
        assert outcome.val_nll_before - outcome.val_nll_after > outcome.val_nll_noise > 0
    assert outcomes[1].val_nll_before == pytest.approx(outcomes[0].val_nll_after, rel=1e-3)
    assert measured(classifier, target.val) == pytest.approx((outcomes[1].val_nll_after, outcomes[1].val_accuracy))


def test_a_gain_within_the_noise_is_not_kept(tiny_backbone: MakeBackbone, target: Target) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    before = clone_state(classifier)
    faint = (Step("last", {"head": 1e-7}),)
    *_, outcome = run_steps(classifier, target, planned(classifier, target, faint), BUDGET, 0)
    assert isinstance(outcome, StepOutcome)
    assert not outcome.kept
    assert same(classifier, before)


@pytest.mark.parametrize("max_bytes", [0, 10**9], ids=["whole images", "kept values"])
def test_a_step_that_hurts_is_undone_to_the_byte(tiny_backbone: MakeBackbone, target: Target, max_bytes: int) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    before, nll = clone_state(classifier), measured(classifier, target.val)[0]
    plans = planned(classifier, target, LAST, max_bytes=max_bytes)
    assert bool(plans[0].cache.n_views) == bool(max_bytes)
    *_, outcome = run_steps(classifier, mislabelled(target), plans, BUDGET, 0)
    assert isinstance(outcome, StepOutcome)
    assert not outcome.kept
    assert outcome.val_nll_before == pytest.approx(nll, rel=1e-3)
    assert same(classifier, before)


def test_a_step_without_an_epoch_changes_nothing(tiny_backbone: MakeBackbone, target: Target) -> None:
    classifier, (_, probe) = probed(tiny_backbone(), target)
    before = clone_state(classifier)
    short = replace(BUDGET, max_images=1)
    outcomes = list(run_steps(classifier, target, planned(classifier, target, GENTLE, short), short, 0))
    assert [outcome.name for outcome in outcomes if isinstance(outcome, StepOutcome)] == ["last", "all"]
    for outcome in outcomes:
        assert isinstance(outcome, StepOutcome)
        assert (outcome.images_seen, outcome.kept) == (0, False)
        assert outcome.val_nll_before == outcome.val_nll_after == pytest.approx(probe.val_nll_after)
    assert same(classifier, before)


def test_the_blend_that_validation_prefers_is_what_an_outcome_measured(
    tiny_backbone: MakeBackbone, target: Target
) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    plans = planned(classifier, target, LAST, max_bytes=0)
    *epochs, outcome = run_steps(classifier, mislabelled(target), plans, BUDGET, 0)
    measured_nlls = [epoch.val_nll for epoch in epochs if isinstance(epoch, EpochRecord)]
    assert isinstance(outcome, StepOutcome)
    assert outcome.blend < 1
    assert outcome.val_nll_after < min(measured_nlls)


def test_an_outcome_counts_the_images_that_were_seen(tiny_backbone: MakeBackbone, target: Target) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    long = replace(BUDGET, max_images=1000, epochs=25, patience=1)
    *epochs, outcome = run_steps(classifier, mislabelled(target), planned(classifier, target, LAST, long), long, 0)
    assert isinstance(outcome, StepOutcome)
    n_epochs = sum(isinstance(event, EpochRecord) for event in epochs)
    assert outcome.images_seen == 40 * n_epochs < 1000


def test_kept_values_teach_what_whole_images_teach(tiny_backbone: MakeBackbone, target: Target) -> None:
    plain = replace(BUDGET, augmentation=Augmentation(min_area=1.0))
    outcomes = []
    for max_bytes in (0, 10**9):
        classifier = Classifier(tiny_backbone(), 2)
        plans = planned(classifier, target, GENTLE[:1], plain, max_bytes)
        assert bool(plans[0].cache.n_views) == bool(max_bytes)
        *_, outcome = run_steps(classifier, target, plans, plain, 0)
        assert isinstance(outcome, StepOutcome)
        outcomes.append(outcome.val_nll_after)
    assert outcomes[0] == pytest.approx(outcomes[1], rel=5e-3)


def test_own_norm_statistics_are_kept_where_they_help(tiny_backbone: MakeBackbone, target: Target) -> None:
    backbone = tiny_backbone()
    trunk = backbone.trunk
    norm = trunk.get_submodule("deep.1")
    norm.running_mean.fill_(50.0)  # statistics of another world: nothing passes the ReLU
    classifier, first = probed(backbone, target)
    assert first[1].val_nll_after == pytest.approx(math.log(2), rel=1e-3)
    classifier, (outcome,) = with_own_norms(classifier, target)
    assert outcome.kept
    assert outcome.val_nll_after < 0.6
    assert float(norm.running_mean.abs().max()) < 10
    assert measured(classifier, target.val)[0] == pytest.approx(outcome.val_nll_after, rel=1e-4)


def test_own_norm_statistics_are_dropped_to_the_byte_where_they_do_not_help(
    tiny_backbone: MakeBackbone, target: Target
) -> None:
    backbone = tiny_backbone()
    classifier, _ = probed(backbone, target)
    classifier, (first,) = with_own_norms(classifier, target)
    before = clone_state(classifier)
    again, (outcome,) = with_own_norms(classifier, target)
    assert again is classifier
    assert not outcome.kept
    assert same(classifier, before)
    assert first.name == outcome.name == "norms"


def test_own_norm_statistics_that_were_asked_for_stay(tiny_backbone: MakeBackbone, target: Target) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    classifier, _ = with_own_norms(classifier, target)
    other, (outcome,) = with_own_norms(classifier, target, asked_for=True)
    assert outcome.kept
    assert outcome.val_nll_noise is not None
    assert measured(other, target.val)[0] == pytest.approx(outcome.val_nll_after, rel=1e-4)


def test_statistics_of_a_trunk_without_any_are_refused(tiny_backbone: MakeBackbone, target: Target) -> None:
    backbone = tiny_backbone()
    for name in ("stem", "middle", "deep"):
        backbone.trunk.get_submodule(name)[1] = nn.Identity()
    classifier, _ = probed(backbone, target)
    assert with_own_norms(classifier, target) == (classifier, ())
    with pytest.raises(UserError, match="has no norm layer that keeps statistics"):
        with_own_norms(classifier, target, asked_for=True)


def test_where_no_step_is_kept_the_head_is_fitted_to_all_rows(tiny_backbone: MakeBackbone, target: Target) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    before = clone_state(classifier)
    head, (outcome,) = refitted(classifier, target)
    assert same(classifier, before)
    everything = Examples(
        torch.cat((target.train.inputs, target.val.inputs)), torch.cat((target.train.labels, target.val.labels))
    )
    by_hand, _ = probed(tiny_backbone(), replace(target, train=everything))
    assert all(torch.equal(by_hand.state_dict()[name], value) for name, value in head.items())
    assert (outcome.name, outcome.kept, outcome.images_seen) == ("refit", True, 20)
    at_zero = clone_state(Classifier(tiny_backbone(), 2))
    for rows, steps, weights, any_kept in (
        (mislabelled(target), LAST, before, False),
        (target, GENTLE, at_zero, True),
    ):
        start = Checkpoint(0, (), weights, spare=head)
        events = list(run_steps(classifier, rows, planned(classifier, rows, steps), BUDGET, 0, start))
        assert any(event.kept for event in events if isinstance(event, StepOutcome)) is any_kept
        assert same(classifier, {**weights, **head}) is not any_kept
        assert same(classifier, {**clone_state(classifier), **head}) is not any_kept


@pytest.mark.parametrize(("refit_nll", "kept"), [(0.0, False), (9.0, True)])
def test_a_step_that_a_head_fitted_to_all_rows_is_better_than_is_undone(
    tiny_backbone: MakeBackbone, target: Target, refit_nll: float, kept: bool
) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    head, (outcome,) = refitted(classifier, target)
    weights = clone_state(Classifier(tiny_backbone(), 2))
    start = Checkpoint(0, (replace(outcome, val_nll_after=refit_nll),), weights, spare=head)
    events = list(run_steps(classifier, target, planned(classifier, target, GENTLE), BUDGET, 0, start))
    assert any(event.kept for event in events if isinstance(event, StepOutcome)) is kept
    assert same(classifier, {**weights, **head}) is not kept


def test_rows_that_are_predicted_worse_by_a_fit_to_all_rows_refuse_it(
    tiny_backbone: MakeBackbone, target: Target
) -> None:
    classifier, _ = probed(tiny_backbone(), target)
    head, (outcome,) = refitted(classifier, mislabelled(target))
    assert not outcome.kept
    assert head == {}


def test_the_whole_is_deterministic_and_goes_on_from_any_checkpoint(
    tiny_backbone: MakeBackbone, target: Target
) -> None:
    def run(start: Checkpoint | None) -> tuple[list[Event], Classifier, list[Checkpoint]]:
        checkpoints: list[Checkpoint] = []
        if start is None:
            classifier, first = probed(tiny_backbone(), target)
        else:
            classifier, first = Classifier(tiny_backbone(), 2), ()
        plans = planned(classifier, target, GENTLE)
        later = run_steps(classifier, target, plans, BUDGET, 3, start, Hooks(save=checkpoints.append))
        return [*first, *later], classifier, checkpoints

    (first, one, checkpoints), (second, other, _) = run(None), run(None)
    assert first == second
    assert same(one, other.state_dict())
    assert {(checkpoint.step_index, checkpoint.snapshot is None) for checkpoint in checkpoints} == {
        (0, False), (1, True), (1, False), (2, True),
    }  # fmt: skip
    for checkpoint in checkpoints:
        later, resumed, _ = run(checkpoint)
        assert [*checkpoint.events, *later] == first[2:]
        assert same(resumed, one.state_dict())


def test_a_step_is_recalled_as_it_ended_and_only_for_the_same_inputs(
    tiny_backbone: MakeBackbone, target: Target
) -> None:
    kept: dict[str, Done] = {}

    def run(seed: int = 0, rows: Target = target, head: float = 0.0) -> tuple[list[Event], Classifier, int]:
        classifier, n_before = Classifier(tiny_backbone(), 2), len(kept)
        with torch.no_grad():
            classifier.head.bias.fill_(head)
        hooks = Hooks(recall=kept.get, remember=kept.__setitem__)
        plans = planned(classifier, rows, GENTLE)
        return list(run_steps(classifier, rows, plans, BUDGET, seed, None, hooks)), classifier, len(kept) - n_before

    first, one, n_kept = run()
    again, other, n_more = run()
    assert (n_kept, n_more) == (2, 0)
    assert first == again
    assert same(one, other.state_dict())
    renamed = replace(target, train=replace(target.train, keys=tuple("other" for _ in range(40))))
    relabelled = replace(target, val=replace(target.val, labels=1 - target.val.labels))
    assert run(seed=1)[2] == run(head=1.0)[2] == run(rows=renamed)[2] == run(rows=relabelled)[2] == 2


def test_a_step_that_was_taken_up_again_is_remembered_whole(tiny_backbone: MakeBackbone, target: Target) -> None:
    kept: list[Done] = []
    checkpoints: list[Checkpoint] = []
    hooks = Hooks(save=checkpoints.append, remember=lambda _, done: kept.append(done))
    for start in (None, lambda: next(one for one in checkpoints if one.snapshot and one.snapshot.epoch == 2)):
        classifier = Classifier(tiny_backbone(), 2)
        at = start() if start else None
        list(run_steps(classifier, target, planned(classifier, target, LAST), BUDGET, 0, at, hooks))
    assert kept[0].events == kept[1].events
    assert kept[0].changed.keys() == kept[1].changed.keys()
    assert all(torch.equal(value, kept[1].changed[name]) for name, value in kept[0].changed.items())

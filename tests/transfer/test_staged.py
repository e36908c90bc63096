"""Steps are kept only where validation likelihood gains, and undone to the byte where it does not."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from transfer.backbones.backbone import Backbone, Classifier
from transfer.data.examples import Examples
from transfer.finetuning.loop import Budget, clone_state, evaluate
from transfer.finetuning.plan import Step, staged_plan
from transfer.finetuning.staged import probed, run_steps
from transfer.records import EpochRecord, StepOutcome

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
BUDGET = Budget(max_images=80, epochs=4, batch_size=10, weight_decay=0.0, label_smoothing=0.0)
GENTLE = staged_plan(("stem", "middle", "deep"), head_lr=0.002, backbone_lr=0.002, lr_decay=2.0)
HARMFUL = (Step("last", {"deep": 5.0, "head": 5.0}),)


def test_the_probe_leaves_the_trunk_as_it_is(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    backbone = tiny_backbone()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    seen: list[int] = []
    classifier, record, outcome = probed(backbone, striped(40, 0), striped(20, 1), 2, 0, seen.append)
    assert all(torch.equal(value, before[name]) for name, value in classifier.backbone.state_dict().items())
    assert sum(seen) == record.images_seen == outcome.images_seen == 40
    assert (outcome.val_nll_after, outcome.val_accuracy) == evaluate(classifier, striped(20, 1))
    assert (outcome.name, outcome.kept, outcome.val_nll_before) == ("probe", True, None)


def test_a_step_that_helps_is_kept(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    classifier, val_set = Classifier(tiny_backbone(), 2), striped(20, 1)  # a head of zeros: every step helps
    outcomes = [
        event
        for event in run_steps(classifier, striped(40, 0), val_set, GENTLE, BUDGET, 0)
        if isinstance(event, StepOutcome)
    ]
    assert [(outcome.name, outcome.kept) for outcome in outcomes] == [("last", True), ("all", True)]
    assert outcomes[0].val_nll_before == pytest.approx(math.log(2))
    assert outcomes[0].val_nll_after < math.log(2)
    assert outcomes[1].val_nll_before == outcomes[0].val_nll_after
    assert evaluate(classifier, val_set) == (outcomes[1].val_nll_after, outcomes[1].val_accuracy)


def test_a_step_that_hurts_is_undone_to_the_byte(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    val_set = striped(20, 1)
    classifier, _, _ = probed(tiny_backbone(), striped(40, 0), val_set, 2, 0)
    before, nll = clone_state(classifier), evaluate(classifier, val_set)[0]
    *_, outcome = run_steps(classifier, striped(40, 0), val_set, HARMFUL, BUDGET, 0)
    assert isinstance(outcome, StepOutcome)
    assert not outcome.kept
    assert outcome.val_nll_after >= nll
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_a_step_without_an_epoch_changes_nothing(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    val_set = striped(20, 1)
    classifier, _, probe = probed(tiny_backbone(), striped(40, 0), val_set, 2, 0)
    before = clone_state(classifier)
    events = list(run_steps(classifier, striped(40, 0), val_set, GENTLE, replace(BUDGET, max_images=1), 0))
    for outcome in events:
        assert isinstance(outcome, StepOutcome)
        assert (outcome.images_seen, outcome.kept) == (0, False)
        assert (outcome.val_nll_before, outcome.val_accuracy) == (probe.val_nll_after, probe.val_accuracy)
    assert [outcome.name for outcome in events if isinstance(outcome, StepOutcome)] == ["last", "all"]
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_an_outcome_is_what_the_best_epoch_measured(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    classifier, val_set = Classifier(tiny_backbone(), 2), striped(20, 1)
    *epochs, outcome = run_steps(classifier, striped(40, 0), val_set, GENTLE[:1], BUDGET, 0)
    measured = [(epoch.val_nll, epoch.val_accuracy) for epoch in epochs if isinstance(epoch, EpochRecord)]
    assert isinstance(outcome, StepOutcome)
    assert (outcome.val_nll_after, outcome.val_accuracy) == min(measured) == evaluate(classifier, val_set)


def test_an_outcome_counts_the_images_that_were_seen(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    classifier, _, _ = probed(tiny_backbone(), striped(40, 0), striped(20, 1), 2, 0)
    long = replace(BUDGET, max_images=1000, epochs=25, patience=1)
    events = list(run_steps(classifier, striped(40, 0), striped(20, 1), HARMFUL, long, 0))
    epochs = [event for event in events if isinstance(event, EpochRecord)]
    assert isinstance(events[-1], StepOutcome)
    assert events[-1].images_seen == epochs[-1].images_seen == 40 * len(epochs) < 1000


def test_the_whole_is_deterministic(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    def run() -> tuple[list[EpochRecord | StepOutcome], Classifier]:
        classifier, record, outcome = probed(tiny_backbone(), striped(30, 0), striped(10, 1), 2, 3)
        return [record, outcome, *run_steps(classifier, striped(30, 0), striped(10, 1), GENTLE, BUDGET, 3)], classifier

    (first, one), (second, other) = run(), run()
    assert first == second
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())

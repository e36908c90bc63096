"""Training under a remedy: what it brings to a small class, and the same bytes wherever it is taken up again."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from transfer.backbones.backbone import Backbone, Classifier
from transfer.data.batches import Augmentation
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget
from transfer.finetuning.inputs import Views
from transfer.finetuning.loop import Event, train
from transfer.finetuning.measuring import judgement_of, predict_logits
from transfer.finetuning.plan import Step
from transfer.finetuning.planning import plan_steps
from transfer.finetuning.probing import probed
from transfer.finetuning.problem import Problem
from transfer.finetuning.snapshot import Snapshot
from transfer.finetuning.staged import Checkpoint, Hooks, run_steps
from transfer.records import REMEDIES, ClassBalance, StepOutcome

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
BUDGET = Budget(max_images=180, epochs=3, batch_size=8, weight_decay=0.0, label_smoothing=0.1, patience=None)
STEP = Step("all", {"deep": 0.02, "head": 0.02})


def _unequal(examples: Examples, n_of_second: int) -> Examples:
    rows = torch.cat([(examples.labels == 0).nonzero()[:, 0], (examples.labels == 1).nonzero()[:n_of_second, 0]])
    return Examples(examples.inputs[rows], examples.labels[rows])


@pytest.fixture
def target(striped: MakeExamples) -> Target:
    return Target(_unequal(striped(100, 0), 5), _unequal(striped(40, 1), 3), 2)


def trained(
    make: MakeBackbone, target: Target, start: Snapshot | None = None, keep: Callable[[Snapshot], None] = lambda _: None
) -> tuple[Classifier, list[Event]]:
    classifier = Classifier(make(), 2)
    problem = Problem.of_images(classifier, target, Augmentation())
    return classifier, list(train(classifier, problem, STEP, BUDGET, 3, start, keep))


@pytest.mark.parametrize("remedy", REMEDIES[1:])
def test_a_run_taken_up_at_any_snapshot_ends_in_the_same_bytes(
    tiny_backbone: MakeBackbone, target: Target, remedy: str
) -> None:
    balanced = replace(target, balance=ClassBalance((50, 5), equally=True, remedy=remedy))
    snapshots: list[Snapshot] = []
    classifier, records = trained(tiny_backbone, balanced, keep=snapshots.append)
    assert len(snapshots) > 2
    for snapshot in snapshots:
        other, later = trained(tiny_backbone, balanced, snapshot)
        assert later == records[snapshot.epoch - 1 :]
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in classifier.state_dict().items())


@pytest.mark.parametrize("remedy", REMEDIES[1:])
def test_a_remedy_lowers_the_loss_of_the_small_class(
    tiny_backbone: MakeBackbone, striped: MakeExamples, target: Target, remedy: str
) -> None:
    unseen = striped(60, 2)
    losses = []
    for name in ("none", remedy):
        balanced = replace(target, balance=ClassBalance((50, 5), equally=True, remedy=name))
        classifier, _ = trained(tiny_backbone, balanced)
        logits = predict_logits(classifier, unseen.inputs)
        losses.append(float(torch.nn.functional.cross_entropy(logits, unseen.labels)))
    assert losses[1] < losses[0]


def test_counting_classes_without_a_remedy_changes_no_byte(tiny_backbone: MakeBackbone, target: Target) -> None:
    plain, counted = (
        trained(tiny_backbone, one)
        for one in (target, replace(target, balance=ClassBalance((50, 5), why="About equal")))
    )
    assert plain[1] == counted[1]
    assert all(torch.equal(value, counted[0].state_dict()[name]) for name, value in plain[0].state_dict().items())


def test_steps_with_sampling_go_on_from_any_checkpoint(tiny_backbone: MakeBackbone, target: Target) -> None:
    balanced = replace(target, balance=ClassBalance((50, 5), equally=True, remedy="sampling"))

    def run(start: Checkpoint | None) -> tuple[list[Any], Classifier, list[Checkpoint]]:
        saved: list[Checkpoint] = []
        classifier = probed(tiny_backbone(), balanced)[0] if start is None else Classifier(tiny_backbone(), 2)
        plans = plan_steps(classifier, (STEP,), 55, 23, BUDGET, 10**9)
        assert plans[0].cache.n_views  # kept values, of which a row that comes often sees several views
        later: Iterator[Any] = run_steps(classifier, balanced, plans, BUDGET, 3, start, Hooks(save=saved.append))
        return list(later), classifier, saved

    events, classifier, saved = run(None)
    assert isinstance(events[-1], StepOutcome)
    for checkpoint in saved:
        later, other, _ = run(checkpoint)
        assert [*checkpoint.events, *later] == events
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in classifier.state_dict().items())


def test_a_judgement_counts_each_class_the_same() -> None:
    logits, labels = torch.tensor([[2.0, 0.0]] * 9 + [[1.0, 0.0]]), torch.tensor([0] * 9 + [1])
    plain, equal = judgement_of(logits, labels), judgement_of(logits, labels, equally=True)
    assert (plain.accuracy, equal.accuracy) == pytest.approx((0.9, 0.5))
    assert equal.nll == pytest.approx(float(equal.losses[:9].mean() + equal.losses[9]) / 2)
    assert equal.sharpness < plain.sharpness  # half of what counts is mistaken


def test_a_row_has_another_view_at_every_turn() -> None:
    views = Views(torch.arange(12.0).view(3, 4, 1), torch.zeros(4, dtype=torch.int64))
    found = views.varied(torch.tensor([1, 1, 1]), torch.tensor([2, 3, 4]), torch.Generator())
    assert found[:, 0].tolist() == [1.0, 5.0, 9.0]

"""The training loop: how long it runs, what it yields, which weights it leaves."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from transfer.backbones.backbone import Backbone, Classifier
from transfer.data.examples import Examples, Target
from transfer.errors import UserError
from transfer.finetuning.budget import Budget
from transfer.finetuning.inputs import Pixels
from transfer.finetuning.loop import train
from transfer.finetuning.measuring import judged, predict_logits
from transfer.finetuning.plan import Step, scratch_plan
from transfer.finetuning.problem import Problem
from transfer.finetuning.schedule import warm_up_cosine
from transfer.finetuning.snapshot import Snapshot
from transfer.finetuning.states import clone_state
from transfer.records import EpochRecord, Rescue

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
Learn = Callable[..., Iterator[Any]]
BUDGET = Budget(max_images=100, epochs=4, batch_size=8, weight_decay=0.0, label_smoothing=0.0, patience=None)
EVERYTHING = scratch_plan(("stem", "middle", "deep"), 0.02)


def measured(classifier: Classifier, examples: Examples) -> tuple[float, float]:
    found = judged(classifier, Pixels(examples, classifier.backbone.preprocess, BUDGET.augmentation))
    return found.nll, found.accuracy


@given(st.integers(2, 300), st.integers(1, 1000), st.integers(1, 12))
def test_a_step_sees_no_more_than_the_budget(n_train: int, max_images: int, epochs: int) -> None:
    sizes = replace(BUDGET, max_images=max_images, epochs=epochs).epoch_sizes(n_train)
    bound = min(max_images, epochs * n_train)
    assert bound - 1 <= sum(sizes) <= bound
    assert all(size == n_train for size in sizes[:-1])
    assert len(sizes) <= epochs
    assert 1 not in sizes


def test_it_yields_a_record_an_epoch_and_says_how_many_images_went_by(
    learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    seen: list[int] = []
    budget = replace(BUDGET, max_images=50)
    records = list(
        learn(Classifier(tiny_backbone(), 2), striped(20, 0), striped(8, 1), EVERYTHING, budget, 0, advance=seen.append)
    )
    assert [(record.step_name, record.epoch, record.images_seen) for record in records] == [
        ("scratch", 1, 20),
        ("scratch", 2, 40),
        ("scratch", 3, 50),
    ]
    assert sum(seen) == 50
    assert max(seen) <= budget.batch_size


@pytest.mark.parametrize("n_train", [2, 3, 9, 17])
def test_no_batch_is_a_single_image(
    learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples, n_train: int
) -> None:
    seen: list[int] = []
    budget = replace(BUDGET, batch_size=2, epochs=1)
    list(
        learn(
            Classifier(tiny_backbone(), 2),
            striped(n_train, 0),
            striped(4, 1),
            EVERYTHING,
            budget,
            0,
            advance=seen.append,
        )
    )
    assert sum(seen) == n_train
    assert min(seen) >= 2


def test_it_learns(learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    classifier, val_set = Classifier(tiny_backbone(), 2), striped(20, 1)
    untrained, _ = measured(classifier, val_set)
    budget = replace(BUDGET, max_images=800, epochs=20)
    list(learn(classifier, striped(40, 0), val_set, EVERYTHING, budget, 0))
    nll, accuracy = measured(classifier, val_set)
    assert untrained == pytest.approx(math.log(2))
    assert nll < 0.3
    assert accuracy > 0.9


def test_the_averaged_weights_of_the_best_epoch_are_left(
    learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    classifier, train_set, shown = Classifier(tiny_backbone(), 2), striped(20, 0), striped(8, 1)
    val_set = Examples(shown.inputs, 1 - shown.labels)  # what is learned makes validation worse
    events = learn(classifier, train_set, val_set, EVERYTHING, BUDGET, 0)
    nlls = [event.val_nll for event in events if isinstance(event, EpochRecord)]
    assert nlls.index(min(nlls)) < len(nlls) - 1  # the last epoch was not the best
    assert measured(classifier, val_set)[0] == min(nlls)
    assert not any(parameter.requires_grad for parameter in classifier.parameters())


def test_it_ends_when_validation_stops_falling(
    learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    train_set = striped(20, 0)
    mislabelled = Examples(train_set.inputs, 1 - train_set.labels)  # what is learnt makes validation worse
    budget = replace(BUDGET, max_images=400, epochs=20, patience=2)
    records = list(learn(Classifier(tiny_backbone(), 2), train_set, mislabelled, EVERYTHING, budget, 0))
    best = min(records, key=lambda record: record.val_nll)
    assert len(records) == best.epoch + 2 < 20


def test_it_ends_when_what_is_to_be_beaten_is_not(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    classifier, target = Classifier(tiny_backbone(), 2), Target(striped(20, 0), striped(8, 1), 2)
    budget = replace(BUDGET, max_images=400, epochs=20, patience=2)
    problem = replace(Problem.of_images(classifier, target, budget.augmentation), to_beat=0.0)
    records = [event for event in train(classifier, problem, EVERYTHING, budget, 0) if isinstance(event, EpochRecord)]
    assert len(records) == 2
    best = min(record.val_nll for record in records)
    assert measured(classifier, target.val)[0] == pytest.approx(best)  # the best of them is left all the same


def test_the_same_inputs_give_the_same_bytes_whatever_the_global_state(
    learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    finished = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            classifier = Classifier(tiny_backbone(), 2)
            torch.manual_seed(seed)  # noqa: TID251  within fork_rng
            state = torch.get_rng_state()
            list(learn(classifier, striped(20, 0), striped(8, 1), EVERYTHING, BUDGET, 7))
            finished.append(classifier.state_dict())
            assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, finished[1][name]) for name, value in finished[0].items())


def test_another_seed_gives_another_order(learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    losses = [
        next(learn(Classifier(tiny_backbone(), 2), striped(20, 0), striped(8, 1), EVERYTHING, BUDGET, seed)).train_loss
        for seed in (0, 1)
    ]
    assert losses[0] != losses[1]


def test_a_rate_that_diverges_is_lowered_and_then_refused(
    learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    wild = Step("all", {"head": 3e37, "deep": 3e37})
    events = learn(Classifier(tiny_backbone(), 2), striped(20, 0), striped(8, 1), wild, BUDGET, 0)
    scales = [next(event for event in events if isinstance(event, Rescue)).rate_scale for _ in range(3)]
    assert scales == pytest.approx([0.1, 0.01, 0.001])
    with pytest.raises(UserError, match=r"diverged in the step 'all' at learning rates up to 3e\+37, and at a tenth"):
        list(events)


def test_a_rescue_goes_on_from_the_last_good_state(
    learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    step = Step("all", {"head": 1e3, "deep": 1e3})
    budget = replace(BUDGET, max_images=400, epochs=20)
    classifier, val_set = Classifier(tiny_backbone(), 2), striped(20, 1)
    events = list(learn(classifier, striped(40, 0), val_set, step, budget, 0))
    rescues = [event for event in events if isinstance(event, Rescue)]
    epochs = [event for event in events if isinstance(event, EpochRecord)]
    assert 1 <= len(rescues) <= 3
    assert [epoch.epoch for epoch in epochs] == list(range(1, len(epochs) + 1))
    assert all(math.isfinite(epoch.train_loss + epoch.val_nll) for epoch in epochs)
    assert all(bool(torch.isfinite(value).all()) for value in classifier.state_dict().values())


@pytest.mark.parametrize("adapts_norms", [False, True])
def test_a_run_taken_up_at_any_snapshot_ends_in_the_same_bytes(
    learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples, adapts_norms: bool
) -> None:
    def whole(start: Snapshot | None, keep: Callable[[Snapshot], None]) -> tuple[Classifier, list[EpochRecord]]:
        classifier = Classifier(tiny_backbone(), 2)
        step = Step("all", {"deep": 0.02, "head": 0.02}, adapts_norms)
        budget = replace(BUDGET, max_images=330, epochs=3, batch_size=4)
        lent = {"start": start, "keep": keep}
        return classifier, list(learn(classifier, striped(120, 0), striped(8, 1), step, budget, 3, **lent))

    snapshots: list[Snapshot] = []
    classifier, records = whole(None, snapshots.append)
    assert len(snapshots) == 6  # two an epoch of 30 updates
    for snapshot in snapshots:
        other, later = whole(snapshot, lambda _: None)
        assert later == records[snapshot.epoch - 1 :]
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in classifier.state_dict().items())


def test_predicting_restores_the_mode(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    classifier, examples = Classifier(tiny_backbone(), 2).train(), striped(70, 0)
    before, counted = clone_state(classifier), []
    logits = predict_logits(classifier, examples.inputs, counted.append)
    assert logits.shape == (70, 2)
    assert sum(counted) == 70
    assert all(module.training for module in classifier.modules())
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_rates_rise_and_fall_once() -> None:
    rates = [warm_up_cosine(update, 40) for update in range(40)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[4] == 1.0
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[4 + 18] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.01
    assert warm_up_cosine(0, 1) == 1.0


def test_an_anchor_holds_the_trunk_near_where_it_began(
    learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    moved = []
    for anchor in (0.0, 10.0):
        classifier = Classifier(tiny_backbone(), 2)
        before = clone_state(classifier)
        budget = replace(BUDGET, max_images=400, epochs=20, anchor=anchor)
        list(learn(classifier, striped(20, 0), striped(8, 1), EVERYTHING, budget, 0))
        trunk = [name for name, _ in classifier.named_parameters() if name.startswith("backbone.")]
        moved.append(sum(float((classifier.state_dict()[name] - before[name]).square().sum()) for name in trunk))
        assert float(classifier.head.weight.abs().max()) > 0.05  # the head is free
    assert moved[1] < 0.2 * moved[0]


class _Hungry(torch.nn.Module):
    """A network that asks for more memory than there is when more than some images come at once."""

    def __init__(self, network: torch.nn.Module, most: int) -> None:
        super().__init__()
        self.network, self.most, self.seen = network, most, list[int]()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(images))
        if len(images) > self.most:
            torch.empty(10**15)
        made: torch.Tensor = self.network(images)
        return made


def test_a_batch_that_does_not_fit_is_made_of_parts(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    budget, step = (
        replace(BUDGET, max_images=40, batch_size=8),
        Step("all", {"deep": 0.01, "middle": 0.01, "head": 0.01}),
    )
    finished = []
    for most in (100, 3):
        classifier = Classifier(tiny_backbone(), 2)
        target = Target(striped(20, 0), striped(2, 1), 2)
        problem = Problem.of_images(classifier, target, budget.augmentation)
        hungry = _Hungry(classifier, most)
        _without_dropout(classifier)
        events = list(train(classifier, replace(problem, network=hungry), step, budget, 0))
        finished.append((classifier, events))
    (whole, epochs), (parts, others) = finished
    assert [(event.what, event.at_once) for event in others if isinstance(event, Rescue)] == [
        ("memory", 4),
        ("memory", 2),
    ]
    assert [event.train_loss for event in others if isinstance(event, EpochRecord)] == pytest.approx(
        [event.train_loss for event in epochs], rel=1e-4
    )
    for name, value in parts.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_a_run_that_goes_on_with_less_memory_makes_smaller_parts(
    tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    target, kept = Target(striped(20, 0), striped(2, 1), 2), list[Snapshot]()
    for at_once in (None, 4):
        classifier = Classifier(tiny_backbone(), 2)
        problem = Problem.of_images(classifier, target, BUDGET.augmentation)
        hungry, start = _Hungry(classifier, 100), kept[-1] if kept else None
        budget = replace(BUDGET, max_images=40, batch_size=8, at_once=at_once)
        list(train(classifier, replace(problem, network=hungry), EVERYTHING, budget, 0, start, kept.append))
        assert max(hungry.seen) == (at_once or 7)


def test_two_images_that_do_not_fit_are_refused(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    classifier, target = Classifier(tiny_backbone(), 2), Target(striped(20, 0), striped(2, 1), 2)
    problem = Problem.of_images(classifier, target, BUDGET.augmentation)
    events = train(classifier, replace(problem, network=_Hungry(classifier, 0)), EVERYTHING, BUDGET, 0)
    with pytest.raises(UserError, match=r"Memory ran out in the step 'scratch' with two images; choose a smaller"):
        list(events)


def _without_dropout(classifier: Classifier) -> None:
    for module in classifier.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0

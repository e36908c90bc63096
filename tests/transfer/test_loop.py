"""The training loop: how long it runs, what it yields, which weights it leaves."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from transfer.backbones.backbone import Backbone, Classifier
from transfer.data.examples import Examples
from transfer.errors import UserError
from transfer.finetuning.loop import Budget, clone_state, evaluate, predict_logits, train
from transfer.finetuning.plan import Step, scratch_plan

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
BUDGET = Budget(max_images=100, epochs=4, batch_size=8, weight_decay=0.0, label_smoothing=0.0, patience=None)
EVERYTHING = scratch_plan(("stem", "middle", "deep"), 0.02)


@given(st.integers(2, 300), st.integers(1, 1000), st.integers(1, 12))
def test_a_step_sees_no_more_than_the_budget(n_train: int, max_images: int, epochs: int) -> None:
    sizes = replace(BUDGET, max_images=max_images, epochs=epochs).epoch_sizes(n_train)
    bound = min(max_images, epochs * n_train)
    assert bound - 1 <= sum(sizes) <= bound
    assert all(size == n_train for size in sizes[:-1])
    assert len(sizes) <= epochs
    assert 1 not in sizes


def test_it_yields_a_record_an_epoch_and_says_how_many_images_went_by(
    tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    seen: list[int] = []
    budget = replace(BUDGET, max_images=50)
    records = list(
        train(Classifier(tiny_backbone(), 2), striped(20, 0), striped(8, 1), EVERYTHING, budget, 0, seen.append)
    )
    assert [(record.step_name, record.epoch, record.images_seen) for record in records] == [
        ("scratch", 1, 20),
        ("scratch", 2, 40),
        ("scratch", 3, 50),
    ]
    assert sum(seen) == 50
    assert max(seen) <= budget.batch_size


@pytest.mark.parametrize("n_train", [2, 3, 9, 17])
def test_no_batch_is_a_single_image(tiny_backbone: MakeBackbone, striped: MakeExamples, n_train: int) -> None:
    seen: list[int] = []
    budget = replace(BUDGET, batch_size=2, epochs=1)
    list(train(Classifier(tiny_backbone(), 2), striped(n_train, 0), striped(4, 1), EVERYTHING, budget, 0, seen.append))
    assert sum(seen) == n_train
    assert min(seen) >= 2


def test_it_learns(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    classifier, val_set = Classifier(tiny_backbone(), 2), striped(20, 1)
    untrained, _ = evaluate(classifier, val_set)
    budget = replace(BUDGET, max_images=800, epochs=20)
    list(train(classifier, striped(40, 0), val_set, EVERYTHING, budget, 0))
    nll, accuracy = evaluate(classifier, val_set)
    assert untrained == pytest.approx(math.log(2))
    assert nll < 0.3
    assert accuracy > 0.9


def test_the_weights_of_the_best_epoch_are_left(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    classifier, val_set = Classifier(tiny_backbone(), 2), striped(8, 1)
    states = []
    nlls = []
    for record in train(classifier, striped(20, 0), val_set, Step("wild", dict(EVERYTHING.rates)), BUDGET, 0):
        states.append(clone_state(classifier))
        nlls.append(record.val_nll)
    best = states[nlls.index(min(nlls))]
    assert all(torch.equal(value, best[name]) for name, value in classifier.state_dict().items())
    assert evaluate(classifier, val_set)[0] == min(nlls)
    assert not any(parameter.requires_grad for parameter in classifier.parameters())


def test_it_ends_when_validation_stops_falling(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    train_set = striped(20, 0)
    mislabelled = Examples(train_set.inputs, 1 - train_set.labels)  # what is learnt makes validation worse
    budget = replace(BUDGET, max_images=400, epochs=20, patience=2)
    records = list(train(Classifier(tiny_backbone(), 2), train_set, mislabelled, EVERYTHING, budget, 0))
    best = min(records, key=lambda record: record.val_nll)
    assert len(records) == best.epoch + 2 < 20


def test_the_same_inputs_give_the_same_bytes_whatever_the_global_state(
    tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    finished = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            classifier = Classifier(tiny_backbone(), 2)
            torch.manual_seed(seed)  # noqa: TID251  within fork_rng
            state = torch.get_rng_state()
            list(train(classifier, striped(20, 0), striped(8, 1), EVERYTHING, BUDGET, 7))
            finished.append(classifier.state_dict())
            assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, finished[1][name]) for name, value in finished[0].items())


def test_another_seed_gives_another_order(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    losses = [
        next(train(Classifier(tiny_backbone(), 2), striped(20, 0), striped(8, 1), EVERYTHING, BUDGET, seed)).train_loss
        for seed in (0, 1)
    ]
    assert losses[0] != losses[1]


def test_a_rate_that_diverges_is_refused(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    wild = Step("all", {"head": 3e37, "deep": 3e37})
    with pytest.raises(UserError, match=r"diverged in the step 'all' at learning rates up to 3e\+37; lower them"):
        list(train(Classifier(tiny_backbone(), 2), striped(20, 0), striped(8, 1), wild, BUDGET, 0))


def test_predicting_restores_the_mode(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    classifier, examples = Classifier(tiny_backbone(), 2).train(), striped(70, 0)
    before, counted = clone_state(classifier), []
    logits = predict_logits(classifier, examples.inputs, counted.append)
    assert logits.shape == (70, 2)
    assert sum(counted) == 70
    assert all(module.training for module in classifier.modules())
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())

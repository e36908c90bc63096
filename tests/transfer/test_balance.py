"""Unequal classes: how unequal they are, what their losses weigh, in which order they come."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torch.nn import functional

from transfer.finetuning.balance import diagnosed, epoch_order, largest_weight, log_shares, loss_of, turns
from transfer.metrics.class_weights import equal_weights
from transfer.records import REMEDIES, ClassBalance

COUNTS = (60, 25, 5)
LABELS = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS))
WEIGHTS, SAMPLING, LOGITS = (ClassBalance(COUNTS, equally=True, remedy=name) for name in REMEDIES[1:])


def _batch() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return 3 * torch.randn((18, 3), generator=draw), torch.arange(18) % 3


def test_weighted_losses_are_pytorchs_with_weights_but_for_its_scaling_of_every_batch() -> None:
    logits, labels = _batch()
    weights = torch.tensor([90 / (3 * n) for n in COUNTS])
    expected = functional.cross_entropy(logits, labels, weight=weights, reduction="sum") / len(labels)
    torch.testing.assert_close(loss_of(WEIGHTS, logits, labels, 0.0), expected)
    assert float(weights[LABELS].mean()) == pytest.approx(1)
    assert largest_weight(WEIGHTS) == pytest.approx(float(weights.max()))
    assert largest_weight(LOGITS) == 1


def test_a_smoothed_loss_weighs_what_its_row_weighs() -> None:
    logits, labels = _batch()
    rows = [functional.cross_entropy(one[None], label[None], label_smoothing=0.1) for one, label in zip(logits, labels, strict=True)]  # fmt: skip  # noqa: E501
    expected = sum(90 / (3 * COUNTS[label]) * loss for loss, label in zip(rows, labels.tolist(), strict=True)) / 18
    torch.testing.assert_close(loss_of(WEIGHTS, logits, labels, 0.1), torch.as_tensor(expected))


@pytest.mark.parametrize("remedy", REMEDIES)
def test_the_losses_of_parts_add_up_to_that_of_the_batch(remedy: str) -> None:
    logits, labels = _batch()
    balance = ClassBalance(COUNTS, remedy=remedy)
    parts = zip(logits.tensor_split(4), labels.tensor_split(4), strict=True)
    summed = sum(float(loss_of(balance, part, wanted, 0.1)) * len(part) / 18 for part, wanted in parts)
    assert summed == pytest.approx(float(loss_of(balance, logits, labels, 0.1)), rel=1e-5)


def test_adjusted_logits_are_shares_times_the_softmax() -> None:
    logits, labels = _batch()
    shares = torch.tensor(COUNTS) / 90
    scaled = shares * logits.exp()
    expected = -(scaled / scaled.sum(1, keepdim=True)).log()[torch.arange(18), labels].mean()
    torch.testing.assert_close(loss_of(LOGITS, logits, labels, 0.0), expected)
    assert float(log_shares(COUNTS).exp().sum()) == pytest.approx(1)


@pytest.mark.parametrize("remedy", ["none", "sampling"])
def test_without_weights_it_is_pytorchs_loss_to_the_bit(remedy: str) -> None:
    logits, labels = _batch()
    expected = functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert torch.equal(loss_of(ClassBalance(COUNTS, remedy=remedy), logits, labels, 0.1), expected)


def test_sampling_draws_every_class_as_often_in_every_batch() -> None:
    order = epoch_order(SAMPLING, LABELS, (90,), 0, "last")
    assert order.shape == (90,)
    assert LABELS[order].bincount().tolist() == [30, 30, 30]
    for batch in order.tensor_split(3):
        assert LABELS[batch].bincount(minlength=3).tolist() == [10, 10, 10]
    assert order[LABELS[order] == 2].bincount()[-5:].tolist() == [6] * 5  # each of five rows as often as the others
    assert order[LABELS[order] == 0].bincount().max() == 1


def test_sampling_goes_through_a_large_class_before_a_row_comes_again() -> None:
    epochs = [epoch_order(SAMPLING, LABELS, (90,) * n, 0, "last") for n in (1, 2, 3)]
    large = [order[LABELS[order] == 0] for order in epochs]
    assert torch.cat(large[:2]).unique().tolist() == list(range(60))
    assert torch.equal(epochs[1], epoch_order(SAMPLING, LABELS, (90, 90), 0, "last"))
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], epoch_order(SAMPLING, LABELS, (90,), 1, "last"))


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.integers(2, 70), st.integers(1, 4))
def test_sampling_gives_what_was_asked_whatever_the_counts(counts: list[int], size: int, epoch: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    order = epoch_order(
        replace(SAMPLING, counts=tuple(counts)), labels, (len(labels),) * (epoch - 1) + (size,), 0, "all"
    )
    frequencies = labels[order].bincount(minlength=len(counts))
    assert len(order) == size
    assert int(frequencies.max() - frequencies.min()) <= 1


def test_a_row_that_comes_often_has_a_turn_of_its_own_each_time() -> None:
    rows = torch.tensor([7, 3, 7, 7, 3])
    assert turns(WEIGHTS, rows, 4, 2) == 4
    found = turns(SAMPLING, rows, 4, 2)
    assert isinstance(found, Tensor)
    assert found.tolist() == [6, 6, 7, 8, 7]


def test_equal_weights_let_each_class_that_occurs_count_the_same() -> None:
    weights = equal_weights(torch.tensor([4, 4, 4, 1]))
    assert weights.tolist() == pytest.approx([4 / 6, 4 / 6, 4 / 6, 2])
    assert equal_weights(torch.tensor([0, 1, 0, 1])).tolist() == [1.0] * 4


def test_the_diagnosis_by_hand() -> None:
    found = diagnosed((60, 30, 10))
    entropy = -(0.6 * math.log(0.6) + 0.3 * math.log(0.3) + 0.1 * math.log(0.1))
    assert (found.ratio, found.smallest, found.largest) == (6, 10, 60)
    assert found.evenness == pytest.approx(math.exp(entropy) / 3)
    assert found.p_value == pytest.approx(stats.chisquare((60, 30, 10)).pvalue)


@pytest.mark.parametrize(
    ("counts", "matters"),
    [
        ((50, 50), False),
        ((1400, 1000), False),  # certain, and too little to matter
        ((11, 6, 10), False),  # what equal classes of sixteen leave after a draw of splits
        ((150, 50), True),
        ((15, 5), True),
        ((100, 30, 10, 1), True),
    ],
)
def test_it_takes_a_ratio_that_matters_and_counts_that_are_no_chance(counts: tuple[int, ...], matters: bool) -> None:
    assert diagnosed(counts).matters == matters

"""Batch spectral shrinkage: its value is NumPy's, its gradient that of finite differences, and training feels it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import nn

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.features import extract_features
from transfer.data.examples import Examples
from transfer.finetuning.budget import Budget
from transfer.finetuning.plan import scratch_plan
from transfer.finetuning.spectrum import features_seen, spectral_penalty

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
Learn = Callable[..., Iterator[Any]]
BUDGET = Budget(max_images=240, epochs=10, batch_size=12, weight_decay=0.0, label_smoothing=0.0, patience=None)
EVERYTHING = scratch_plan(("stem", "middle", "deep"), 0.002)


def drawn(n_rows: int, n_columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n_rows, n_columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(some.integers(1, 12), some.integers(1, 12), some.integers(1, 4), some.integers(0, 1000))
def test_value_is_that_of_numpy(n_rows: int, n_columns: int, n_smallest: int, seed: int) -> None:
    rows = drawn(n_rows, n_columns, seed)
    expected = np.sum(np.linalg.svd(rows.numpy(), compute_uv=False)[-n_smallest:] ** 2)
    assert float(spectral_penalty(rows, n_smallest)) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (4, 4)])
def test_gradient_is_that_of_finite_differences(shape: tuple[int, int]) -> None:
    rows = drawn(*shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda one: spectral_penalty(one, 2), (rows,))


def test_gradient_is_twice_the_smallest_part_of_the_decomposition() -> None:
    rows = drawn(6, 4).requires_grad_()
    spectral_penalty(rows).backward()
    left, values, right = np.linalg.svd(rows.detach().numpy(), full_matrices=False)
    assert rows.grad is not None
    np.testing.assert_allclose(rows.grad.numpy(), 2 * values[-1] * np.outer(left[:, -1], right[-1]), atol=1e-12)


def test_rows_of_lower_rank_have_a_finite_gradient() -> None:
    rows = drawn(6, 1).expand(6, 4).clone().requires_grad_()
    spectral_penalty(rows).backward()
    assert rows.grad is not None
    assert bool(rows.grad.isfinite().all())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_features_that_are_not_finite_give_a_loss_that_is_not(value: float) -> None:
    assert not bool(spectral_penalty(torch.full((3, 2), value)).isfinite())


def test_the_features_are_what_the_head_is_given() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 4))
    inputs = torch.randn(5, 3)
    with features_seen(network[2]) as seen:
        network(inputs)
    network(inputs)
    assert [one.equal(network[:2](inputs)) for one in seen] == [True]


def test_training_shrinks_the_smallest_singular_value(
    learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    train_set, smallest = striped(24, 0), {}
    for bss in (0.0, 10.0):
        classifier = Classifier(tiny_backbone(), 2)
        list(learn(classifier, train_set, striped(8, 1), EVERYTHING, replace(BUDGET, bss=bss), 0))
        features = extract_features(classifier.backbone, train_set.inputs)
        smallest[bss] = float(torch.linalg.svdvals(features)[-1])
    assert smallest[10.0] < 0.5 * smallest[0.0]

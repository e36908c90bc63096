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
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget
from transfer.finetuning.freezing import thaw
from transfer.finetuning.plan import Step, scratch_plan
from transfer.finetuning.problem import Problem
from transfer.finetuning.snapshot import Snapshot
from transfer.finetuning.spectrum import features_seen, spectral_penalty
from transfer.finetuning.updates import Learner
from transfer.randomness import global_randomness

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


def a_learner(
    backbone: Backbone, examples: tuple[Examples, Examples], at_once: int | None, *, adapts_norms: bool
) -> tuple[Classifier, Learner, Callable[[], float]]:
    """Return a classifier, its learner, and what computes the gradient of a first batch of 24."""
    classifier = Classifier(backbone, 2)
    problem = Problem.of_images(classifier, Target(*examples, 2), BUDGET.augmentation)
    step = Step("all", {"deep": 0.01, "head": 0.01}, adapts_norms=adapts_norms)
    thaw(classifier, step.rates, adapts_norms=adapts_norms, trains=step.trains)
    learner = Learner(classifier, problem, step, replace(BUDGET, bss=0.01, batch_size=24), 4)
    return classifier, learner, lambda: learner.gradient(torch.arange(24), Snapshot(at_once=at_once), 0)


def gradients_of(classifier: Classifier) -> dict[str, torch.Tensor]:
    return {name: one.grad.clone() for name, one in classifier.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("at_once", [8, 5])
def test_what_fits_into_memory_changes_nothing_in_what_is_shrunk(
    tiny_backbone: MakeBackbone, striped: MakeExamples, at_once: int
) -> None:
    examples = (striped(24, 0), striped(8, 1))
    whole, _, of_whole = a_learner(tiny_backbone(), examples, None, adapts_norms=False)
    parts, _, of_parts = a_learner(tiny_backbone(), examples, at_once, adapts_norms=False)
    parts.load_state_dict(whole.state_dict())
    assert of_parts() == pytest.approx(of_whole(), rel=1e-5)
    expected, found = gradients_of(whole), gradients_of(parts)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def test_parts_with_dropout_and_statistics_are_those_of_one_graph(
    tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    backbone = tiny_backbone()
    backbone.trunk.add_module("dropout", nn.Dropout(0.5))
    classifier, learner, gradient = a_learner(backbone, (striped(24, 0), striped(8, 1)), 8, adapts_norms=True)
    classifier.backbone.trunk.get_submodule("dropout").train()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    given: list[torch.Tensor] = []
    handle = learner.problem.network.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    loss = gradient()
    handle.remove()
    found, statistics = gradients_of(classifier), dict(classifier.named_buffers())
    statistics = {name: value.clone() for name, value in statistics.items()}
    classifier.load_state_dict(before)
    classifier.zero_grad()
    with global_randomness(0, "dropout all 1 0"), features_seen(classifier.head) as seen:
        logits = torch.cat([classifier(part) for part in given[-3:]])
    labels = learner.problem.train.labels[torch.arange(24)]
    expected = nn.functional.cross_entropy(logits, labels) + 0.01 * spectral_penalty(torch.cat(seen))
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    nn.utils.clip_grad_norm_([one for one in classifier.parameters() if one.grad is not None], 1.0)
    for name, one in gradients_of(classifier).items():
        torch.testing.assert_close(found[name], one, rtol=1e-4, atol=1e-6)
    for name, value in classifier.named_buffers():
        torch.testing.assert_close(statistics[name], value)

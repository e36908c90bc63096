"""The remedy for unequal classes: nothing where they are equal, what was asked for, or what the probe prefers."""

import pytest
import torch
from scipy import optimize
from torch import Tensor
from torch.nn import functional

from transfer.finetuning.remedy import chosen, unequal
from transfer.heads.ridge import fit_probe
from transfer.records import REMEDIES, ClassBalance


def _overlapping(counts: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return features of overlapping classes."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    centres = torch.randn((len(counts), 12), generator=torch.Generator().manual_seed(9))
    return centres[labels] + 1.5 * torch.randn((len(labels), 12), generator=draw), labels


def test_about_equal_classes_are_left_as_they_are() -> None:
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor([40, 35, 42]))
    found = unequal(labels, 3, "auto")
    assert found is not None
    assert (found.equally, found.remedy, found.counts) == (False, "none", (40, 35, 42))
    assert (
        found.why
        == "Classes have 35 to 42 training images (ratio 1.2, evenness 100%), about equal: each image counts the same"
    )


def test_equal_classes_are_said_to_be() -> None:
    found = unequal(torch.arange(3).repeat(12), 3, "auto")
    assert found is not None
    assert found.why == "Each class has 12 training images: each image counts the same"


def test_what_was_asked_for_is_done() -> None:
    _, labels = _overlapping((60, 6))
    assert unequal(labels, 2, "auto") is None
    none = unequal(labels, 2, "none")
    assert none is not None
    assert (none.equally, none.remedy) == (False, "none")
    for remedy in REMEDIES[1:]:
        found = unequal(labels, 2, remedy)
        assert found is not None
        assert (found.equally, found.remedy) == (True, remedy)
        assert f"by {remedy}, as finetune.imbalance says" in found.why


def test_overlapping_unequal_classes_get_a_remedy_and_a_reason() -> None:
    features, labels = _overlapping((200, 40, 20))
    found = chosen(features, labels, 3, batch_size=32)
    nlls = dict(found.loo_nlls)
    assert found.equally
    assert found.remedy in ("weights", "logits")
    assert nlls[found.remedy] < nlls["none"]
    assert f"by {found.remedy}: " in found.why
    assert chosen(features, labels, 3, batch_size=32) == found


@pytest.mark.parametrize("counts", [(60, 15), (200, 40, 20), (80, 4), (40, 20, 20)])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_first_of_those_within_a_hundredth_of_the_smallest_loss(counts: tuple[int, ...], seed: int) -> None:
    features, labels = _overlapping(counts, seed)
    found, nlls = chosen(features, labels, len(counts), batch_size=32), {}
    for name, _ in found.loo_nlls:
        probe = fit_probe(features, labels, len(counts), ClassBalance(counts, equally=True, remedy=name))
        losses = functional.cross_entropy(probe.held_out, labels, reduction="none")
        nlls[name] = sum(float(losses[labels == label].mean()) for label in range(len(counts))) / len(counts)
    assert dict(found.loo_nlls) == pytest.approx(nlls)
    assert found.remedy == next(name for name in nlls if nlls[name] <= 1.01 * min(nlls.values()))


@pytest.mark.parametrize(("batch_size", "by_weight"), [(32, "weights"), (8, "sampling")])
def test_a_class_with_less_than_a_row_a_batch_is_sampled_rather_than_weighted(batch_size: int, by_weight: str) -> None:
    features, labels = _overlapping((200, 40, 20))
    assert [name for name, _ in chosen(features, labels, 3, batch_size).loo_nlls] == ["none", by_weight, "logits"]


@pytest.mark.parametrize("remedy", REMEDIES[1:])
def test_a_probe_with_a_remedy_finds_more_of_the_small_class(remedy: str) -> None:
    features, labels = _overlapping((200, 40, 8))
    unseen, truth = _overlapping((300, 300, 300), seed=1)

    def balanced_nll(balance: ClassBalance | None) -> float:
        probe = fit_probe(features, labels, 3, balance)
        return float(functional.cross_entropy(unseen @ probe.weight.T + probe.bias, truth))

    assert balanced_nll(ClassBalance((200, 40, 8), equally=True, remedy=remedy)) < 0.9 * balanced_nll(None)


@pytest.mark.parametrize("equally", [False, True])
def test_adjusted_logits_are_at_the_temperature_that_scipy_finds(equally: bool) -> None:
    features, labels = _overlapping((120, 30, 10))
    probe = fit_probe(features, labels, 3, ClassBalance((120, 30, 10), equally=equally, remedy="logits"))
    shares = torch.tensor([120, 30, 10], dtype=torch.float64) / 160
    scores, doubt = probe.held_out + shares.log(), 1 / 162
    targets = functional.one_hot(labels, 3) * (1 - 1.5 * doubt) + doubt / 2
    weights = 160 / 3 / torch.tensor([120, 30, 10])[labels] if equally else torch.ones(160)

    def loss(sharpness: float) -> float:
        return float(-(weights * (targets * (sharpness * scores - shares.log()).log_softmax(1)).sum(1)).mean())

    assert optimize.minimize_scalar(loss, bounds=(0.1, 10), method="bounded").x == pytest.approx(1, abs=1e-3)


def test_adjusting_logits_moves_biases_by_the_logarithm_of_shares() -> None:
    """At the mean row a ridge regression scores each class by its share, up to the temperature."""
    features, labels = _overlapping((200, 40, 20))
    shares = torch.tensor([200, 40, 20]) / 260
    probe = fit_probe(features, labels, 3, ClassBalance((200, 40, 20), remedy="logits"))
    sharpness = (probe.weight @ features.mean(0) + probe.bias + shares.log()) / shares
    assert sharpness.tolist() == pytest.approx([float(sharpness.mean())] * 3, rel=1e-3)
    assert float(sharpness.mean()) > 0


def test_equal_classes_give_the_probe_that_there_was_to_the_bit() -> None:
    features, labels = _overlapping((30, 30))
    plain, counted = fit_probe(features, labels, 2), fit_probe(features, labels, 2, ClassBalance((30, 30)))
    assert torch.equal(plain.weight, counted.weight)
    assert torch.equal(plain.bias, counted.bias)

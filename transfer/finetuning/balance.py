"""Classes that are unequally many: how unequal, and how training lets each of them count the same.

Source: logit adjustment, Menon et al. 2021, "Long-tail learning via logit adjustment", arXiv:2007.07314; what weights
and what resampling do to the noise of gradients, An et al. 2021, "Why resampling outperforms reweighting for correcting
sampling bias with stochastic gradients", arXiv:2009.13447.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.stats import chi2
from torch import Tensor
from torch.nn import functional

from transfer.metrics.class_weights import log_shares
from transfer.randomness import generator
from transfer.records import REMEDIES, ClassBalance

NONE, WEIGHTS, SAMPLING, LOGITS = REMEDIES
_LEAST_RATIO = 1.5  # below, the prior moves no logit by more than 0.41 nats
_CHANCE = 0.05


@dataclass(frozen=True, slots=True)
class Imbalance:
    """How unequal counts of classes are.

    Args:
        ratio: of the largest to the smallest, at least 1.
        evenness: exp(entropy of the shares) / C, in (0, 1]: the share of the classes that would be as even were they
            equal.
        smallest: rows of the smallest class.
        largest: rows of the largest class.
        p_value: how often equal classes come out at least as unequal by chance, in [0, 1].
    """

    ratio: float
    evenness: float
    smallest: int
    largest: int
    p_value: float

    @property
    def matters(self) -> bool:
        """Say whether classes are to be treated as unequal.

        Small classes of a balanced data set come out unequal because content decides who is held out: it takes both a
        ratio that moves decisions and counts that equal classes would hardly give.
        """
        return self.ratio >= _LEAST_RATIO and self.p_value < _CHANCE


def diagnosed(counts: Sequence[int]) -> Imbalance:
    """Return how unequal the classes are.

    Args:
        counts: training rows of each class, each at least 1, two or more classes.

    Source: the chi-squared test of equal shares, Pearson 1900.
    """
    n_rows, n_classes = sum(counts), len(counts)
    entropy = -sum(n / n_rows * math.log(n / n_rows) for n in counts)
    expected = n_rows / n_classes
    statistic = sum((n - expected) ** 2 / expected for n in counts)
    p_value = float(chi2.sf(statistic, n_classes - 1))
    return Imbalance(max(counts) / min(counts), math.exp(entropy) / n_classes, min(counts), max(counts), p_value)


def loss_of(balance: ClassBalance, logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Return a batch's mean loss, a scalar, nats.

    Weights are N / (C n_c): their mean over the training rows is 1 and no batch rescales them, so that gradients have
    the expectation of the balanced loss and parts of a batch add up to it.

    Args:
        balance: whose remedy it is.
        logits: float (n, C).
        labels: int64 (n,).
        label_smoothing: in [0, 1).
    """
    if balance.remedy == WEIGHTS:
        losses = functional.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="none")
        return (losses * _class_weights(balance).to(losses)[labels]).mean()
    if balance.remedy == LOGITS:
        logits = logits + log_shares(balance.counts).to(logits)
    return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)


def largest_weight(balance: ClassBalance) -> float:
    """Return how many times the loss of a row counts in `loss_of`, at most."""
    return float(_class_weights(balance).max()) if balance.remedy == WEIGHTS else 1.0


def epoch_order(balance: ClassBalance, labels: Tensor, sizes: Sequence[int], seed: int, name: str) -> Tensor:
    """Return the rows that an epoch sees in their order, int64 (size,): a function of seed, name and epoch.

    Args:
        balance: whose remedy it is.
        labels: of all training rows, int64 (N,).
        sizes: images of each epoch up to this one.
        seed: of the order.
        name: of the step.
    """
    drawn = generator(seed, f"{name} order {len(sizes)}")
    if balance.remedy != SAMPLING:
        return torch.randperm(len(labels), generator=drawn)[: sizes[-1]]
    return _in_rounds(labels, sizes, seed, name, drawn)


def turns(balance: ClassBalance, rows: Tensor, epoch: int, batch: int) -> int | Tensor:
    """Return which turn it is of the rows of a batch: the epoch, unless a row may come often within it.

    Args:
        balance: whose remedy it is.
        rows: of the batch, int64 (n,).
        epoch: 1-based.
        batch: 0-based, within the epoch.

    Returns:
        The epoch, or int64 (n,), different for the same row within a batch and from batch to batch.
    """
    if balance.remedy != SAMPLING:
        return epoch
    same = rows[:, None] == rows[None, :]
    return epoch + batch + same.tril(-1).sum(1)


def _class_weights(balance: ClassBalance) -> Tensor:
    counts = torch.tensor(balance.counts, dtype=torch.float64)
    return counts.sum() / (len(counts) * counts)


def _in_rounds(labels: Tensor, sizes: Sequence[int], seed: int, name: str, drawn: torch.Generator) -> Tensor:
    """Return rows in rounds of one of every class, the classes of a round in random order.

    So every batch has about as many of each class. Each class goes through all its rows, in an order drawn anew for
    every pass, before one comes again; the next epoch goes on where this one ends.
    """
    classes = labels.unique().tolist()
    n_rounds = [math.ceil(size / len(classes)) for size in sizes]
    first = sum(n_rounds[:-1])
    columns = [
        _passes((labels == label).nonzero()[:, 0].cpu(), first, n_rounds[-1], seed, f"{name} class {label}")
        for label in classes
    ]
    shuffled = torch.rand((n_rounds[-1], len(classes)), generator=drawn).argsort(1)
    return torch.stack(columns, dim=1).gather(1, shuffled).flatten()[: sizes[-1]]


def _passes(rows: Tensor, first: int, n_drawn: int, seed: int, purpose: str) -> Tensor:
    """Return `n_drawn` rows from place `first` on of endless passes over some rows."""
    n_rows = len(rows)
    begun, ended = first // n_rows, math.ceil((first + n_drawn) / n_rows)
    orders = [torch.randperm(n_rows, generator=generator(seed, f"{purpose} pass {one}")) for one in range(begun, ended)]
    return rows[torch.cat(orders)][first - begun * n_rows :][:n_drawn]

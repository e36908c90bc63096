"""Short fine-tunes of candidates that scores cannot tell apart, over backbones and strategies together.

A trial says on validation rows which predictions change between the probe and the fine-tuned model. Most do not, so
that the change is known far better than either accuracy: added to what is believed of the probe it tells the accuracy
that fine-tuning gets to. The weaker half of the arms is left out after each round, the others train for twice as long.

Source: successive halving, Jamieson and Talwalkar 2016, Non-stochastic Best Arm Identification and Hyperparameter
Optimization, arXiv:1502.07943, figure 1; the bootstrap, Rubin 1981, The Bayesian Bootstrap.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.randomness import generator

SPREAD = 0.3  # of the changes that fine-tuning brings to candidates of one pool, standard deviation, logits


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to fine-tune.

    Args:
        candidate: place of the backbone in the pool.
        strategy: its name.
    """

    candidate: int
    strategy: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What a short fine-tune came to.

    Args:
        arm: what was tried.
        n_images: training images that each of its steps saw, at most.
        before: float64 (N,), 1 where the probe was right about a validation row, else 0.
        after: the same of the fine-tuned model.
    """

    arm: Arm
    n_images: int
    before: Tensor
    after: Tensor


@dataclass(frozen=True, slots=True)
class Tried:
    """What trials made of a choice.

    Args:
        arms: all that were tried.
        draws: of the accuracy that each is believed to reach, float64 (B, n_arms).
        n_images: training images that the last trial of each saw.
        rounds: how many there were.
    """

    arms: tuple[Arm, ...]
    draws: Tensor
    n_images: tuple[int, ...]
    rounds: int

    def best(self) -> Tensor:
        """Return the probability of each arm to be the best of them, float64 (n_arms,)."""
        first = (self.draws == self.draws.amax(1, keepdim=True)).double()
        return (first / first.sum(1, keepdim=True)).mean(0)


def tried(
    draws: Tensor,
    arms: Sequence[Arm],
    labels: Tensor,
    try_out: Callable[[Arm, int], Trial | None],
    n_images: int,
    confidence: float,
    seed: int = 0,
) -> Tried | None:
    """Try arms out, half of them in each round, until one is surely the best or the images are spent.

    Args:
        draws: of the accuracy of each candidate's probe, float64 (B, K).
        arms: at least one.
        labels: of the validation rows, int64 (N,).
        try_out: runs a trial of an arm in so many images; None where it cannot be tried.
        n_images: training images that a step of all trials may see together.
        confidence: probability of the best arm that is enough, in (0, 1).
        seed: of the bootstrap.

    Returns:
        What is believed of every arm that could be tried; None where none could.
    """
    n_rounds = max(1, math.ceil(math.log2(len(arms))))
    left, last = list(arms), dict[Arm, Trial]()
    number = 0
    for number in range(1, n_rounds + 1):
        share = n_images // (len(left) * n_rounds)
        trials = {arm: try_out(arm, share) for arm in left}
        last |= {arm: trial for arm, trial in trials.items() if trial is not None}
        left = [arm for arm in left if trials[arm] is not None]
        if not left:
            break
        found = _believed(draws, left, last, labels, seed, number)
        if len(left) == 1 or float(found.best().max()) >= confidence:
            break
        expected = found.draws.mean(0)
        kept = expected.argsort(descending=True, stable=True)[: math.ceil(len(left) / 2)]
        left = [arm for place, arm in enumerate(left) if place in kept.tolist()]
    return _believed(draws, list(last), last, labels, seed, number) if last else None


def _believed(
    draws: Tensor, arms: Sequence[Arm], last: Mapping[Arm, Trial], labels: Tensor, seed: int, rounds: int
) -> Tried:
    drawn = torch.stack([_changes(last[arm], labels, len(draws), seed) for arm in arms], 1)
    probes = torch.stack([draws[:, arm.candidate] for arm in arms], 1)
    n_images = tuple(last[arm].n_images for arm in arms)
    return Tried(tuple(arms), (probes.logit() + _shrunk(drawn, seed)).sigmoid(), n_images, rounds)


def _changes(trial: Trial, labels: Tensor, n_draws: int, seed: int) -> Tensor:
    """Return draws of the change of the accuracy, logits, float64 (B,): the same weights of rows for every trial.

    Each class keeps its share. Beside the rows stand one that is right before and after, one that never is, one that
    comes to be right and one that ceases to be, each of half a row's weight on average, as in the bootstrap of the
    probe's accuracy: rows that did not change do not prove that none would.
    """
    draw = generator(seed, "bootstrap of trials")
    weights = torch.empty(n_draws, len(labels), dtype=torch.float64).exponential_(generator=draw)
    for label in labels.unique():
        places = (labels == label).nonzero()[:, 0]
        weights[:, places] *= len(places) / weights[:, places].sum(1, keepdim=True)
    # Half the square of a standard normal number is a gamma variable of shape 1/2.
    own = generator(seed, f"bootstrap of the trial of {trial.arm.candidate} {trial.arm.strategy}")
    right, wrong, better, worse = torch.randn(4, n_draws, dtype=torch.float64, generator=own).square() / 2
    n_rows = len(labels) + right + wrong + better + worse
    after = (weights @ trial.after.double() + right + better) / n_rows
    before = (weights @ trial.before.double() + right + worse) / n_rows
    changed: Tensor = after.logit() - before.logit()
    return changed


def _shrunk(drawn: Tensor, seed: int) -> Tensor:
    """Return draws of changes, (B, n_arms), drawn to what the arms have in common: few rows tell little of each.

    Changes of the arms of one pool are taken to be normal around their mean, of the variance by which they differ more
    than their rows explain (DerSimonian and Laird 1986), but of a standard deviation of `SPREAD` at least.
    """
    variance = drawn.var(0)
    beyond_rows = drawn.mean(0).var() - variance.mean() if drawn.shape[1] > 1 else variance.new_zeros(())
    spread2 = beyond_rows.clamp_min(SPREAD**2)
    precision = 1 / (spread2 + variance)
    trust = spread2 * precision
    common = (drawn * precision).sum(1, keepdim=True) / precision.sum()
    noise = torch.randn(drawn.shape, generator=generator(seed, "spread of trials"), dtype=torch.float64)
    return trust * drawn + (1 - trust) * (common + spread2.sqrt() * noise)

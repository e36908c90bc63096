"""What a fine-tuned model is expected to reach beyond the probe: from what it reached before, and how far that varies.

A probe's leave-one-out accuracy on training rows foretells the accuracy on test rows, but not exactly: some networks
gain by fine-tuning, others were pretrained on the very images and look better than they are, weak probes leave more to
gain. The difference of the two, in logits, has parts that come back with the network, with its weights and with the
strategy. Each is normal around 0 with a standard deviation of its own, so that what one run says is shared out among
them, and of what nobody has tried as much is expected as of all. The best linear unbiased prediction is a closed form.

Source: mixed models, Henderson 1975, Best Linear Unbiased Estimation and Prediction under a Selection Model, Biometrics
31(2): equation 4, and section 5 on runs that were chosen by what was believed of them. The same as a Gaussian process:
Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, equations 2.25 and 2.26.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.errors import UserError
from transfer.randomness import generator

# Standard deviations of the parts, logits, about those under which 121 fine-tunes are most likely (docs/selection.md).
OF_ALL, OF_STRATEGY, OF_WEIGHTS, OF_NETWORK, OF_PAIR = 0.1, 0.1, 0.1, 0.25, 0.3
OF_ROOM, OF_ROWS = 0.15, 0.1  # of slopes: with a logit of the probe, with ten times as many rows a class
_MIDDLE_ROWS = 30.0  # of a class, where the slope crosses 0
_BOUNDS = (0.01, 0.99)  # of the probe's accuracy, beyond which the slope does not go on


@dataclass(frozen=True, slots=True)
class Case:
    """A network that is fine-tuned on a task.

    Args:
        task: the data set's name.
        network: architecture, image size and weights, by name.
        weights: what its weights are, by digest; the same for all random ones.
        strategy: its name.
        probe: leave-one-out accuracy of its probe, in [0, 1].
        n_scored: training rows which that was measured on, at least 1.
        rows_per_class: training rows, above 0.
    """

    task: str
    network: str
    weights: str
    strategy: str
    probe: float
    n_scored: int
    rows_per_class: float


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a case.

    Args:
        case: what was fine-tuned on what.
        n_test: test rows, at least 1.
        n_right: that the fine-tuned model had right, in [0, n_test].
    """

    case: Case
    n_test: int
    n_right: int


@dataclass(frozen=True, slots=True)
class Gains:
    """What is expected of each of several cases beyond their probes, jointly normal.

    Args:
        networks: of the cases, by name.
        mean: logits, float64 (K,).
        covariance: float64 (K, K).
    """

    networks: tuple[str, ...]
    mean: Tensor
    covariance: Tensor

    def draws(self, n_draws: int, seed: int) -> Tensor:
        """Return draws, logits, float64 (n_draws, K); the order of the cases changes none of them."""
        order = _by_name(self.networks)
        values, vectors = torch.linalg.eigh(self.covariance[order][:, order])
        noise = torch.randn(n_draws, len(values), generator=generator(seed, "gains"), dtype=torch.float64)
        drawn = torch.empty_like(noise)
        drawn[:, order] = self.mean[order] + (noise * values.clamp_min(0).sqrt()) @ vectors.T
        return drawn


def expected_gains(runs: Sequence[Run], cases: Sequence[Case]) -> Gains:
    """Return what is expected of cases after what came of runs.

    Args:
        runs: earlier ones, of each task, network and strategy one at most: the rows of two would be the same.
        cases: at least one.

    Raises:
        UserError: there is no case, or the counts of a run are impossible.
    """
    if not cases:
        raise UserError("There is no case to expect anything of; name a candidate.")
    order = _by_name([case.network for case in cases])
    mean, covariance = _predicted(runs, [cases[place] for place in order])
    back = sorted(range(len(order)), key=order.__getitem__)
    return Gains(tuple(case.network for case in cases), mean[back], covariance[back][:, back])


def _predicted(runs: Sequence[Run], cases: Sequence[Case]) -> tuple[Tensor, Tensor]:
    """Return mean and covariance, see `expected_gains`."""
    prior = _covariance(cases, cases)
    if not runs:
        return torch.zeros(len(cases), dtype=torch.float64), prior
    seen, noise = torch.tensor([gain_of(run) for run in runs], dtype=torch.float64).T
    known = [run.case for run in runs]
    factor = torch.linalg.cholesky(_covariance(known, known) + torch.diag(noise))
    across = _covariance(cases, known)
    mean = across @ torch.cholesky_solve(seen[:, None], factor)[:, 0]
    return mean, prior - across @ torch.cholesky_solve(across.T, factor)


def _by_name(names: Sequence[str]) -> list[int]:
    """Return an order of places that does not depend on how they are ordered: sums in it round alike."""
    return sorted(range(len(names)), key=names.__getitem__)


def gain_of(run: Run) -> tuple[float, float]:
    """Return the logit of a run's test accuracy minus that of its probe's, and the variance of that by chance of rows.

    Half a row is added to those that are right and to those that are wrong; the variance of the logit of a share p of
    N rows is then 1 / ((N + 1) p (1 - p)).

    Raises:
        UserError: the counts are impossible.

    Source: the empirical logit, Haldane 1956, The Estimation and Significance of the Logarithm of a Ratio of
    Frequencies, Annals of Human Genetics 20(4); Agresti 2013, Categorical Data Analysis, section 16.1.
    """
    case = run.case
    if not (0 <= run.n_right <= run.n_test and run.n_test and case.n_scored > 0 and 0 <= case.probe <= 1):
        raise UserError(
            f"{run.n_right} right of {run.n_test} test rows, after a probe of {case.probe} on {case.n_scored} rows, are"
            f" no run; leave it out."
        )
    reached, by_test = _empirical_logit(run.n_right, run.n_test)
    probed, by_rows = _empirical_logit(case.probe * case.n_scored, case.n_scored)
    return reached - probed, by_test + by_rows


def _empirical_logit(n_right: float, n_rows: int) -> tuple[float, float]:
    share = (n_right + 0.5) / (n_rows + 1)
    return _logit(share), 1 / ((n_rows + 1) * share * (1 - share))


def _covariance(first: Sequence[Case], second: Sequence[Case]) -> Tensor:
    """Return the covariance of gains, float64 (len(first), len(second)), without that by chance of rows."""

    def same(named: Callable[[Case], object]) -> Tensor:
        places: dict[object, int] = {}
        rows, columns = ([places.setdefault(named(one), len(places)) for one in cases] for cases in (first, second))
        return (torch.tensor(rows)[:, None] == torch.tensor(columns)).double()

    def product(slope: Callable[[Case], float]) -> Tensor:
        rows, columns = (torch.tensor([slope(one) for one in cases], dtype=torch.float64) for cases in (first, second))
        return torch.outer(rows, columns)

    found = OF_ALL**2 + OF_ROOM**2 * product(_room) + OF_ROWS**2 * product(_plenty)
    found += OF_STRATEGY**2 * same(lambda one: one.strategy) + OF_WEIGHTS**2 * same(lambda one: one.weights)
    found += OF_NETWORK**2 * same(lambda one: one.network) + OF_PAIR**2 * same(lambda one: (one.network, one.task))
    return found


def _room(case: Case) -> float:
    least, most = _BOUNDS
    return -_logit(min(max(case.probe, least), most))


def _plenty(case: Case) -> float:
    return math.log10(case.rows_per_class / _MIDDLE_ROWS)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))

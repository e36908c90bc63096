"""How often the gate promotes: simulated challengers beside a champion, on the same simulated test rows.

    python -m benchmarks.promotion [RUNS]

A row has a difficulty that both models share, and each model an error of its own: a Gaussian copula of correlation 0.8,
which gives two equal models of accuracy 0.9 about 12 % of rows that only one of them gets right.
"""

import sys
from statistics import NormalDist

import numpy as np

from transfer.evaluation.promotion import PROMOTE, Criteria, Measured, Paired, Policy, against, broken, compared
from transfer.metrics.intervals import wilson_interval

CORRELATION = 0.8
CHAMPION = 0.9
GAINS = (-0.03, 0.0, 0.01, 0.02, 0.03, 0.05)
N_ROWS = (100, 200, 320, 500, 1000, 2000)
_RUNS = 20_000


def simulated(draw: np.random.Generator, accuracy: float, gain: float, n_rows: int) -> tuple[Paired, int]:
    """Draw which of n rows two models get right.

    Args:
        draw: the source of chance.
        accuracy: the champion's, in (0, 1).
        gain: the challenger's accuracy minus the champion's.
        n_rows: test rows, at least 1.

    Returns:
        Their counts, and the rows that the challenger got right.
    """
    difficulty = draw.normal(size=n_rows)
    own = np.sqrt(1 - CORRELATION**2) * draw.normal(size=(2, n_rows))
    bounds = np.array([[NormalDist().inv_cdf(accuracy + gain)], [NormalDist().inv_cdf(accuracy)]])
    challenger, champion = np.sqrt(CORRELATION**2) * difficulty + own < bounds
    paired = Paired(int((challenger & ~champion).sum()), int((champion & ~challenger).sum()), n_rows)
    return paired, int(challenger.sum())


def promotes(paired: Paired, n_right: int, policy: Policy, *, smaller: bool = False) -> bool:
    """Say whether the gate promotes a challenger that keeps every criterion, of the champion's size or smaller."""
    measured = Measured(wilson_interval(n_right, paired.n_rows, 0.95), "inconclusive", 1.0)
    decision = against(broken(measured, Criteria()), compared(paired, policy), policy, smaller)
    return decision.outcome == PROMOTE


def share(
    gain: float, n_rows: int, runs: int, seed: int, policy: Policy | None = None, *, smaller: bool = False
) -> float:
    """Return the share of simulated challengers that the gate promotes."""
    draw, policy = np.random.default_rng(seed), policy or Policy()
    drawn = (simulated(draw, CHAMPION, gain, n_rows) for _ in range(runs))
    return sum(promotes(*one, policy, smaller=smaller) for one in drawn) / runs


def main(runs: int) -> None:
    """Print the table of docs/promotion.md."""
    print(f"Champion of accuracy {CHAMPION}, correlation {CORRELATION}, {runs} challengers a cell.\n")
    print("| test images | " + " | ".join(f"{100 * gain:+.0f} points" if gain else "equal" for gain in GAINS) + " |")
    print("|---" * (len(GAINS) + 1) + "|")
    for n_rows in N_ROWS:
        cells = (f"{100 * share(gain, n_rows, runs, seed=place):.2f} %" for place, gain in enumerate(GAINS))
        print(f"| {n_rows} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _RUNS)

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
from transfer.metrics.multiplicity import bonferroni

CORRELATION = 0.8
CHAMPION = 0.9
GAINS = (-0.03, 0.0, 0.01, 0.02, 0.03, 0.05)
N_ROWS = (100, 200, 320, 500, 1000, 2000)
N_CHALLENGERS = (1, 5, 20, 40)
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


def any_promoted(n_challengers: int, n_rows: int, runs: int, seed: int, *, counted: bool = True) -> float:
    """Return how often one of several challengers as good as the champion is promoted, tried on the same test rows.

    Args:
        n_challengers: tried one after another, until one is promoted.
        n_rows: test rows.
        runs: simulated series.
        seed: of the draws.
        counted: whether the i-th challenger is compared at the confidence that i of them together need.
    """
    draw, bound, own = np.random.default_rng(seed), NormalDist().inv_cdf(CHAMPION), np.sqrt(1 - CORRELATION**2)
    n_promoted = 0
    for _ in range(runs):
        errors = CORRELATION * draw.normal(size=n_rows) + own * draw.normal(size=(n_challengers + 1, n_rows))
        champion, *challengers = errors < bound
        for place, one in enumerate(challengers, start=1):
            paired = Paired(int((one & ~champion).sum()), int((champion & ~one).sum()), n_rows)
            policy = Policy(confidence=bonferroni(0.95, place if counted else 1))
            if promotes(paired, int(one.sum()), policy):
                n_promoted += 1
                break
    return n_promoted / runs


def main(runs: int) -> None:
    """Print the table of docs/promotion.md."""
    print(f"Champion of accuracy {CHAMPION}, correlation {CORRELATION}, {runs} challengers a cell.\n")
    print("| test images | " + " | ".join(f"{100 * gain:+.0f} points" if gain else "equal" for gain in GAINS) + " |")
    print("|---" * (len(GAINS) + 1) + "|")
    for n_rows in N_ROWS:
        cells = (f"{100 * share(gain, n_rows, runs, seed=place):.2f} %" for place, gain in enumerate(GAINS))
        print(f"| {n_rows} | {' | '.join(cells)} |")
    print("\n| challengers on the same 500 images | any equal one | not counted | +5 points, as the last of them |")
    print("|---|---|---|---|")
    for n_challengers in N_CHALLENGERS:
        equal = (any_promoted(n_challengers, 500, runs // 10, 7, counted=counted) for counted in (True, False))
        better = share(0.05, 500, runs, 8, Policy(confidence=bonferroni(0.95, n_challengers)))
        cells = (f"{100 * one:.1f} %" for one in (*equal, better))
        print(f"| {n_challengers} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _RUNS)

"""Print what rules to choose a learning rate lose, from what `benchmarks/rates.py` measured.

    python benchmarks/rates_table.py rates.jsonl

A rule's regret is the test loss at the rate it chose minus the lowest of the grid; and the same in points of accuracy.
"""

import argparse
import itertools
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scipy.stats import t

from transfer.finetuning.rates import SCALES, SHARE

BASE, _MEMORY = 1e-4, 0.7


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    files = parser.parse_args().files
    print(table([json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]))


def halved(row: dict[str, Any]) -> int:
    """Return the place of the scale that the search of `finetune` finds: its trials are these short runs."""
    first, second = (row["short"][f"{share:g}"] for share in (1 / 20, 1 / 8))
    best = sorted(range(len(SCALES)), key=lambda place: (first[place], place))[:2]
    return min(best, key=lambda place: (second[place], place))


def steepest(row: dict[str, Any]) -> int:
    """Return the place of the scale nearest to where the smoothed loss of the range test falls fastest."""
    losses, smooth, weight, mean = row["short"]["range"], list[float](), 0.0, 0.0
    for loss in losses:
        mean, weight = _MEMORY * mean + (1 - _MEMORY) * loss, _MEMORY * weight + 1 - _MEMORY
        smooth.append(mean / weight)
    falls = [after - before for before, after in itertools.pairwise(smooth)]
    return round((len(SCALES) - 1) * falls.index(min(falls)) / max(1, len(falls) - 1))


def shortest(share: float) -> Callable[[dict[str, Any]], int]:
    """Return the rule that takes the best of short runs of one length."""

    def best(row: dict[str, Any]) -> int:
        return min(range(len(SCALES)), key=lambda place: row["short"][f"{share:g}"][place])

    return best


def fixed(place: int) -> Callable[[dict[str, Any]], int]:
    """Return the rule that always takes one scale."""
    return lambda _: place


def validated(row: dict[str, Any]) -> int:
    """Return the place of the scale that is best on validation after the whole step."""
    return min(range(len(SCALES)), key=lambda place: row["after"][place]["val_nll"])


RULES: dict[str, tuple[float, Callable[[dict[str, Any]], int]]] = {
    **{f"fixed, {BASE * scale:.2g}": (0.0, fixed(place)) for place, scale in enumerate(SCALES)},
    "range test, steepest fall": (1 / 4, steepest),
    "best of runs of 1/4": (len(SCALES) / 4, shortest(1 / 4)),
    "halving: 1/20, then two of 1/8": (SHARE, halved),
    "best on validation of whole steps": (len(SCALES) - 1.0, validated),
}


def table(rows: list[dict[str, Any]]) -> str:
    """Return what each rule loses, and the points of accuracy by data set; then what each rate came to."""
    names = list(dict.fromkeys(row["case"] for row in rows))
    head = "| rule | extra images | nats lost, median | mean | largest | points lost | more than at the base |"
    lines = [f"{head} {' | '.join(names)} |"]
    lines += [f"|{'---|' * (7 + len(names))}"]
    for name, (share, rule) in RULES.items():
        lost = [regret(row, rule(row), "test_nll") for row in rows]
        points = [-100 * regret(row, rule(row), "test_accuracy", max) for row in rows]
        of = (statistics.mean(x for x, row in zip(points, rows, strict=True) if row["case"] == case) for case in names)
        nats = [f"{x:.4f}" for x in (statistics.median(lost), statistics.mean(lost), max(lost))]
        cells = [name, f"{share:.0%}", *nats, f"**{statistics.mean(points):.2f}**", paired(rows, points)]
        cells += [f"{x:.2f}" for x in of]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"| case | seed | step | before | {' | '.join(f'{BASE * s:.2g}' for s in SCALES)} | halving | range |",
    ]
    lines.append(f"|{'---|' * (6 + len(SCALES))}")
    for row in rows:
        after = [f"{one['test_nll']:.4f}{'' if one['kept'] else ' (undone)'}" for one in row["after"]]
        found = [f"{BASE * SCALES[rule(row)]:.2g}" for rule in (halved, steepest)]
        cells = [row["case"], str(row["seed"]), row["step"], f"{row['before']['test_nll']:.4f}", *after, *found]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def paired(rows: list[dict[str, Any]], points: list[float]) -> str:
    """Return by how many points of accuracy a rule loses more than the base rate, with the 95 % interval of pairs."""
    base = [-100 * regret(row, SCALES.index(1.0), "test_accuracy", max) for row in rows]
    more = [one - other for one, other in zip(points, base, strict=True)]
    half = float(t.ppf(0.975, len(more) - 1)) * statistics.stdev(more) / len(more) ** 0.5
    return f"{statistics.mean(more):+.2f} ± {half:.2f}"


def regret(row: dict[str, Any], place: int, what: str, best: Callable[[list[float]], float] = min) -> float:
    """Return how far a scale is from the best of the grid on test images."""
    found: list[float] = [one[what] for one in row["after"]]
    return found[place] - best(found)


if __name__ == "__main__":
    main()

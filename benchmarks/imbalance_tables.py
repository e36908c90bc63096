"""Tables of benchmarks/imbalance.py as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from transfer.records import REMEDIES

ARMS = ("off", *REMEDIES)


def tables(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return what auto gives over doing nothing, then tables of losses and accuracies of draws with every arm."""
    gains, runs = _gains(runs), [run for run in runs if set(ARMS) <= set(run["arms"])]
    groups = sorted({(run["data"], run["ratio"]) for run in runs})
    parts = [*gains, ""]
    for key, title, scale, digits in (
        ("nll", "Loss on the test images, nats", 1, 3),
        ("accuracy", "Balanced accuracy on the test images, %", 100, 1),
    ):
        lines = [
            f"**{title}: mean over the draws**",
            "",
            f"| data | ratio | draws | {' | '.join(ARMS)} | auto | chose |",
        ]
        lines.append(f"|{'---|' * (len(ARMS) + 5)}")
        for data, ratio in groups:
            chosen = [run for run in runs if (run["data"], run["ratio"]) == (data, ratio)]
            cells = [_spread([scale * run["arms"][arm][key] for run in chosen], digits) for arm in ARMS]
            auto = _spread([scale * run["arms"][run["chosen"]][key] for run in chosen], digits)
            names = [run["chosen"] for run in chosen]
            counted = ", ".join(f"{names.count(name)} {name}" for name in ARMS if name in names)
            lines.append(f"| {data} | {ratio:g} | {len(chosen)} | {' | '.join(cells)} | {auto} | {counted} |")
        parts += [*lines, ""]
    return "\n".join([*parts, *_regrets(runs)])


def _gains(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return macro-F1 of doing nothing and of auto, and their difference with an interval over the draws."""
    measured = [run for run in runs if all("macro_f1" in arm for arm in run["arms"].values())]
    lines = [
        "**Macro-F1 on the test images, %: mean over the draws; gains with 95 % intervals (t of paired draws)**",
        "",
        "| data | ratio | training images by class | draws | off | auto | gain, points | draws that lost | chose |",
        f"|{'---|' * 9}",
    ]
    for data, ratio in sorted({(run["data"], run["ratio"]) for run in measured}):
        group = [run for run in measured if (run["data"], run["ratio"]) == (data, ratio)]
        off, auto = ([100 * run["arms"][arm(run)]["macro_f1"] for run in group] for arm in (_off, _auto))
        gains = np.subtract(auto, off)
        counts, names = group[0]["counts"], [run["chosen"] for run in group]
        told = ", ".join(f"{names.count(name)} {name}" for name in ARMS if name in names)
        cells = (f"{max(counts)} to {min(counts)}", str(len(group)), _spread(off, 1), _spread(auto, 1), _within(gains))
        lines.append(f"| {data} | {ratio:g} | {' | '.join(cells)} | {int((gains < 0).sum())} | {told} |")
    return lines if measured else []


def _off(_: Mapping[str, Any]) -> str:
    return "off"


def _auto(run: Mapping[str, Any]) -> str:
    return str(run["chosen"])


def _within(gains: NDArray[np.float64]) -> str:
    """Return the mean of paired differences, and Student's interval."""
    mean = float(gains.mean())
    if len(gains) < 2 or float(gains.std()) == 0:
        return f"{mean:+.1f}"
    half = float(stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5)
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


def _regrets(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return how far auto, and each arm taken always, stay behind the arm that the test images prefer in each draw."""
    unequal = [run for run in runs if run["chosen"] != "off"]
    lines = [
        f"**Behind the best arm of each draw, {len(unequal)} draws of unequal classes: mean (largest)**",
        "",
        "| always | loss, nats | balanced accuracy, points |",
        "|---|---|---|",
    ]
    for arm in (*ARMS, "auto"):
        losses, points = [], []
        for run in unequal:
            taken = run["arms"][run["chosen"] if arm == "auto" else arm]
            losses.append(taken["nll"] - min(run["arms"][one]["nll"] for one in ARMS))
            points.append(100 * (max(run["arms"][one]["accuracy"] for one in ARMS) - taken["accuracy"]))
        if unequal:
            worst = f"{np.mean(losses):.3f} ({max(losses):.3f}) | {np.mean(points):.1f} ({max(points):.1f})"
            lines.append(f"| {arm} | {worst} |")
    return lines


def _spread(values: Sequence[float], digits: int) -> str:
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"

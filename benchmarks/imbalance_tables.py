"""Tables of benchmarks/imbalance.py as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfer.records import REMEDIES

ARMS = ("off", *REMEDIES)


def tables(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of losses and one of accuracies, a row for every data set and ratio."""
    groups = sorted({(run["data"], run["ratio"]) for run in runs})
    parts = []
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

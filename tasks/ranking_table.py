"""The ranking as a table: how good each candidate is believed to be, what it costs, under which licence it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.pictures import labels_of
from transfer.records import CandidateCost, CandidateScore


def show_ranking(
    scores: Sequence[CandidateScore], costs: Mapping[str, CandidateCost], failed: Sequence[Mapping[str, Any]]
) -> None:
    """Print a row a candidate, best first, then those that could not be scored.

    Args:
        scores: best first.
        costs: of each of them, by reference.
        failed: "reference" and "why" of each of the others.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Candidates", title_justify="left")
    table.add_column("candidate", overflow="fold")
    for heading in ("accuracy", "interval", "best", "ms", "MB", "training s", "training MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("licence")
    for score, label in zip(scores, labels_of([score.reference for score in scores]), strict=True):
        cost, found = costs[score.reference], score.accuracy
        table.add_row(
            label + (f" ({score.beyond})" if score.beyond else ""),
            f"{found.value:.3f}",
            f"{found.low:.3f}-{found.high:.3f}",
            f"{score.probability_best:.2f}{' *' if score.level else ''}",
            f"{cost.latency_ms:.3g}",
            f"{cost.size_mb:.3g}",
            f"{cost.training_s:.3g}",
            f"{cost.training_memory_mb:.0f}",
            score.licence or "unknown",
        )
    console = Console(width=140)
    console.print(table)
    if sum(score.level for score in scores) > 1:
        console.print("* level: together they hold the best one; see docs/selection.md", markup=False, highlight=False)
    for row in failed:
        console.print(f"{row['reference']} could not be scored: {row['why']}", markup=False, highlight=False)

"""Accuracy against latency: which candidates no other one beats in both."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.pictures import ACCENT, GRID, INK, MUTED, SECOND, THIRD, drawable, labels_of, picture
from transfer.records import CandidateCost, CandidateScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEWEST_ROWS = 3  # that the picture is as high as


def draw_tradeoff(
    path: Path,
    scores: Sequence[CandidateScore],
    costs: Mapping[str, CandidateCost],
    confidence: float,
    max_latency_ms: float | None,
) -> None:
    """Draw expected accuracy with its interval over the latency of one image, a number a candidate, best first.

    A line joins the candidates than which none is both more accurate and sooner done: the Pareto front.

    Args:
        path: where it goes.
        scores: of the candidates, best first.
        costs: of each of them, by reference.
        confidence: of the intervals.
        max_latency_ms: the limit, if there is one.
    """
    labels = [drawable(label) for label in labels_of([score.reference for score in scores])]
    with picture(path, 8.6, 2.0 + 0.34 * max(len(scores), _FEWEST_ROWS)) as axes:
        _draw_front(axes, scores, costs)
        for place, (score, label) in enumerate(zip(scores, labels, strict=True), start=1):
            x, found = costs[score.reference].latency_ms, score.accuracy
            shade = MUTED if score.beyond else ACCENT if place == 1 else THIRD
            axes.plot([x, x], [found.low, found.high], color=shade, linewidth=1.4, alpha=0.7)
            named = f"{place}  {label}{', beyond a limit' if score.beyond else ''}"
            axes.plot(x, found.value, "o", color=shade, markersize=11, label=named)
            axes.text(x, found.value, str(place), color="white", ha="center", va="center", fontsize=7)
        if max_latency_ms is not None:
            _draw_limit(axes, max_latency_ms)
        axes.set_xscale("log")
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_xlabel("milliseconds an image on this machine, one at a time")
        axes.set_ylabel(f"expected accuracy, {100 * confidence:g} % interval")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="x", which="both", labelsize=7, labelcolor=INK)
        axes.figure.legend(loc="outside lower left", frameon=False, fontsize=7, handlelength=0, markerscale=0)


def _draw_limit(axes: "Axes", max_latency_ms: float) -> None:
    axes.axvline(max_latency_ms, color=SECOND, linewidth=1.2, linestyle="--")
    axes.text(max_latency_ms, 0.02, " limit", color=SECOND, fontsize=8, transform=axes.get_xaxis_transform())


def _draw_front(axes: "Axes", scores: Sequence[CandidateScore], costs: Mapping[str, CandidateCost]) -> None:
    """Draw the line and say what it is; one candidate alone is no line."""
    front = pareto_front(scores, costs)
    told = "The line: nothing is both" if len(front) > 1 else f"{scores.index(front[0]) + 1}: none is"
    axes.set_title(f"{told} more accurate and faster", loc="left", fontsize=10)
    xs = [costs[score.reference].latency_ms for score in front]
    axes.step(xs, [score.accuracy.value for score in front], where="post", color=ACCENT, linewidth=1.2, alpha=0.6)


def pareto_front(scores: Sequence[CandidateScore], costs: Mapping[str, CandidateCost]) -> list[CandidateScore]:
    """Return the candidates that no other one equals in accuracy at less latency, or beats at the same, fastest first.

    Args:
        scores: of the candidates.
        costs: of each of them, by reference.
    """
    front: list[CandidateScore] = []
    for score in sorted(scores, key=lambda one: (costs[one.reference].latency_ms, -one.accuracy.value)):
        if not front or score.accuracy.value > front[-1].accuracy.value:
            front.append(score)
    return front

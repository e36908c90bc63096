"""A picture of accuracy over seconds, a line for every run."""

from collections.abc import Sequence
from pathlib import Path

from adapters.pictures import GRID, picture
from benchmarks.peers import methods
from benchmarks.peers.curves import Run

COLOURS = {
    methods.OURS: "#0f766e",
    methods.OURS_REMEMBERED: "#5eead4",
    methods.LOGISTIC: "#b45309",
    methods.FIXED: "#7c3aed",
    methods.TUTORIAL: "#be185d",
    methods.FULL: "#64748b",
    methods.FASTAI: "#1d4ed8",
}


def draw(path: Path, runs: Sequence[Run]) -> None:
    """Draw all runs on one data set.

    Args:
        path: a PNG.
        runs: at least one; those of methods without a colour are left out.
    """
    shown = [run for run in runs if run.method in COLOURS]
    named: set[str] = set()
    with picture(path, 7.2, 4.6) as axes:
        for run in shown:
            seconds, accuracies = zip(*((point.seconds, point.accuracy) for point in run.points), strict=True)
            label = None if run.method in named else run.method
            named.add(run.method)
            colour = COLOURS[run.method]
            axes.step(seconds, accuracies, where="post", label=label, color=colour, linewidth=1.3, alpha=0.85)
            axes.plot(seconds, accuracies, "o", color=colour, markersize=4, alpha=0.85)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("seconds of loading and training")
        axes.set_ylabel("accuracy on the test images")
        axes.set_title(f"{shown[0].data_set}, {shown[0].n_test} test images", loc="left", fontsize=10)
        axes.grid(color=GRID, linewidth=0.8)
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3)

"""Pictures of an evaluation: what was gained, how far confidence can be trusted, where the model does worse."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.pictures import ACCENT, GRID, INK, MUTED, SECOND, THIRD, drawable, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_SLICES = 24
_LONGEST_NAME = 40
_COLOURS = {True: ACCENT, False: SECOND, None: THIRD}
_MEANS = {True: "better", False: "worse", None: "not told apart"}


def draw_gains(path: Path, verdict: Mapping[str, Any]) -> None:
    """Draw the gain over every reference with its interval, and the margin within which it does not matter.

    Args:
        path: where it goes.
        verdict: the record of the stage.
    """
    comparisons, margin, confidence = verdict["comparisons"], 100 * verdict["margin"], verdict["confidence"]
    with picture(path, 7.2, 1.5 + 0.55 * len(comparisons)) as axes:
        axes.axvline(0, color=MUTED, linewidth=0.8)
        if margin:
            axes.axvspan(-margin, margin, color=MUTED, alpha=0.15, linewidth=0)
        for place, (name, one) in enumerate(reversed(list(comparisons.items()))):
            value, low, high = (100 * one["gain"][key] for key in ("value", "low", "high"))
            colour = _COLOURS[one["better"]]
            axes.plot([low, high], [place, place], color=colour, linewidth=3, solid_capstyle="butt")
            axes.plot(value, place, "o", color=colour, markersize=7)
            text = f"{value:+.1f} ({low:+.1f} to {high:+.1f}), {_MEANS[one['better']]}"
            axes.text(
                0.0,
                place + 0.2,
                f"over {name.replace('_', ' ')}: {text}",
                va="bottom",
                fontsize=8,
                transform=axes.get_yaxis_transform(),
            )
        axes.set_yticks([])
        axes.set_ylim(-0.5, len(comparisons) - 0.2)
        within = f"; grey: \N{PLUS-MINUS SIGN}{margin:g}" if margin else ""
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_xlabel(
            f"test accuracy gained, points, {100 * confidence:g} % interval; colours: exact McNemar with Holm{within}"
        )
        axes.set_title(f"Verdict: {verdict['verdict']}", loc="left", fontsize=10)


def draw_reliability(
    path: Path, bins: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any], confidence: float
) -> None:
    """Draw accuracy over confidence, bin by bin, with intervals.

    Args:
        path: where it goes.
        bins: confidence, accuracy with interval, rows.
        metrics: of the stage.
        confidence: of the intervals.
    """
    with picture(path, 4.6, 4.6) as axes:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
        for one in bins:
            accuracy, x = one["accuracy"], one["confidence"]
            axes.plot([x, x], [accuracy["low"], accuracy["high"]], color=ACCENT, linewidth=2, alpha=0.55)
            axes.plot(x, accuracy["value"], "o", color=ACCENT, markersize=5, clip_on=False)
        least = min((one["confidence"] for one in bins), default=0.0)
        floor = max(0.0, min(least, *(one["accuracy"]["low"] for one in bins)) - 0.05)
        axes.set_xlim(floor, 1.0)
        axes.set_ylim(floor, 1.005)
        axes.set_aspect("equal")
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_xlabel("confidence of the model")
        axes.set_ylabel(f"share that is right, {100 * confidence:g} % interval")
        axes.set_title(
            f"Reliability: ECE {metrics['ece']:.3f} ({metrics['ece_low']:.3f} to {metrics['ece_high']:.3f});\n"
            f"of a calibrated model below {metrics['ece_if_calibrated']:.3f}",
            loc="left",
            fontsize=9,
        )


def draw_risk(path: Path, points: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any], confidence: float) -> None:
    """Draw the share of mistakes over the share of images that are answered, the surest first.

    Args:
        path: where it goes.
        points: coverage and risk with interval.
        metrics: of the stage.
        confidence: of the intervals.
    """
    xs = [one["coverage"] for one in points]
    values, lows, highs = ([one["risk"][key] for one in points] for key in ("value", "low", "high"))
    with picture(path, 6.2, 3.6) as axes:
        axes.fill_between(xs, lows, highs, color=ACCENT, alpha=0.15, linewidth=0)
        axes.plot(xs, values, color=ACCENT, linewidth=1.8)
        axes.plot(xs[-1], values[-1], "o", color=ACCENT, markersize=5, clip_on=False)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, _top(values, highs, xs))
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_xlabel("coverage: share of the images that are answered, the most confident first")
        axes.set_ylabel("share of mistakes among them")
        axes.set_title(
            f"Risk and coverage: area {metrics['aurc']:.4f} ({metrics['aurc_low']:.4f} to {metrics['aurc_high']:.4f}); "
            f"band: {100 * confidence:g} %",
            loc="left",
            fontsize=9,
        )


def draw_slices(path: Path, record: Mapping[str, Any], overall: float, confidence: float) -> None:
    """Draw the accuracy of every slice with its interval, the worst first; slices of few images are left out.

    Args:
        path: where it goes.
        record: of the slices.
        overall: the accuracy of all images.
        confidence: of the intervals.
    """
    able = sorted(
        (one for one in record["slices"] if one["accuracy"]), key=lambda one: (one["accuracy"]["value"], -one["n_rows"])
    )
    shown = able[:_MOST_SLICES]
    few = sum(not one["accuracy"] for one in record["slices"])
    with picture(path, 7.2, 1.4 + 0.24 * max(len(shown), 1)) as axes:
        axes.axvline(overall, color=MUTED, linewidth=1, linestyle="--")
        for place, one in enumerate(reversed(shown)):
            accuracy, colour = one["accuracy"], SECOND if one["worse"] else THIRD
            axes.plot([accuracy["low"], accuracy["high"]], [place, place], color=colour, linewidth=2.5, alpha=0.8)
            axes.plot(accuracy["value"], place, "o", color=colour, markersize=5)
            axes.text(
                1.01, place, f"{accuracy['value']:.3f}", va="center", fontsize=8, transform=axes.get_yaxis_transform()
            )
        axes.set_yticks(range(len(shown)), [_name(one) for one in reversed(shown)], fontsize=8)
        axes.set_ylim(-0.7, max(len(shown), 1) - 0.3)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_xlabel(f"test accuracy, {100 * confidence:g} % interval; dashed: all images")
        _entitle(axes, record, len(able) - len(shown), few)


def _entitle(axes: "Axes", record: Mapping[str, Any], n_more: int, n_few: int) -> None:
    fewest = record["fewest_images"]
    rest = [f"{n_more} better ones not shown"] if n_more else []
    rest += [f"{n_few} of fewer than {fewest} images left out"] if n_few else []
    worse = len(record["surely_worse"])
    text = f"Slices, worst first; surely worse than the rest: {worse or 'none'}{' (coloured)' if worse else ''}"
    title = text if not rest else f"{text}\n{'; '.join(rest)}"
    axes.figure.suptitle(title, x=0.01, ha="left", fontsize=9, color=INK)


def _name(one: Mapping[str, Any]) -> str:
    name = drawable(f"{one['column']} {one['part']}")
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
    return f"{short}  n={one['n_rows']}"


def _top(values: Sequence[float], highs: Sequence[float], xs: Sequence[float]) -> float:
    """Return the top of the axis: the intervals of the first few images are wide and say little."""
    told = [high for x, high in zip(xs, highs, strict=True) if x >= 0.2]
    return max(1e-3, 1.1 * max([*values, *told]))

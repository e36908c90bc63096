"""Pictures of results; the same numbers give the same bytes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import atomic_write
from transfer.records import CandidateScore, EpochRecord, Interval, StepOutcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, GRID = "#1f2933", "#8895a7", "#e4e7eb"
ACCENT, SECOND, THIRD = "#0f766e", "#b45309", "#64748b"
_DPI = 144
_FONT = "DejaVu Sans"
_MOST_NUMBERED_CLASSES = 25
_MOST_NAMED_CLASSES = 60
_MOST_LEVEL_NAMES = 10
_LONGEST_LEVEL_NAME, _LONGEST_CLASS_NAME, _LONGEST_REFERENCE = 5, 24, 88  # characters
_DARK_CELL = 0.5
_KEPT, _ROLLED_BACK = 0.07, 0.22  # how dark a step's band is


@contextmanager
def picture(path: Path, width_in: float, height_in: float) -> Iterator["Axes"]:
    """Yield axes to draw on; the picture is written atomically as PNG when the block ends.

    Args:
        path: where it goes.
        width_in: inches, at 144 dots each.
        height_in: inches.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: dict[Any, object] = {
        "font.family": _FONT,
        "font.size": 9,
        "text.parse_math": False,  # a dollar in a name is a dollar
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(width_in, height_in), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure.add_subplot()
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None}, facecolor="white")


def draw_learning_curve(path: Path, epochs: Sequence[EpochRecord], outcomes: Sequence[StepOutcome]) -> None:
    """Draw validation NLL and accuracy over the images seen: a line and a band a step, rolled-back steps greyed.

    The lines of two steps are not joined: a step starts from the best weights before it, not from the last ones.
    """
    starts, total = _starts(epochs)
    with picture(path, 7.2, 3.9) as axes:
        right = axes.twinx()
        for name, records in ((name, list(group)) for name, group in groupby(epochs, lambda one: one.step_name)):
            xs = [starts[name] + record.images_seen for record in records]
            nll, accuracy = [one.val_nll for one in records], [one.val_accuracy for one in records]
            axes.plot(xs, nll, "o-", color=ACCENT, markersize=4, linewidth=1.6, clip_on=False)
            right.plot(xs, accuracy, "s--", color=SECOND, markersize=3.5, linewidth=1.2, clip_on=False)
        for outcome, low, high in _bands(outcomes, starts, total):
            shade, alpha = (ACCENT, _KEPT) if outcome.kept else (MUTED, _ROLLED_BACK)
            axes.axvspan(low, high, color=shade, alpha=alpha, linewidth=0)
            axes.axvline(low, color=MUTED, linewidth=0.6)
            axes.text((low + high) / 2, 1.01, outcome.name, transform=axes.get_xaxis_transform(), ha="center")
        axes.set_xlabel("training images seen, by step")
        axes.set_ylabel("validation NLL, nats", color=ACCENT)
        right.set_ylabel("validation accuracy", color=SECOND)
        axes.set_xlim(0, 1.015 * total)
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])  # a marker at the top is drawn whole
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        _explain_lines(axes, rolled_back=not all(outcome.kept for outcome in outcomes))


def draw_ranking(path: Path, scores: Sequence[CandidateScore], confidence: float) -> None:
    """Draw the expected accuracy of every candidate with its interval, best first; the last one is the pixel baseline.

    Args:
        path: where it goes.
        scores: the candidates, then the pixels.
        confidence: of the intervals.
    """
    labels = labels_of([score.reference for score in scores])
    labels = [
        f"{label} ({score.beyond})" if score.beyond else label for label, score in zip(labels, scores, strict=True)
    ]
    with picture(path, 7.2, 1.3 + 0.5 * len(scores)) as axes:
        for place, (score, label) in enumerate(reversed(list(zip(scores, labels, strict=True)))):
            shade = ACCENT if score is scores[0] else MUTED if score is scores[-1] or score.beyond else THIRD
            found = score.accuracy
            axes.plot([found.low, found.high], [place, place], color=shade, linewidth=3, solid_capstyle="butt")
            axes.plot(found.value, place, "o", color=shade, markersize=7)
            axes.text(0.0, place + 0.22, drawable(label), va="bottom", fontsize=8, transform=axes.get_yaxis_transform())
            axes.text(1.01, place, _chance(score), va="center", fontsize=8, transform=axes.get_yaxis_transform())
        axes.set_yticks([])
        axes.set_ylim(-0.5, len(scores) - 0.3)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_xlabel(
            f"accuracy expected after fine-tuning, {100 * confidence:g} % interval, by {scores[0].n_rows} training rows"
        )
        axes.set_title("Candidates; at the right, accuracy and probability to be the best", loc="left", fontsize=10)


def _chance(score: CandidateScore) -> str:
    """Return a candidate's figures as the picture shows them; pixels have no probability."""
    chance = f"   {score.probability_best:.2f}" if score.n_parameters and not score.beyond else ""
    return f"{score.accuracy.value:.3f}{chance}"


def draw_confusion(path: Path, confusion: Any, classes: Sequence[str]) -> None:
    """Draw a confusion matrix, shaded by the share of the actual class, with counts and names where they fit.

    Args:
        path: where it goes.
        confusion: counts (C, C), row = actual; a class without rows stays blank.
        classes: C names; long ones are cut in the middle.
    """
    n_classes = len(classes)
    side_in = min(12.0, 2.6 + 0.42 * n_classes)
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(1)
    names = [drawable(_cut(name, _LONGEST_CLASS_NAME), f"class {place}") for place, name in enumerate(classes)]
    level = n_classes <= _MOST_LEVEL_NAMES and max(map(len, names)) <= _LONGEST_LEVEL_NAME
    shown = range(0, n_classes, math.ceil(n_classes / _MOST_NAMED_CLASSES))
    with picture(path, side_in + 0.6, side_in) as axes:
        image = axes.imshow(shares, cmap="BuGn", vmin=0, vmax=1)
        if n_classes <= _MOST_NUMBERED_CLASSES:
            _write_counts(axes, confusion, shares)
        fontsize = 9 if n_classes <= _MOST_NUMBERED_CLASSES else 7
        axes.set_xticks(shown, [names[place] for place in shown], rotation=0 if level else 90, fontsize=fontsize)
        axes.set_yticks(shown, [names[place] for place in shown], fontsize=fontsize)
        axes.set_xlabel("predicted")
        axes.set_ylabel("actual")
        axes.set_title("Test images, share of the actual class", loc="left", fontsize=10)
        axes.figure.colorbar(image, ax=axes, fraction=0.04)


def draw_comparison(path: Path, accuracies: Mapping[str, Interval], caveat: str, confidence: float) -> None:
    """Draw accuracies with their intervals, the first in the accent colour; the caveat stands in the title."""
    names = list(accuracies)
    with picture(path, 7.2, 1.1 + 0.5 * len(names)) as axes:
        for place, (name, interval) in enumerate(reversed(list(accuracies.items()))):
            colour = ACCENT if name == names[0] else THIRD
            axes.barh(place, interval.value, color=colour, height=0.55)
            errors = [[interval.value - interval.low], [interval.high - interval.value]]
            axes.errorbar(interval.value, place, xerr=errors, color=INK, capsize=3, linewidth=1.2)
            axes.text(min(interval.high, 1.0) + 0.012, place, f"{interval.value:.3f}", va="center")
        axes.set_yticks(range(len(names)), [drawable(name) for name in reversed(names)])
        axes.set_xlim(0, 1.1)
        axes.set_xlabel(f"test accuracy, {100 * confidence:g} % Wilson interval")
        axes.set_title(f"On the same test images; references: {caveat}", loc="left", fontsize=10)


def _explain_lines(axes: "Axes", *, rolled_back: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Line2D | Patch] = [
        Line2D([], [], color=ACCENT, marker="o", markersize=4, linewidth=1.6, label="NLL"),
        Line2D([], [], color=SECOND, marker="s", markersize=3.5, linewidth=1.2, linestyle="--", label="accuracy"),
    ]
    if rolled_back:
        entries.append(Patch(color=MUTED, alpha=_ROLLED_BACK, linewidth=0, label="step rolled back"))
    axes.figure.legend(handles=entries, loc="outside lower center", ncols=3, frameon=False, fontsize=8)


def _write_counts(axes: "Axes", confusion: Any, shares: Any) -> None:
    for (row, column), count in ((place, int(confusion[place])) for place in zip(*confusion.nonzero(), strict=True)):
        colour = "white" if shares[row, column] > _DARK_CELL else INK
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9 if count < 10_000 else 6)


def labels_of(references: Sequence[str]) -> list[str]:
    """Keep only the file's name of a weights path, unless two references then look the same."""
    short = []
    for reference in references:
        network, at, weights = reference.partition("@")
        short.append(f"{network}{at}{Path(weights).name}")
    told_apart = [one if short.count(one) == 1 else full for one, full in zip(short, references, strict=True)]
    return [_cut(label, _LONGEST_REFERENCE) for label in told_apart]


def _cut(text: str, longest: int) -> str:
    """Leave out the middle of a text that is too long: what tells names apart stands at their ends."""
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"


def drawable(text: str, otherwise: str | None = None) -> str:
    """Return a text that the font can draw.

    Args:
        text: what to draw.
        otherwise: what stands for a text with a character that the font lacks; None: a question mark for each of them.
    """
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont(_FONT)).get_charmap()
    drawn = "".join(character if ord(character) in known else "?" for character in text)
    return drawn if drawn == text or otherwise is None else otherwise


def _bands(
    outcomes: Sequence[StepOutcome], starts: Mapping[str, int], total: int
) -> Iterator[tuple[StepOutcome, int, int]]:
    """Yield each step that has epochs, where it begins and where it ends on the axis of images seen."""
    edges = [*starts.values(), total]
    ends = dict(zip(starts, edges[1:], strict=True))
    return ((outcome, starts[outcome.name], ends[outcome.name]) for outcome in outcomes if outcome.name in starts)


def _starts(epochs: Sequence[EpochRecord]) -> tuple[dict[str, int], int]:
    """Return where each step begins on a common axis of images seen, and where the last one ends."""
    lengths: dict[str, int] = {}
    for record in epochs:
        lengths[record.step_name] = max(lengths.get(record.step_name, 0), record.images_seen)
    starts, at = {}, 0
    for name, length in lengths.items():
        starts[name] = at
        at += length
    return starts, at

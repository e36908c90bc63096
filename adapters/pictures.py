"""Pictures of results; the same numbers give the same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import atomic_write
from transfer.records import CandidateScore, EpochRecord, Interval, StepOutcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, GRID = "#1f2933", "#8895a7", "#e4e7eb"
ACCENT, SECOND, THIRD = "#0f766e", "#b45309", "#64748b"
_DPI = 144
_MOST_NUMBERED_CLASSES = 25
_DARK_CELL = 0.5


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

    style = {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure.add_subplot()
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None}, facecolor="white")


def draw_learning_curve(path: Path, epochs: Sequence[EpochRecord], outcomes: Sequence[StepOutcome]) -> None:
    """Draw validation NLL and accuracy over the images seen, a band a step, rolled-back steps greyed."""
    starts, total = _starts(epochs)
    with picture(path, 7.2, 3.6) as axes:
        right = axes.twinx()
        xs = [starts[record.step_name] + record.images_seen for record in epochs]
        axes.plot(xs, [record.val_nll for record in epochs], "o-", color=ACCENT, markersize=3.5, linewidth=1.6)
        right.plot(xs, [record.val_accuracy for record in epochs], "s--", color=SECOND, markersize=3, linewidth=1.2)
        for outcome in outcomes:
            low = starts[outcome.name]
            high = low + max(record.images_seen for record in epochs if record.step_name == outcome.name)
            axes.axvspan(
                low, high, color=ACCENT if outcome.kept else MUTED, alpha=0.07 if outcome.kept else 0.22, linewidth=0
            )
            label = outcome.name if outcome.kept else f"{outcome.name}\n(rolled back)"
            axes.text((low + high) / 2, 1.01, label, transform=axes.get_xaxis_transform(), ha="center", va="bottom")
        axes.set_xlabel("training images seen")
        axes.set_ylabel("validation NLL, nats", color=ACCENT)
        right.set_ylabel("validation accuracy", color=SECOND)
        right.spines["top"].set_visible(False)
        axes.set_xlim(0, total)
        axes.grid(axis="y", color=GRID, linewidth=0.8)


def draw_ranking(path: Path, scores: Sequence[CandidateScore]) -> None:
    """Draw both leave-one-out accuracies of every candidate, best first; the last one is the pixel baseline."""
    with picture(path, 7.2, 1.3 + 0.62 * len(scores)) as axes:
        for place, score in enumerate(reversed(scores)):
            shade = ACCENT if score is scores[0] else MUTED if score is scores[-1] else THIRD
            for offset, value, alpha in ((0.2, score.knn_loo_accuracy, 1.0), (-0.2, score.ridge_loo_accuracy, 0.6)):
                axes.barh(place + offset, value, height=0.36, color=shade, alpha=alpha)
                axes.text(value + 0.008, place + offset, f"{value:.3f}", va="center", fontsize=8)
        axes.set_yticks(range(len(scores)), [_short(score.reference) for score in reversed(scores)])
        axes.set_xlim(0, 1.1)
        axes.set_xlabel(
            f"leave-one-out accuracy on {scores[0].n_rows} training rows: k-NN (upper bar), ridge (lower bar)"
        )
        axes.set_title("Candidates by their frozen features", loc="left", fontsize=10)


def draw_confusion(path: Path, confusion: Any, classes: Sequence[str]) -> None:
    """Draw a confusion matrix, shaded by the share of the actual class, with counts where they fit."""
    n_classes = len(classes)
    side_in = min(12.0, 2.6 + 0.42 * n_classes)
    shares = confusion / confusion.sum(axis=1, keepdims=True)
    with picture(path, side_in + 0.6, side_in) as axes:
        image = axes.imshow(shares, cmap="BuGn", vmin=0, vmax=1)
        if n_classes <= _MOST_NUMBERED_CLASSES:
            for row in range(n_classes):
                for column in range(n_classes):
                    if confusion[row, column]:
                        colour = "white" if shares[row, column] > _DARK_CELL else INK
                        axes.text(column, row, str(int(confusion[row, column])), ha="center", va="center", color=colour)
        axes.set_xticks(range(n_classes), classes, rotation=90 if n_classes > 10 or max(map(len, classes)) > 3 else 0)
        axes.set_yticks(range(n_classes), classes)
        axes.set_xlabel("predicted")
        axes.set_ylabel("actual")
        axes.set_title("Test images by actual and predicted class", loc="left", fontsize=10)
        axes.figure.colorbar(image, ax=axes, fraction=0.04, label="share of the actual class")


def draw_comparison(path: Path, accuracies: Mapping[str, Interval], caveat: str, confidence: float) -> None:
    """Draw accuracies with their intervals, the first in the accent colour; the caveat stands under the title."""
    names = list(accuracies)
    with picture(path, 7.2, 1.1 + 0.55 * len(names)) as axes:
        for place, (name, interval) in enumerate(reversed(list(accuracies.items()))):
            colour = ACCENT if name == names[0] else THIRD
            axes.barh(place, interval.value, color=colour, height=0.55)
            errors = [[interval.value - interval.low], [interval.high - interval.value]]
            axes.errorbar(interval.value, place, xerr=errors, color=INK, capsize=3, linewidth=1.2)
            axes.text(min(interval.high, 1.0) + 0.012, place, f"{interval.value:.3f}", va="center")
        axes.set_yticks(range(len(names)), list(reversed(names)))
        axes.set_xlim(0, 1.1)
        axes.set_xlabel(f"test accuracy, {100 * confidence:g} % Wilson interval")
        axes.set_title(f"On the same test images; references: {caveat}", loc="left", fontsize=10)


def _short(reference: str) -> str:
    """Keep only the file's name of a weights path."""
    network, at, weights = reference.partition("@")
    return f"{network}{at}{Path(weights).name}"


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

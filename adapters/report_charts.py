"""Charts of the report as inline SVG: curves, the confusion matrix, accuracy against cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from adapters.svg import Frame, axes, box, cut, dot, line, path, picture, short, text

_WIDTH, _HEIGHT = 380.0, 270.0
_FEWEST_POINTS = 2
_FEW_CELLS, _NAMED_CELLS, _WIDE_CELLS = 5, 14, 26  # classes up to which a cell is larger, large, holds its count
MOST_CLASSES = 50  # of a confusion matrix that is drawn
_LONGEST_NAME = 18
_DARK = 0.55


@dataclass(frozen=True, slots=True)
class Step:
    """A step of training on the axis of images seen.

    Args:
        name: of the step.
        kept: whether its change was kept.
        points: images seen since training began, validation loss.
        start: images seen when it began.
        end: images seen when it ended.
    """

    name: str
    kept: bool
    points: Sequence[tuple[float, float]]
    start: float
    end: float


def learning_curve(steps: Sequence[Step], title: str) -> Markup:
    """Return validation loss over the images seen: a line and a band a step, grey where it was rolled back.

    Args:
        steps: in order, each with a point at least.
        title: what it is of.
    """
    highest = max(nll for step in steps for _, nll in step.points)
    total = max(step.end for step in steps)
    frame = Frame(46, 34, _WIDTH - 16, _HEIGHT - 44, (0, total), (0, 1.22 * highest or 1))
    parts = []
    for place, step in enumerate(steps):
        left, right = frame.x(step.start), frame.x(step.end)
        parts.append(box(left, frame.top, right - left, frame.bottom - frame.top, "kept" if step.kept else "undone"))
        if place:
            parts.append(line(left, frame.top, left, frame.bottom, "divide"))
        parts.append(text((left + right) / 2, frame.top + 13, step.name, "mid tick strong"))
    parts += axes(frame, "training images seen", "validation loss (NLL, nats)")
    for step in steps:
        kind = "own" if step.kept else "idle"
        points = [(frame.x(seen), frame.y(nll)) for seen, nll in step.points]
        parts += [path(points, f"curve {kind}")] if len(points) >= _FEWEST_POINTS else []
        parts += [
            dot(x, y, 3.4, f"mark {kind}", f"{step.name}: {nll:.4g} after {seen:g} images")
            for (x, y), (seen, nll) in zip(points, step.points, strict=True)
        ]
    says = "; ".join(
        f"step {step.name} ends at {step.points[-1][1]:.4g}, {'kept' if step.kept else 'rolled back'}" for step in steps
    )
    return picture(_WIDTH, _HEIGHT, title, says, parts)


def reliability(bins: Sequence[Mapping[str, Any]], title: str) -> Markup:
    """Return accuracy over confidence, bin by bin, with intervals; calibrated models lie on the diagonal.

    Args:
        bins: confidence, accuracy with interval, rows.
        title: what it is of.
    """
    floor = min(0.9, *(min(one["confidence"], one["accuracy"]["low"]) for one in bins))
    floor = max(0.0, floor - 0.05)
    frame = Frame(46, 34, _WIDTH - 16, _HEIGHT - 44, (floor, 1), (floor, 1))
    parts = [path([(frame.left, frame.bottom), (frame.right, frame.top)], "curve ideal")]
    parts += axes(frame, "confidence of the answer", "share of right answers")
    for one in bins:
        x, right = frame.x(one["confidence"]), one["accuracy"]
        parts.append(line(x, frame.y(right["low"]), x, frame.y(right["high"]), "whisker own"))
        label = f"{one['n_rows']} images: confidence {one['confidence']:.3f}, right {right['value']:.3f}"
        parts.append(dot(x, frame.y(right["value"]), 3.6, "mark own", label))
    says = f"{len(bins)} groups of images; the dashed line is where confidence and accuracy agree"
    return picture(_WIDTH, _HEIGHT, title, says, parts)


def risk_curve(points: Sequence[Mapping[str, Any]], title: str) -> Markup:
    """Return the share of mistakes among the answers that the model is surest of.

    Args:
        points: coverage, risk with interval.
        title: what it is of.
    """
    top = max(1.3 * max(point["risk"]["value"] for point in points), 1.1 * points[-1]["risk"]["high"])
    frame = Frame(46, 34, _WIDTH - 22, _HEIGHT - 44, (0, 1), (0, top))
    placed = [(frame.x(one["coverage"]), one["risk"]) for one in points]
    high = [(x, frame.y(risk["high"])) for x, risk in placed]
    low = [(x, frame.y(risk["low"])) for x, risk in reversed(placed)]
    parts = [path([*high, *low], "haze", closed=True)]
    parts += axes(frame, "share of images that get an answer, surest first", "share of mistakes", percent_x=True)
    parts.append(path([(x, frame.y(risk["value"])) for x, risk in placed], "curve own"))
    says = f"with every image answered, {points[-1]['risk']['value']:.3f} of the answers are wrong"
    return picture(_WIDTH, _HEIGHT, title, says, parts)


def tradeoff(candidates: Sequence[tuple[str, float, float, float, float, bool]], title: str) -> Markup:
    """Return expected accuracy against milliseconds an image.

    Args:
        candidates: name, milliseconds, accuracy, its lower and upper bound, whether it won.
        title: what it is of.
    """
    slowest = max(one[1] for one in candidates)
    lowest = min(one[3] for one in candidates)
    frame = Frame(46, 34, _WIDTH - 16, _HEIGHT - 44, (0, 1.15 * slowest), (max(0.0, lowest - 0.03), 1.0))
    parts = axes(frame, "milliseconds an image on this machine", "expected accuracy")
    for place, (name, milliseconds, value, low, high, won) in enumerate(candidates, start=1):
        kind, x = "own" if won else "other", frame.x(milliseconds)
        parts.append(line(x, frame.y(low), x, frame.y(high), f"whisker {kind}"))
        parts.append(dot(x, frame.y(value), 4.2, f"mark {kind}", f"{name}: {value:.3f}, {milliseconds:.3g} ms"))
        parts.append(text(x + 7, frame.y(value) + 3.5, place, "tick strong"))
    says = "; ".join(f"{name} {value:.3f} at {ms:.3g} ms" for name, ms, value, *_ in candidates)
    return picture(_WIDTH, _HEIGHT, title, says, parts)


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str], title: str) -> Markup:
    """Return a confusion matrix, shaded by the share of the actual class, with counts where they fit.

    Args:
        counts: row = actual, column = predicted; at most `MOST_CLASSES` of each.
        classes: their names; long ones are cut in the middle.
        title: what it is of.
    """
    n = len(classes)
    cell = 52.0 if n <= _FEW_CELLS else 30.0 if n <= _NAMED_CELLS else 22.0 if n <= _WIDE_CELLS else 14.0
    names = [cut(name, _LONGEST_NAME) for name in classes]
    margin = 26.0 + 6.6 * max(map(len, names))
    level = cell >= 30 and max(map(len, names)) <= 3
    top = 44.0 if level else margin + 14
    parts = [text(margin + n * cell / 2, 13, "predicted", "mid label"), text(4, top - 8, "actual", "label")]
    for place, name in enumerate(names):
        centre = (place + 0.5) * cell
        parts.append(text(margin - 7, top + centre + 4, name, "end tick"))
        kind = "mid tick" if level else "tick"
        parts.append(text(margin + centre + (0 if level else 4), top - 7, name, kind, 0 if level else -90))
    for row, of_row in enumerate(counts):
        whole = sum(of_row) or 1
        for column, count in enumerate(of_row):
            x, y = margin + column * cell, top + row * cell
            parts.append(_cell(x, y, cell, count, count / whole, wrong=row != column, written=n <= _WIDE_CELLS))
    side = n * cell
    parts.append(box(margin, top, side, side, "frame"))
    n_right, n_all = sum(counts[place][place] for place in range(n)), sum(map(sum, counts))
    says = f"{n_right} of {n_all} test images lie on the diagonal, where the prediction is right"
    drawn = picture(margin + side + 6, top + side + 6, title, says, parts, "matrix")
    return Markup('<div class="matrix-box" style="--wide:{:.0f}px">{}</div>').format(margin + side + 6, drawn)


def _cell(x: float, y: float, side: float, count: int, share: float, *, wrong: bool, written: bool) -> Markup:
    kind = "cell wrong" if wrong else "cell right"
    faint = 0.0 if not count else 0.16 + 0.84 * share
    shapes = box(x + 0.5, y + 0.5, side - 1, side - 1, kind, faint)
    if count and written:
        dark = " light" if faint > _DARK else ""
        shapes += text(x + side / 2, y + side / 2 + 4, short(count), f"mid tick{dark}")
    return shapes

"""Shapes of inline SVG: crisp at any size, coloured by the page's own variables, every text escaped."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

_MOST_TICKS = 6


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot's place in its picture and what its axes span.

    Args:
        left: of the plot, in units of the picture, as the next three.
        top: of the plot.
        right: of the plot.
        bottom: of the plot.
        xs: values at the left and right end.
        ys: values at the bottom and top end.
    """

    left: float
    top: float
    right: float
    bottom: float
    xs: tuple[float, float]
    ys: tuple[float, float]

    def x(self, value: float) -> float:
        """Return where a value lies on the horizontal axis."""
        return self.left + (self.right - self.left) * share(value, *self.xs)

    def y(self, value: float) -> float:
        """Return where a value lies on the vertical axis."""
        return self.bottom - (self.bottom - self.top) * share(value, *self.ys)


def share(value: float, low: float, high: float) -> float:
    """Return where a value lies between two others, 0 to 1; what is outside is put on the edge."""
    return 0.5 if high <= low else min(max((value - low) / (high - low), 0.0), 1.0)


def picture(width: float, height: float, title: str, says: str, parts: Iterable[Markup], kind: str = "plot") -> Markup:
    """Return a picture.

    Args:
        width: in units; the page decides how large it is shown.
        height: in units.
        title: what it is.
        says: what it shows, for whoever cannot see it.
        parts: shapes.
        kind: class by which the page's style knows it.
    """
    opening = Markup(
        '<svg class="{}" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}"><title>{}</title><desc>{}</desc>'
    ).format(kind, width, height, f"{title}. {says}", title, says)
    return opening + Markup("").join(parts) + Markup("</svg>")


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Return a straight line."""
    return Markup('<line x1="{:.2f}" y1="{:.2f}" x2="{:.2f}" y2="{:.2f}" class="{}"/>').format(x1, y1, x2, y2, kind)


def path(points: Sequence[tuple[float, float]], kind: str, *, closed: bool = False) -> Markup:
    """Return a line through points, or the area that they enclose."""
    at = "L".join(f"{x:.2f} {y:.2f}" for x, y in points)
    return Markup('<path d="M{}{}" class="{}"/>').format(at, "Z" if closed else "", kind)


def dot(x: float, y: float, radius: float, kind: str, title: str = "") -> Markup:
    """Return a dot, with what the pointer says over it."""
    inner = Markup("<title>{}</title>").format(title) if title else Markup("")
    return Markup('<circle cx="{:.2f}" cy="{:.2f}" r="{:g}" class="{}">{}</circle>').format(x, y, radius, kind, inner)


def box(x: float, y: float, width: float, height: float, kind: str, opacity: float | None = None) -> Markup:
    """Return a rectangle."""
    faint = Markup("") if opacity is None else Markup(' fill-opacity="{:.3f}"').format(opacity)
    return Markup('<rect x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}" class="{}"{}/>').format(
        x, y, max(width, 0), max(height, 0), kind, faint
    )


def text(x: float, y: float, words: object, kind: str = "", turn: float = 0) -> Markup:
    """Return a text; `kind` says how it is aligned, see the page's style."""
    turned = Markup(' transform="rotate({:g} {:.2f} {:.2f})"').format(turn, x, y) if turn else Markup("")
    return Markup('<text x="{:.2f}" y="{:.2f}" class="{}"{}>{}</text>').format(x, y, kind, turned, words)


def ticks(low: float, high: float, most: int = _MOST_TICKS) -> list[float]:
    """Return round values within a range: steps of 1, 2 or 5 times a power of ten, at most so many."""
    span = high - low
    if span <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    return next(found for factor in (1, 2, 5, 10, 20) if len(found := _marks(low, high, factor * power)) <= most)


def _marks(low: float, high: float, step: float) -> list[float]:
    """Return the multiples of a step within a range."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 12) + 0.0 for place in range(first, last + 1)]


def axes(frame: Frame, x_label: str, y_label: str, *, percent_x: bool = False) -> list[Markup]:
    """Return grid, ticks and the names of both axes."""
    parts = []
    for value in ticks(*frame.ys, most=5):
        y = frame.y(value)
        parts += [line(frame.left, y, frame.right, y, "grid"), text(frame.left - 6, y + 3.5, short(value), "end tick")]
    for value in ticks(*frame.xs, most=5):
        shown = f"{100 * value:g} %" if percent_x else short(value)
        parts.append(text(frame.x(value), frame.bottom + 15, shown, "mid tick"))
    parts.append(line(frame.left, frame.bottom, frame.right, frame.bottom, "axis"))
    parts.append(text((frame.left + frame.right) / 2, frame.bottom + 31, x_label, "mid label"))
    parts.append(text(frame.left, frame.top - 10, y_label, "label"))
    return parts


def short(value: float) -> str:
    """Return a number as an axis shows it."""
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:g}"


def cut(words: str, longest: int) -> str:
    """Leave out the middle of a text that is too long: what tells names apart stands at their ends."""
    if len(words) <= longest:
        return words
    half = (longest - 1) // 2
    return f"{words[:half]}\N{HORIZONTAL ELLIPSIS}{words[-half:]}"

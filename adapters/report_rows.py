"""Rows of a plot that the page lays out itself: a name, a line with its interval, a figure; readable on a phone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from adapters.svg import share, short, ticks

_EDGE = 0.04  # of the span, so that no dot is cut


@dataclass(frozen=True, slots=True)
class Span:
    """A value with its interval.

    Args:
        name: what it is of.
        value: itself.
        low: lower bound.
        high: upper bound.
        says: the figure as text.
        kind: class that gives its colour: "own", "other", "good", "bad" or "idle".
        note: smaller, below the name.
    """

    name: str
    value: float
    low: float
    high: float
    says: str
    kind: str = "other"
    note: str = ""


def interval_rows(
    spans: Sequence[Span],
    unit: str,
    *,
    zero: bool = False,
    band: float = 0.0,
    limits: tuple[float, float] | None = None,
) -> Markup:
    """Return a row for each value on a common axis.

    Args:
        spans: the values.
        unit: what the axis counts.
        zero: whether the axis shows a line at 0.
        band: grey between minus and plus this.
        limits: that the axis never leaves; None where it may.
    """
    low, high = _range(spans, zero=zero, band=band, limits=limits)
    back = _backdrop(low, high, zero=zero, band=band)
    rows = Markup("").join(_row(span, low, high, back) for span in spans)
    return Markup('<div class="rows" role="list">{}{}</div>').format(rows, _axis(low, high, unit))


def bars(
    rows: Sequence[tuple[str, Sequence[tuple[float, str]], str]], whole: float, legend: Mapping[str, str] | None = None
) -> Markup:
    """Return a bar for each row, made of parts.

    Args:
        rows: name, parts (amount, class that gives the colour), the figure as text.
        whole: the amount that fills the width.
        legend: class -> what the parts of it are.
    """
    shown = Markup("").join(
        Markup(
            '<div class="row" role="listitem"><span class="name"><b>{}</b></span>{}<span class="figure">{}</span></div>'
        ).format(name, _bar(parts, whole), says)
        for name, parts, says in rows
    )
    return _keys(legend or {}) + Markup('<div class="rows" role="list">{}</div>').format(shown)


def _keys(legend: Mapping[str, str]) -> Markup:
    if not legend:
        return Markup("")
    keys = Markup("").join(
        Markup('<span class="key"><i class="{}"></i>{}</span>').format(kind, what) for kind, what in legend.items()
    )
    return Markup('<p class="keys">{}</p>').format(keys)


def _bar(parts: Sequence[tuple[float, str]], whole: float) -> Markup:
    at, shapes = 0.0, Markup("")
    for amount, kind in parts:
        width = 100 * amount / whole if whole else 0.0
        shapes += Markup('<rect x="{:.3f}" y="3" width="{:.3f}" height="12" class="fill {}"/>').format(at, width, kind)
        at += width
    return Markup(
        '<svg class="strip" viewBox="0 0 100 18" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(shapes)


def _range(
    spans: Sequence[Span], *, zero: bool, band: float, limits: tuple[float, float] | None
) -> tuple[float, float]:
    values = [value for span in spans for value in (span.low, span.value, span.high)]
    values += ([0.0] if zero else []) + [-band, band] * bool(band)
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    edge = _EDGE * (high - low) or 0.01
    low, high = low - edge, high + edge
    return (low, high) if limits is None else (max(low, limits[0]), min(high, limits[1]))


def _backdrop(low: float, high: float, *, zero: bool, band: float) -> Markup:
    shapes = Markup("")
    if band:
        left, right = (100 * share(edge, low, high) for edge in (-band, band))
        shapes += Markup('<rect x="{:.3f}" y="0" width="{:.3f}" height="18" class="band"/>').format(left, right - left)
    for value in ticks(low, high):
        shapes += _upright(100 * share(value, low, high), "zero" if zero and value == 0 else "grid")
    return shapes


def _upright(x: float, kind: str) -> Markup:
    return Markup('<line x1="{:.3f}" y1="0" x2="{:.3f}" y2="18" class="{}"/>').format(x, x, kind)


def _row(span: Span, low: float, high: float, back: Markup) -> Markup:
    left, at, right = (100 * share(value, low, high) for value in (span.low, span.value, span.high))
    strip = Markup(
        '<svg class="strip" viewBox="0 0 100 18" preserveAspectRatio="none" aria-hidden="true">{}'
        '<line x1="{:.3f}" y1="9" x2="{:.3f}" y2="9" class="span {}"/>'
        '<line x1="{:.3f}" y1="9" x2="{:.3f}" y2="9" class="point {}"/></svg>'
    ).format(back, left, right, span.kind, at, at, span.kind)
    note = Markup("<small>{}</small>").format(span.note) if span.note else Markup("")
    return Markup(
        '<div class="row" role="listitem"><span class="name"><b>{}</b>{}</span>{}<span class="figure">{}</span></div>'
    ).format(span.name, note, strip, span.says)


def _axis(low: float, high: float, unit: str) -> Markup:
    marks = Markup("").join(
        Markup('<i style="left:{:.3f}%">{}</i>').format(100 * share(value, low, high), short(value))
        for value in ticks(low, high)
    )
    return Markup(
        '<div class="row axis-row" aria-hidden="true"><span class="name"></span><span class="scale">{}<b>{}</b></span>'
        '<span class="figure"></span></div>'
    ).format(marks, unit)

"""Charts of the report: what is drawn lies where the axis says, nothing is lost, any name makes a sound picture."""

import base64
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup
from PIL import Image

from adapters.page import POLICY, render
from adapters.picture_data import data_uri
from adapters.report_charts import Step, confusion, learning_curve, reliability, risk_curve, tradeoff
from adapters.report_rows import Span, bars, interval_rows
from adapters.svg import Frame, cut, ticks

HOSTILE = '"><script>alert(1)</script>&'
FINITE = st.floats(-1e6, 1e6)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[float, float]:
    low = draw(FINITE)
    return low, low + draw(st.floats(1e-3, 1e6))


def parsed(markup: Markup) -> ET.Element:
    return ET.fromstring(f"<div>{markup}</div>")  # noqa: S314  our own markup


def of_kind(root: ET.Element, tag: str, kind: str) -> list[ET.Element]:
    return [one for one in root.iter(tag) if kind in (one.get("class") or "").split()]


def axis_of(root: ET.Element, aligned: str, place: str) -> tuple[Sequence[float], Sequence[float]]:
    """Return the values that an axis names, and where it puts them."""
    named = [one for one in of_kind(root, "text", "tick") if aligned in (one.get("class") or "").split()]
    named = [one for one in named if re.fullmatch(r"-?[\d.e-]+( %)?", one.text or "")]
    scale = [100.0 if (one.text or "").endswith("%") else 1.0 for one in named]
    values = [float((one.text or "").removesuffix(" %")) / of for one, of in zip(named, scale, strict=True)]
    return values, [float(one.get(place) or "nan") for one in named]


def lies_at(axis: tuple[Sequence[float], Sequence[float]], value: float) -> float:
    slope, start = np.polyfit(*axis, 1)
    return float(slope * value + start)


@given(ranges(), st.integers(3, 9))
def test_ticks_are_round_even_and_inside(limits: tuple[float, float], most: int) -> None:
    low, high = limits
    found = ticks(low, high, most)
    edge = 1e-6 * (high - low)
    assert 1 <= len(found) <= most
    assert all(low - edge <= value <= high + edge for value in found)
    if len(found) > 1:
        steps = np.diff(found)
        np.testing.assert_allclose(steps, steps[0], rtol=1e-4, atol=1e-9)
        assert float(f"{steps[0]:.0e}") in {float(f"{digit}e{power}") for digit in (1, 2, 5) for power in range(-6, 7)}


@given(FINITE, ranges(), ranges())
def test_a_frame_is_linear_and_keeps_everything_inside(
    value: float, xs: tuple[float, float], ys: tuple[float, float]
) -> None:
    frame = Frame(10, 20, 110, 220, xs, ys)
    assert frame.x(value) == pytest.approx(np.interp(value, xs, (10, 110)), abs=1e-6)
    assert frame.y(value) == pytest.approx(np.interp(value, ys, (220, 20)), abs=1e-6)


def test_rows_lie_where_their_axis_says() -> None:
    spans = [Span("a", 3.0, 1.0, 4.0, "3"), Span("b", -2.0, -6.0, 12.0, "-2")]
    root = parsed(interval_rows(spans, "points", zero=True, band=1.0))
    marks = [one for one in root.iter("i") if one.get("style")]
    places = [float(re.findall(r"left:([\d.]+)%", one.get("style") or "")[0]) for one in marks]
    axis = [float(one.text or "nan") for one in marks], places
    points, lines = of_kind(root, "line", "point"), of_kind(root, "line", "span")
    for span, point, line in zip(spans, points, lines, strict=True):
        assert float(point.get("x1") or "nan") == pytest.approx(lies_at(axis, span.value), abs=0.01)
        assert float(line.get("x1") or "nan") == pytest.approx(lies_at(axis, span.low), abs=0.01)
        assert float(line.get("x2") or "nan") == pytest.approx(lies_at(axis, span.high), abs=0.01)
    zeros = [float(one.get("x1") or "nan") for one in of_kind(root, "line", "zero")]
    assert zeros == [pytest.approx(lies_at(axis, 0), abs=0.01)] * len(spans)


def test_rows_of_one_value_and_shares_stay_inside_their_limits() -> None:
    root = parsed(interval_rows([Span("all", 100.0, 100.0, 100.0, "100")], "%", limits=(0.0, 100.0)))
    (point,) = of_kind(root, "line", "point")
    assert 0 <= float(point.get("x1") or "nan") <= 100


@given(st.lists(st.lists(st.integers(0, 500), min_size=3, max_size=3), min_size=1, max_size=5))
def test_bars_are_as_long_as_their_amounts(amounts: list[list[int]]) -> None:
    whole = max(map(sum, amounts)) or 1
    rows = [(str(place), list(zip(row, "abc", strict=True)), str(sum(row))) for place, row in enumerate(amounts)]
    root = parsed(bars(rows, whole, {"a": "training"}))
    drawn = [float(one.get("width") or "nan") for one in of_kind(root, "rect", "fill")]
    np.testing.assert_allclose(drawn, [100 * amount / whole for row in amounts for amount in row], atol=2e-3)


def test_a_learning_curve_has_every_epoch_where_the_axes_say() -> None:
    steps = [Step("probe", True, [(100, 0.8)], 0, 100), Step("all", False, [(150, 0.6), (200, 0.7)], 100, 200)]
    root = parsed(learning_curve(steps, "Loss"))
    xs, ys = axis_of(root, "mid", "x"), axis_of(root, "end", "y")
    marks = of_kind(root, "circle", "mark")
    epochs = [point for step in steps for point in step.points]
    for mark, (seen, nll) in zip(marks, epochs, strict=True):
        assert float(mark.get("cx") or "nan") == pytest.approx(lies_at(xs, seen), abs=0.05)
        assert float(mark.get("cy") or "nan") + 3.5 == pytest.approx(lies_at(ys, nll), abs=0.05)
    assert len(of_kind(root, "rect", "kept")) == len(of_kind(root, "rect", "undone")) == 1
    assert len(of_kind(root, "path", "curve")) == 1  # a step of one epoch is a dot


def test_reliability_has_every_bin_where_the_axes_say() -> None:
    bins = [
        {"confidence": 0.6, "accuracy": {"value": 0.7, "low": 0.5, "high": 0.8}, "n_rows": 20},
        {"confidence": 0.95, "accuracy": {"value": 1.0, "low": 0.9, "high": 1.0}, "n_rows": 21},
    ]
    root = parsed(reliability(bins, "Reliability"))
    xs, ys = axis_of(root, "mid", "x"), axis_of(root, "end", "y")
    for mark, one in zip(of_kind(root, "circle", "mark"), bins, strict=True):
        assert float(mark.get("cx") or "nan") == pytest.approx(lies_at(xs, one["confidence"]), abs=0.05)  # type: ignore[arg-type]
        assert float(mark.get("cy") or "nan") + 3.5 == pytest.approx(lies_at(ys, one["accuracy"]["value"]), abs=0.05)  # type: ignore[index]


def test_the_risk_curve_ends_at_the_share_of_mistakes() -> None:
    points = [
        {"coverage": share, "risk": {"value": 0.25 * share, "low": 0.0, "high": 0.4}} for share in (0.25, 0.5, 1.0)
    ]
    root = parsed(risk_curve(points, "Risk"))
    xs, ys = axis_of(root, "mid", "x"), axis_of(root, "end", "y")
    (curve,) = of_kind(root, "path", "curve")
    x, y = map(float, (curve.get("d") or "").split("L")[-1].split())
    assert (x, y + 3.5) == (pytest.approx(lies_at(xs, 1.0), abs=0.05), pytest.approx(lies_at(ys, 0.25), abs=0.05))


@pytest.mark.parametrize("n_classes", [2, 9, 20])
def test_a_confusion_matrix_shows_every_count_and_darker_is_more(n_classes: int) -> None:
    draw = np.random.default_rng(n_classes)
    counts = draw.integers(0, 4, (n_classes, n_classes)) * draw.integers(0, 2, (n_classes, n_classes))
    names = [f"class {place}" for place in range(n_classes)]
    root = parsed(confusion(counts.tolist(), names, "Confusion"))
    cells = of_kind(root, "rect", "cell")
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    faint = np.array([float(cell.get("fill-opacity") or "nan") for cell in cells])
    order = np.argsort(shares.ravel(), kind="stable")
    assert (np.diff(faint[order]) >= -1e-9).all()
    assert (faint == 0).tolist() == (counts.ravel() == 0).tolist()
    written = [int(one.text or "0") for one in of_kind(root, "text", "tick") if (one.text or "").isdigit()]
    assert sum(written) == counts.sum()
    assert len(of_kind(root, "rect", "wrong")) == n_classes * (n_classes - 1)


def test_any_name_makes_a_sound_picture_that_says_what_it_shows() -> None:
    epochs = [Step(HOSTILE, True, [(1, 0.5)], 0, 1)]
    drawn = [
        learning_curve(epochs, HOSTILE), confusion([[1, 0], [0, 2]], [HOSTILE, "x" * 400], HOSTILE),
        tradeoff([(HOSTILE, 1.0, 0.5, 0.4, 0.6, True), ("b", 2.0, 0.7, 0.6, 0.8, False)], HOSTILE),
    ]  # fmt: skip
    for markup in drawn:
        assert "<script" not in markup
        root = parsed(markup)
        (svg,) = root.iter("svg")
        assert svg.get("role") == "img"
        assert (svg.get("aria-label") or "").startswith(HOSTILE)
        assert svg[0].tag == "title"
        assert svg[1].text
    rows = interval_rows([Span(HOSTILE, 1, 0, 2, HOSTILE, note=HOSTILE)], HOSTILE) + bars([(HOSTILE, [], HOSTILE)], 1)
    assert "<script" not in rows
    assert HOSTILE in "".join(parsed(rows).itertext())


@given(st.text("ab \U0001f41d", max_size=60), st.integers(5, 40))
def test_a_name_that_is_cut_keeps_its_ends(name: str, longest: int) -> None:
    found = cut(name, longest)
    assert len(found) <= max(longest, 0)
    assert found == name or (found[:2] == name[:2] and found[-2:] == name[-2:])


def test_small_pictures_travel_unchanged_and_large_ones_small(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name, side_px in (("small.png", 32), ("large.png", 700)):
        Image.fromarray(draw.integers(0, 255, (side_px, side_px // 2, 3)).astype(np.uint8)).save(tmp_path / name)
    with (
        Image.open(_bytes_of(data_uri(tmp_path / "small.png", 240))) as small,
        Image.open(tmp_path / "small.png") as own,
    ):
        np.testing.assert_array_equal(np.asarray(small), np.asarray(own))
    with Image.open(_bytes_of(data_uri(tmp_path / "large.png", 240))) as large:
        assert (large.format, max(large.size)) == ("JPEG", 240)


def test_what_is_no_picture_is_none(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    assert data_uri(tmp_path / "text.png", 10) is None
    assert data_uri(tmp_path / "missing.png", 10) is None


def test_a_page_escapes_and_misses_nothing() -> None:
    page = render("{{ policy }}{{ style }}{{ name }}", {"name": HOSTILE}, "p { margin: 0 }")
    assert page.startswith(POLICY)
    assert "p { margin: 0 }" in page
    assert "&lt;script&gt;" in page
    with pytest.raises(UndefinedError):
        render("{{ forgotten }}", {})


def _bytes_of(uri: str | None) -> io.BytesIO:
    assert uri is not None
    return io.BytesIO(base64.b64decode(uri.partition(",")[2]))

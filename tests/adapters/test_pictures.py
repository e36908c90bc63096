"""Pictures: the same numbers give the same bytes, everything is readable, nothing is left behind."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adapters.evaluation_pictures import draw_gains, draw_reliability, draw_risk, draw_slices
from adapters.pictures import draw_comparison, draw_confusion, draw_learning_curve, draw_ranking
from transfer.records import CandidateScore, EpochRecord, Interval, StepOutcome

Draw = Callable[[Path], None]
FIRST = (
    "torchvision/mobilenet_v2?width_mult=0.35&resize_px=64@/data/somebody/first/project/weights/mobilenet_v2_w035.pth"
)
TWIN = FIRST.replace("first", "second")


def epochs_of(name: str, images: list[int]) -> list[EpochRecord]:
    return [EpochRecord(name, at, seen, 0.5, 0.4 / at, 0.9) for at, seen in enumerate(images, start=1)]


def outcome_of(name: str, images: int, *, kept: bool = True) -> StepOutcome:
    return StepOutcome(name, ("head",), 0.5, 0.4, 0.9, images, kept=kept)


def learning_curve(path: Path) -> None:
    epochs = [*epochs_of("probe", [1113]), *epochs_of("last", [1113, 1500]), *epochs_of("all", [1113, 1500])]
    draw_learning_curve(
        path, epochs, [outcome_of("probe", 1113), outcome_of("last", 1500), outcome_of("all", 1500, kept=False)]
    )


def uneven_learning_curve(path: Path) -> None:
    epochs = [*epochs_of("probe", [10_000]), *epochs_of("last", [1500]), *epochs_of("all", [1500])]
    draw_learning_curve(path, epochs, [outcome_of("probe", 10_000), outcome_of("last", 1500), outcome_of("all", 1500)])


def probe_alone(path: Path) -> None:
    draw_learning_curve(path, epochs_of("probe", [20]), [outcome_of("probe", 20)])


def score_of(reference: str, accuracy: float) -> CandidateScore:
    interval = Interval(accuracy, 0.9 * accuracy, min(1.0, 1.05 * accuracy))
    size = 0 if reference == "raw pixels" else 700_000
    return CandidateScore(reference, interval, 0.5, False, accuracy, 0.1, accuracy, {}, None, 1113, 336, size, None)


def ranking(path: Path) -> None:
    references = (FIRST, TWIN, "rootstock/strokes", "torchvision/resnet18@/日本/$a$.pth", "raw pixels")
    scores = [score_of(name, accuracy) for name, accuracy in zip(references, (1, 0.9, 0.8, 0.5, 0), strict=True)]
    draw_ranking(path, scores, 0.95)


def comparison(path: Path) -> None:
    accuracies = {
        "transfer": Interval(1.0, 0.97, 1.0),
        "scratch": Interval(0.5, 0.4, 0.6),
        "random frozen": Interval(0.0, 0.0, 0.1),
    }
    draw_comparison(path, accuracies, "equal images seen, not converged", 0.95)


def confusion_of(names: list[str]) -> Draw:
    def draw(path: Path) -> None:
        generator = np.random.default_rng(0)
        counts = generator.integers(0, 3, (len(names), len(names))) + np.diag(
            generator.integers(20, 20_000, len(names))
        )
        draw_confusion(path, counts, names)

    return draw


def in_interval(value: float, half: float = 0.05) -> dict[str, float]:
    return {"value": value, "low": max(0.0, value - half), "high": min(1.0, value + half)}


METRICS = {"ece": 0.0312, "ece_low": 0.01, "ece_high": 0.05, "ece_if_calibrated": 0.027}
METRICS |= {"aurc": 0.0123, "aurc_low": 0.01, "aurc_high": 0.02}


def gains(path: Path) -> None:
    values = {"scratch": (0.3, True), "random_frozen": (-0.4, False), "probe": (0.0, None), "nearest_mean": (0.9, True)}
    compared = {
        name: {"gain": {"value": value, "low": value - 0.08, "high": value + 0.08}, "better": better}
        for name, (value, better) in values.items()
    }
    draw_gains(path, {"comparisons": compared, "margin": 0.01, "confidence": 0.95, "verdict": "inconclusive"})


def reliability(path: Path) -> None:
    bins = [{"confidence": 0.1 + 0.06 * at, "accuracy": in_interval(0.06 * at), "n_rows": 20} for at in range(15)]
    draw_reliability(path, bins, METRICS, 0.95)


def sure_reliability(path: Path) -> None:
    draw_reliability(path, [{"confidence": 1.0, "accuracy": in_interval(1.0), "n_rows": 20}], METRICS, 0.95)


def risk(path: Path) -> None:
    points = [{"coverage": at / 50, "risk": in_interval(0.002 * at), "least": 1 - at / 50} for at in range(1, 51)]
    draw_risk(path, points, METRICS, 0.95)


def slices_of(n_slices: int) -> Draw:
    def draw(path: Path) -> None:
        found = [
            {
                "column": "a column of the user's with a long name",
                "part": f"{place} to {place + 1}",
                "n_rows": 10_000,
                "accuracy": in_interval(0.5 + 0.4 * place / n_slices) if place else None,
                "worse": place == 1,
            }
            for place in range(n_slices)
        ]
        draw_slices(path, {"slices": found, "surely_worse": ["one"], "fewest_images": 20}, 0.9, 0.95)

    return draw


DRAWN: dict[str, Draw] = {
    "gains": gains,
    "reliability": reliability,
    "reliability of a sure model": sure_reliability,
    "risk": risk,
    "slices 1": slices_of(1),
    "slices 12": slices_of(12),
    "slices 80": slices_of(80),
    "learning curve": learning_curve,
    "uneven learning curve": uneven_learning_curve,
    "probe alone": probe_alone,
    "ranking": ranking,
    "comparison": comparison,
    "confusion 2": confusion_of(["ants", "bees"]),
    "confusion 10": confusion_of([str(digit) for digit in range(10)]),
    "confusion 12, long names": confusion_of([f"a species with a long common name, number {at}" for at in range(12)]),
    "confusion 60": confusion_of([f"class number {at}" for at in range(60)]),
    "confusion 200": confusion_of([f"n{at:08d}" for at in range(200)]),
}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Collect the figures that are saved."""
    from matplotlib.figure import Figure

    saved: list[Any] = []
    save = Figure.savefig

    def collecting(self: Any, *arguments: Any, **settings: Any) -> None:
        save(self, *arguments, **settings)
        saved.append(self)

    monkeypatch.setattr(Figure, "savefig", collecting)
    yield saved
    saved.clear()


def texts_of(figure: Any) -> list[Any]:
    from matplotlib.text import Text

    unseen = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            unseen |= set() if low <= tick.get_loc() <= high else {tick.label1, tick.label2}
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in unseen]


@pytest.mark.parametrize("name", DRAWN)
def test_no_text_touches_another_or_leaves_the_picture(name: str, tmp_path: Path, figures: list[Any]) -> None:
    DRAWN[name](tmp_path / "picture.png")
    (figure,) = figures
    boxes = {text: text.get_window_extent() for text in texts_of(figure)}
    frame = figure.bbox
    for text, box in boxes.items():
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= frame.x1 + 1 and box.y1 <= frame.y1 + 1
        assert inside, f"{text.get_text()!r} leaves the picture"
        touching = [
            other.get_text()
            for other, its in boxes.items()
            if other is not text and box.padded(-1).overlaps(its.padded(-1))
        ]
        assert not touching, f"{text.get_text()!r} lies on {touching}"


@pytest.mark.parametrize(
    "name", ["learning curve", "ranking", "comparison", "confusion 2", "gains", "risk", "slices 12"]
)
def test_the_same_numbers_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    DRAWN[name](tmp_path / "first.png")
    DRAWN[name](tmp_path / "second.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.png", "second.png"]
    with Image.open(tmp_path / "first.png") as picture:
        assert picture.format == "PNG"
        assert not picture.text


def test_references_are_told_apart(tmp_path: Path, figures: list[Any]) -> None:
    ranking(tmp_path / "picture.png")
    labels = [text.get_text() for text in texts_of(figures[0]) if "/" in text.get_text()]
    assert len(labels) == len(set(labels)) == 4
    assert "rootstock/strokes" in labels
    assert "torchvision/resnet18@$a$.pth" in labels


def test_a_step_that_was_rolled_back_is_explained(tmp_path: Path, figures: list[Any]) -> None:
    learning_curve(tmp_path / "picture.png")
    probe_alone(tmp_path / "picture.png")
    explained = [any(text.get_text() == "step rolled back" for text in texts_of(figure)) for figure in figures]
    assert explained == [True, False]


def test_a_band_bears_the_name_of_the_step_whose_epochs_it_holds(tmp_path: Path, figures: list[Any]) -> None:
    epochs = [*epochs_of("probe", [100]), *epochs_of("last", [300])]
    outcomes = [outcome_of("probe", 100), outcome_of("norms", 200), outcome_of("refit", 20), outcome_of("last", 300)]
    draw_learning_curve(tmp_path / "picture.png", epochs, outcomes)
    names = {text.get_text(): text.get_position()[0] for text in figures[0].axes[0].texts}
    assert names == {"probe": 50, "last": 250}


def test_the_lines_of_two_steps_are_not_joined(tmp_path: Path, figures: list[Any]) -> None:
    learning_curve(tmp_path / "picture.png")
    drawn = [sorted(line.get_xdata()) for line in figures[0].axes[0].lines if line.get_marker() == "o"]
    assert drawn == [[1113], [1113 + 1113, 1113 + 1500], [2613 + 1113, 2613 + 1500]]


def test_confusion_counts_stand_in_their_cells(tmp_path: Path, figures: list[Any]) -> None:
    draw_confusion(tmp_path / "picture.png", np.array([[5, 1], [0, 7]]), ["日本", "b"])
    cells = {text.get_position(): text.get_text() for text in figures[0].axes[0].texts}
    assert cells == {(0, 0): "5", (1, 0): "1", (1, 1): "7"}
    assert [text.get_text() for text in figures[0].axes[0].get_yticklabels()] == ["class 0", "b"]


def test_a_class_without_rows_stays_blank(tmp_path: Path, figures: list[Any]) -> None:
    draw_confusion(tmp_path / "picture.png", np.array([[5, 1], [0, 0]]), ["a", "b"])
    assert np.asarray(figures[0].axes[0].images[0].get_array())[1].tolist() == [0.0, 0.0]


def test_a_failed_drawing_leaves_the_old_picture(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="xerr"):
        draw_comparison(path, {"transfer": Interval(0.5, 0.6, 0.7)}, "", 0.95)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["picture.png"]

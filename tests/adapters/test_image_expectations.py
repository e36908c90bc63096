"""Each expectation of ours fails on what is planted and passes on what is clean, by its type, as pandas counts it."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapters.expectations import quiet_tool, run_expectations, translated
from adapters.image_expectations import register
from adapters.previous_data import described
from adapters.suite_files import ALLOWED
from transfer.data.expectation import Expectation, Finding
from transfer.data.expectations import Limits, stability, suite, with_severities
from transfer.errors import UserError

pytestmark = pytest.mark.usefixtures("great_expectations")

N = 200
LIMITS = Limits(
    max_quarantined_fraction=0.05, min_images_per_class=3, min_side_px=8, max_class_ratio=20.0, max_aspect_ratio=10.0,
    min_highlight=0.15, max_shadow=0.9, min_contrast=0.05, min_sharpness=0.02,
)  # fmt: skip
KEYS = {"files": "path", "readable": "path", "classes": "class_name"}


@pytest.fixture
def readable() -> pd.DataFrame:
    """Return rows in which nothing is wrong."""
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "path": [f"{index:03}.png" for index in range(N)], "label": [index % 2 for index in range(N)],
            "class_name": ["ant", "bee"] * (N // 2), "split": ["train", "train", "val", "test"] * (N // 4),
            "sha256": [f"{index:064x}" for index in range(N)], "user_group": [None] * N, "readable": True,
            "copies": [None] * N, "changed_side": False, "test_copy_of_train": False,
            "width_px": 32, "height_px": draw.integers(20, 40, N), "mode": "RGB",
            "format": "PNG", "n_bytes": draw.integers(500, 5000, N), "exif_orientation": 1,
            "brightness": draw.random(N), "aspect_ratio": 1.5, "contrast": 0.7, "shadow": 0.1, "highlight": 0.8,
            "sharpness": 0.1,
        }
    )  # fmt: skip


def _classes(*names: str) -> pd.DataFrame:
    counts = dict.fromkeys(("n_images", "n_train", "n_val", "n_test"), 10)
    return pd.DataFrame([{"class_name": name, **counts, "largest_to_this": 1.0} for name in names])


def _run(readable: pd.DataFrame, classes: pd.DataFrame, asked: tuple[Expectation, ...]) -> dict[str, Finding]:
    found = run_expectations({"files": readable, "readable": readable, "classes": classes}, KEYS, asked)
    return {one.expectation.name: one for one in found}


def test_clean_data_are_as_expected(readable: pd.DataFrame) -> None:
    found = _run(readable, _classes("ant", "bee"), suite(2, LIMITS))
    assert {name: one.n_unexpected for name, one in found.items()} == dict.fromkeys(found, 0)
    assert all(one.passed for one in found.values())


PLANTED: dict[str, tuple[str, Any, Any]] = {  # expectation -> column, what is planted, what is just good enough
    "not_dark": ("highlight", 0.149, 0.15),
    "not_washed_out": ("shadow", 0.901, 0.9),
    "contrast": ("contrast", 0.049, 0.05),
    "sharp": ("sharpness", 0.0199, 0.02),
    "aspect_moderate": ("aspect_ratio", 10.01, 10.0),
    "upright": ("exif_orientation", 6, 1),
    "plain_mode": ("mode", "CMYK", "L"),
    "width_sufficient": ("width_px", 7, 8),
    "height_sufficient": ("height_px", 7, 8),
    "no_training_copy_in_test": ("test_copy_of_train", True, False),
    "no_image_changed_side": ("changed_side", True, False),
    "label_in_range": ("label", 2, 1),
    "split_known": ("split", "holdout", "train"),
    "readable_share": ("readable", False, True),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found_and_nothing_else(readable: pd.DataFrame, name: str) -> None:
    column, bad, _ = PLANTED[name]
    places = [3, 70, 150] if name != "readable_share" else [*range(0, N, 10)]
    readable[column] = readable[column].astype(object)
    readable.loc[places, column] = bad
    found = _run(readable.infer_objects(), _classes("ant", "bee"), suite(2, LIMITS))
    assert [key for key, one in found.items() if not one.passed] == [name]
    assert found[name].n_unexpected == len(places)
    assert [row for row, _ in found[name].examples[:3]] == [f"{place:03}.png" for place in places[:3]]


def test_what_is_just_good_enough_passes(readable: pd.DataFrame) -> None:
    for column, _, good in PLANTED.values():
        readable[column] = readable[column].astype(object)
        readable.loc[[3, 70, 150], column] = good
    found = _run(readable.infer_objects(), _classes("ant", "bee"), suite(2, LIMITS))
    assert [name for name, one in found.items() if not one.passed] == []


def test_copies_and_groups_are_counted_as_pandas_counts_them(readable: pd.DataFrame) -> None:
    draw = np.random.default_rng(1)
    readable["sha256"] = [f"{value:064x}" for value in draw.integers(0, 150, N)]
    for column in ("user_group", "copies"):
        readable[column] = [f"{column} {value}" if value < 20 else None for value in draw.integers(0, 60, N)]
    found = _run(readable, _classes("ant", "bee"), suite(2, LIMITS))

    def crossing(key: str, column: str) -> int:
        held = readable.dropna(subset=[key])
        per_key = held.groupby(key)[column].nunique()
        return int(held[key].isin(per_key[per_key > 1].index).sum())

    assert found["no_copy_across_splits"].n_unexpected == crossing("sha256", "split") > 0
    assert found["no_copy_across_classes"].n_unexpected == crossing("sha256", "class_name") > 0
    assert found["no_group_across_splits"].n_unexpected == crossing("user_group", "split") > 0
    assert found["no_near_copy_across_splits"].n_unexpected == crossing("copies", "split") > 0
    assert found["no_copies"].n_unexpected == int(readable["sha256"].duplicated(keep=False).sum())
    first, second = (path for path, _ in found["no_copies"].examples[:2])
    digests = dict(zip(readable["path"], readable["sha256"], strict=True))
    assert digests[first] == digests[second]


@pytest.mark.parametrize(
    ("name", "classes", "wrong"),
    [
        ("class_names_distinct", ("Ant", "ant", "bee"), ["Ant", "ant"]),
        ("class_names_unlike", ("horse", "horses", "bee"), ["horse", "horses"]),
        ("class_names_tidy", ("ant ", "bee"), ["ant "]),
        ("class_names_no_folders", ("ant", "train"), ["train"]),
        ("class_names_numbers", ("1", "10", "2"), ["10", "2"]),
    ],
)
def test_names_of_classes_are_looked_at_together(
    readable: pd.DataFrame, name: str, classes: tuple[str, ...], wrong: list[str]
) -> None:
    found = _run(readable, _classes(*classes), suite(3, LIMITS))
    assert [row for row, _ in found[name].examples] == wrong
    assert [key for key, one in found.items() if not one.passed] == [name]


def test_drift_is_named_with_its_column_and_only_where_it_is(readable: pd.DataFrame) -> None:
    before = described(readable, "photos", "d" * 32 + ".dir")
    asked = stability(before.columns, max_drift=0.1, confidence=0.95)
    assert all(one.passed for one in _run(readable, _classes("ant", "bee"), asked).values())
    readable["brightness"] = readable["brightness"] ** 3
    readable.loc[:60, "mode"] = "L"
    found = _run(readable, _classes("ant", "bee"), asked)
    assert {name for name, one in found.items() if not one.passed} == {"stable_brightness", "stable_mode"}
    mode = found["stable_mode"].observed
    expected = {"L": (0.0, 61 / N), "RGB": (1.0, 1 - 61 / N)}[mode["most"]]
    assert (mode["before"], mode["now"]) == pytest.approx(expected)
    assert mode["low"] > 0.1


def test_every_class_of_ours_may_be_asked_for_by_its_type_and_says_what_it_is() -> None:
    with quiet_tool() as gx:
        kinds = gx.expectations.registry
        for name, kind in register().items():
            assert kinds.get_expectation_impl(kind.expectation_type) is kind
            assert kind.expectation_type in ALLOWED
            assert kind.__name__ == name
            assert kind.__doc__
        for one in ALLOWED:
            assert kinds.get_expectation_impl(one).expectation_type == one


def test_our_suite_survives_the_tools_own_json(readable: pd.DataFrame) -> None:
    with quiet_tool() as gx:
        ours = gx.ExpectationSuite(name="ours", expectations=[translated(gx, one) for one in suite(2, LIMITS)])
        again = gx.ExpectationSuite(**json.loads(json.dumps(ours.to_json_dict())))
        assert again.to_json_dict() == ours.to_json_dict()


def test_severities_are_the_users_to_set() -> None:
    asked = suite(2, LIMITS)
    changed = with_severities(asked, {"sharp": "error", "upright": "ignore", "stable_mode": "error"}, ["stable_mode"])
    assert {one.name for one in asked} - {one.name for one in changed} == {"upright"}
    assert next(one for one in changed if one.name == "sharp").severity == "error"
    with pytest.raises(UserError, match=r"the expectation 'sharpe', which there is not; did you mean sharp\?"):
        with_severities(asked, {"sharpe": "error"})

"""params.yaml changed in place: the value, and nothing but the value."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import params_file
from adapters.yaml_places import replaced
from transfer.errors import UserError

LISTED = "select:\n  candidates:\n  - a # about a\n  # before b\n  - b\n  - c   # c\n\n  # next\n  knn_k: 3\n"
RECORDS = "select:\n  weights_sha256:     # written\n    'a b: c': 'x'\n    d: 'y'\n\n# next\nz:\n  a: 1\n"


@pytest.fixture
def shipped(root: Path, tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_bytes((root / "params.yaml").read_bytes())
    return path


def test_same_values_leave_the_file_alone(shipped: Path) -> None:
    before = shipped.stat()
    values = {"data.path": "data/digits", "select.candidates": ["rootstock/strokes", "rootstock/strokes@none"]}
    assert params_file.change(shipped, values) is False
    assert shipped.stat() == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.path", "../photos of cats/it's"),
        ("data.path", "a: b # c"),
        ("finetune.head_lr", 1e-5),
        ("finetune.epochs", 3),
        ("register.model_name", "null"),
        ("register.model_name", "yes"),
        ("register.model_name", "1.5"),
        ("evaluate.confidence", 0.9),
    ],
)
def test_one_line_changes_and_its_comment_stays(shipped: Path, key: str, value: Any) -> None:
    before = shipped.read_text(encoding="utf-8").splitlines()
    assert params_file.change(shipped, {key: value}) is True
    after = shipped.read_text(encoding="utf-8").splitlines()
    different = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(different) == 1
    assert different[0][1].endswith(different[0][0].partition("#")[2])
    block, name = key.split(".")
    assert params_file.read(shipped)[block][name] == value


def test_back_and_forth_gives_the_same_bytes(shipped: Path) -> None:
    before = shipped.read_bytes()
    first = params_file.read(shipped)
    changes = {
        "data.path": "x",
        "select.candidates": ["a", "b", "c"],
        "select.weights_sha256": {"a/b.pth": "0" * 64},
        "register.model_name": "m",
    }
    params_file.change(shipped, changes)
    params_file.change(shipped, {key: first[key.split(".")[0]][key.split(".")[1]] for key in changes})
    assert shipped.read_bytes() == before


def test_list_items_that_stay_keep_their_comments() -> None:
    assert replaced(LISTED, "select.candidates", ["b", "x", "a"]) == (
        "select:\n  candidates:\n  # before b\n  - b\n  - x\n  - a # about a\n\n  # next\n  knn_k: 3\n"
    )


def test_list_in_brackets_stays_in_brackets() -> None:
    assert replaced("select:\n  candidates: [a, b]   # hi\n", "select.candidates", ["c,d"]) == (
        "select:\n  candidates: ['c,d']  # hi\n"
    )


def test_mapping_is_filled_replaced_and_emptied() -> None:
    empty = replaced(RECORDS, "select.weights_sha256", {})
    assert empty == "select:\n  weights_sha256: {}  # written\n\n# next\nz:\n  a: 1\n"
    filled = replaced(empty, "select.weights_sha256", {"e": "f"})
    assert filled.splitlines()[2] == "    e: f"
    assert "# written" in filled.splitlines()[1]
    assert "    d: 'y'" not in replaced(RECORDS, "select.weights_sha256", {"e": "f"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select:\nz:\n  a: 1\n", "select:\n  knn_k: 4\nz:\n  a: 1\n"),
        ("data:\n  path: x\n", "data:\n  path: x\n\nselect:\n  knn_k: 4\n"),
        ("", "select:\n  knn_k: 4\n"),
        ("select:\n    max_rows: 2", "select:\n    knn_k: 4\n    max_rows: 2"),
        ("select: {knn_k: 3, max_rows: 2}\n", "select: {knn_k: 4, max_rows: 2}\n"),
        ("select:\r\n  knn_k: 3 # c\r\n", "select:\r\n  knn_k: 4 # c\r\n"),
        ("select:\n  knn_k:   # empty\n", "select:\n  knn_k: 4 # empty\n"),
    ],
)
def test_missing_keys_are_added_and_other_layouts_kept(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode())
    params_file.change(path, {"select.knn_k": 4})
    assert path.read_bytes().decode() == expected


def test_layout_that_cannot_be_changed_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = "finetune: &same\n  seed: 0\nreference: *same\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="set it there by hand"):
        params_file.change(path, {"reference.seed": 1})
    assert path.read_text(encoding="utf-8") == text


def test_mode_and_symbolic_link_are_kept(shipped: Path, tmp_path: Path) -> None:
    shipped.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(shipped)
    params_file.change(link, {"data.path": "x"})
    assert link.is_symlink()
    assert shipped.stat().st_mode & 0o777 == 0o640
    assert params_file.read(shipped)["data"]["path"] == "x"


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1))
def test_any_text_survives(text: str) -> None:
    changed = replaced("data:\n  path: x   # comment\n  other: 1\n", "data.path", text)
    assert params_file.parse(changed, "x") == {"data": {"path": text, "other": 1}}

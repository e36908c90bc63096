"""Prepared examples: decoded once for all stages, the same from memory as from files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from adapters.image_files import describe, list_images
from tasks import examples as prepared_examples
from tasks.examples import prepared
from transfer.data import decoding
from transfer.data.decoding import to_example
from transfer.errors import UserError
from transfer.records import Preprocess, Row

PREPROCESS = Preprocess(resize_px=12, crop_px=10, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
PHOTOS = "data/photos"


@pytest.fixture
def rows(project: Path) -> list[Row]:
    """Make a project with eight photos of two classes, and return its rows."""
    for index in range(8):
        path = Path(PHOTOS, "ab"[index % 2], f"{index}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (14, 18, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    found = describe(Path(PHOTOS), list_images(Path(PHOTOS)).files)
    return [Row(entry.found.path, index // 4, "train", entry.content.sha256) for index, entry in enumerate(found)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the path of every file that is decoded from now on."""
    paths: list[str] = []
    load = prepared_examples.load_examples

    def spy(folder: Path, some: Sequence[Row], *rest: Any) -> Any:
        paths.extend(row.path for row in some)
        return load(folder, some, *rest)

    monkeypatch.setattr(prepared_examples, "load_examples", spy)
    return paths


def _expected(rows: Sequence[Row], preprocess: Preprocess = PREPROCESS) -> torch.Tensor:
    return torch.stack([to_example(Path(PHOTOS, row.path).read_bytes(), preprocess) for row in rows])


def test_examples_are_what_a_served_model_sees(rows: list[Row]) -> None:
    examples = prepared(PHOTOS, rows, PREPROCESS)
    assert torch.equal(examples.inputs, _expected(rows))
    assert examples.inputs.is_contiguous(memory_format=torch.channels_last)
    assert examples.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert examples.keys == tuple(row.sha256 for row in rows)


def test_a_file_is_decoded_once_for_all_stages(rows: list[Row], decoded: list[str]) -> None:
    expected = _expected(rows)
    prepared(PHOTOS, rows[:5], PREPROCESS)
    other_scale = replace(PREPROCESS, mean=(0.1, 0.2, 0.3), std=(0.4, 0.4, 0.4))
    assert torch.equal(prepared(PHOTOS, rows[::-1], other_scale).inputs, expected.flip(0))
    assert sorted(decoded) == sorted(row.path for row in rows)
    Path(PHOTOS, rows[0].path).unlink()  # what the manifest describes is known
    assert torch.equal(prepared(PHOTOS, rows, PREPROCESS).inputs, expected)
    assert len(decoded) == 8


@pytest.mark.parametrize("change", [{"crop_px": 9}, {"resize_px": 11}, {"interpolation": "bicubic"}])
def test_other_sizes_and_filters_are_decoded_anew(rows: list[Row], decoded: list[str], change: dict[str, Any]) -> None:
    prepared(PHOTOS, rows, PREPROCESS)
    other = replace(PREPROCESS, **change)
    assert torch.equal(prepared(PHOTOS, rows, other).inputs, _expected(rows, other))
    assert len(decoded) == 16


def test_another_decoder_decodes_anew(rows: list[Row], decoded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(PHOTOS, rows, PREPROCESS)
    monkeypatch.setattr(decoding, "DECODER_VERSION", decoding.DECODER_VERSION + 1)
    prepared(PHOTOS, rows, PREPROCESS)
    assert len(decoded) == 16


def test_a_file_that_has_to_be_read_must_be_the_one_described(rows: list[Row]) -> None:
    prepared(PHOTOS, rows[:4], PREPROCESS)
    Path(PHOTOS, rows[6].path).write_bytes(Path(PHOTOS, rows[0].path).read_bytes())
    with pytest.raises(UserError, match=r"has changed since the manifest was made"):
        prepared(PHOTOS, rows, PREPROCESS)
    Path(PHOTOS, rows[6].path).unlink()
    with pytest.raises(UserError, match=r"cannot be read"):
        prepared(PHOTOS, rows, PREPROCESS)


def test_without_a_cache_all_is_the_same(
    rows: list[Row], decoded: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOTSTOCK_CACHE_GB", "0")
    for _ in range(2):
        assert torch.equal(prepared(PHOTOS, rows, PREPROCESS).inputs, _expected(rows))
    assert (len(decoded), Path(".rootstock/cache").exists()) == (16, False)
    assert capsys.readouterr().out == ""


def test_a_cache_that_cannot_be_written_is_said_once(rows: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    Path(".rootstock").mkdir()
    Path(".rootstock/cache").write_text("a file where the folder should be")
    assert torch.equal(prepared(PHOTOS, rows, PREPROCESS).inputs, _expected(rows))
    assert capsys.readouterr().out.count("Note: Computed rows are not kept in") == 1


def test_no_rows_are_no_examples(project: Path) -> None:
    assert prepared(PHOTOS, [], PREPROCESS).inputs.shape == (0, 3, 10, 10)

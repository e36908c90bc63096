"""Features by row: computed once, decoded only where they are missing, by the executor that was remembered."""

import copy
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from adapters.json_files import sha256_of
from tasks import features as steps
from tasks.features import features_of
from transfer.backbones.backbone import Backbone
from transfer.backbones.build import build_backbone
from transfer.backbones.executors import BATCH_SIZE, FromPixels
from transfer.backbones.features import extract_features
from transfer.backbones.reference import BackboneReference
from transfer.records import Row

N_IMAGES = 23


@pytest.fixture
def rows(project: Path) -> list[Row]:
    """Return rows of noisy images in the project's folder `images`."""
    Path("images").mkdir()
    made = []
    for index in range(N_IMAGES):
        path = Path("images", f"{index:02d}.png")
        noise = np.random.default_rng(index).integers(0, 256, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(noise).save(path)
        made.append(Row(path.name, index % 2, "train", sha256_of(path)))
    return made


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of rows of every call that decodes."""
    counts: list[int] = []
    prepared = steps.prepared

    def counting(data_path: str, rows: Sequence[Row], *rest: Any) -> Any:
        counts.append(len(rows))
        return prepared(data_path, rows, *rest)

    monkeypatch.setattr(steps, "prepared", counting)
    return counts


def _backbone(reference: str = "rootstock/strokes@none", seed: int = 0) -> Backbone:
    return build_backbone(BackboneReference.parse(reference), None, seed=seed)


def _features(rows: Sequence[Row], backbone: Backbone | None = None, **keywords: Any) -> torch.Tensor:
    return features_of(backbone or _backbone(), None, "images", rows, "features", **keywords)


def test_features_are_those_of_the_backbone_in_the_order_of_the_rows(rows: list[Row]) -> None:
    backbone = _backbone()
    from tasks.examples import prepared

    expected = extract_features(backbone, prepared("images", rows, backbone.preprocess).inputs)
    torch.testing.assert_close(_features(rows, backbone), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(_features(rows[::-1]), _features(rows).flip(0))
    assert _features([]).shape == (0, backbone.feature_dim)


def test_only_missing_rows_are_decoded_and_bits_stay(rows: list[Row], decoded: list[int]) -> None:
    part = _features(rows[:9])
    assert decoded == [9]
    whole = _features(rows)
    assert decoded == [9, N_IMAGES - 9]
    assert torch.equal(whole[:9], part)
    assert torch.equal(_features(rows), whole)
    assert decoded == [9, N_IMAGES - 9]


def test_pixels_at_hand_are_used_when_features_are_missing(rows: list[Row], decoded: list[int]) -> None:
    expected = _features(rows[:5])
    asked = []

    def pixels() -> torch.Tensor:
        from tasks.examples import prepared

        asked.append(1)
        return prepared("images", rows, _backbone().preprocess).inputs

    assert torch.equal(_features(rows, pixels=pixels)[:5], expected)
    assert asked == [1]
    _features(rows, pixels=pixels)
    assert asked == [1]
    assert decoded == [5]


def test_other_weights_and_other_sizes_have_features_of_their_own(rows: list[Row]) -> None:
    first = _features(rows)
    other = _features(rows, _backbone(seed=1))
    assert not torch.allclose(first, other)
    assert torch.equal(_features(rows, _backbone(seed=1)), other)
    larger = _features(rows, _backbone("rootstock/strokes?crop_px=48@none"))
    assert not torch.allclose(first, larger)
    assert torch.equal(_features(rows), first)


def test_small_work_measures_nothing(rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    from transfer.backbones import trial

    monkeypatch.setattr(trial, "choose", None)
    _features(rows)
    assert not Path(".rootstock/executors.json").exists()


def test_other_work_changes_no_executor(rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    from transfer.backbones import trial

    monkeypatch.setenv("ROOTSTOCK_CACHE_GB", "0")
    small_work, first = trial.SMALL_WORK_FLOPS, _features(rows[:4])
    monkeypatch.setattr(trial, "SMALL_WORK_FLOPS", 0.0)
    _features(rows)
    _remember("onnxruntime")
    monkeypatch.setattr(trial, "SMALL_WORK_FLOPS", small_work)
    assert torch.equal(_features(rows[:4]), first)


def test_more_work_measures_once_and_remembers(
    rows: list[Row], decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfer.backbones import trial

    trials, choose = [], trial.choose

    def counting(*arguments: Any) -> Any:
        trials.append(arguments[2])
        return choose(*arguments)

    monkeypatch.setattr(trial, "choose", counting)
    monkeypatch.setattr(trial, "SMALL_WORK_FLOPS", 0.0)
    first = _features(rows)
    assert trials == [N_IMAGES]
    assert decoded == [BATCH_SIZE, N_IMAGES]
    _features(rows[:17], _backbone(seed=1))  # as much work, up to a power of two
    assert trials == [N_IMAGES]
    (entry,) = json.loads(Path(".rootstock/executors.json").read_text()).values()
    assert entry["found"]["measured"][0]["name"] == entry["found"]["executor"]
    torch.testing.assert_close(_features(rows), first)


def _remember(executor: str) -> None:
    """Change what the project remembers."""
    path = Path(".rootstock/executors.json")
    known = json.loads(path.read_text())
    for entry in known.values():
        entry["found"]["executor"] = executor
    path.write_text(json.dumps(known))


def test_a_remembered_executor_runs_without_a_trial(rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    from transfer.backbones import trial

    monkeypatch.setattr(trial, "SMALL_WORK_FLOPS", 0.0)
    chosen = _features(rows)
    monkeypatch.setattr(trial, "choose", None)
    for executor in ("eager", "onnxruntime"):
        _remember(executor)
        torch.testing.assert_close(_features(rows), chosen, rtol=1e-4, atol=1e-5)
    recipes = [json.loads(file.read_text()) for file in Path(".rootstock/cache").glob("*/recipe.json")]
    assert {"eager", "onnxruntime"} <= {recipe.get("executor") for recipe in recipes}


def test_an_executor_that_stopped_working_is_chosen_anew(rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    from transfer.backbones import trial

    monkeypatch.setattr(trial, "SMALL_WORK_FLOPS", 0.0)
    monkeypatch.setenv("ROOTSTOCK_CACHE_GB", "0")
    expected = _features(rows)
    _remember("onnxruntime")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    torch.testing.assert_close(_features(rows), expected, rtol=1e-4, atol=1e-5)
    assert '"executor": "onnxruntime"' not in Path(".rootstock/executors.json").read_text()


def test_other_rows_of_a_backbone_run_in_the_executor_that_is_ready(
    rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfer.backbones import executors, trial

    monkeypatch.setenv("ROOTSTOCK_CACHE_GB", "0")
    monkeypatch.setattr(trial, "SMALL_WORK_FLOPS", 0.0)
    made, prepare, backbone = [], executors.prepare, _backbone()
    monkeypatch.setattr(executors, "prepare", lambda name, *rest: made.append(name) or prepare(name, *rest))
    _features(rows[:8], backbone)
    _remember("folded")
    first, again = _features(rows[:8], backbone), _features(rows[:8], backbone)
    assert (made[-1], made.count("folded")) == ("folded", 1)
    with torch.no_grad():
        next(backbone.parameters()).mul_(0.5)
    changed = _features(rows[:8], backbone)
    assert torch.equal(first, again)
    assert made.count("folded") == 2
    torch.testing.assert_close(changed, _features(rows[:8], copy.deepcopy(backbone)))
    assert not torch.allclose(changed, first)


def test_without_a_cache_features_are_computed_each_time(
    rows: list[Row], decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOTSTOCK_CACHE_GB", "0")
    assert torch.equal(_features(rows), _features(rows))
    assert decoded == [N_IMAGES, N_IMAGES]


def test_a_frozen_part_is_made_ready_once_while_its_weights_stay(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    prefix_executor = steps.prefix_executor

    def counting(backbone: Backbone, network: Any, sample: Any, n_images: int) -> Any:
        asked.append(n_images)
        return prefix_executor(backbone, network, sample, n_images)

    monkeypatch.setattr(steps, "prefix_executor", counting)
    backbone = build_backbone(BackboneReference.parse("rootstock/strokes"), None, seed=0)
    network, pixels = FromPixels(backbone.trunk, backbone.preprocess), torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    execute = steps.PreparedOnce(backbone, 100)
    first, again = execute(network, pixels, 2), execute(FromPixels(backbone.trunk, backbone.preprocess), pixels, 50)
    assert first is again
    next(backbone.trunk.parameters()).data.add_(0.1)
    assert execute(network, pixels, 2) is not first
    assert asked == [100, 100]  # as much work as there may be, whatever is asked for

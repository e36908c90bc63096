"""The stage `select`: training rows only, every candidate scored on the same ones, the best first."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from adapters import image_files
from adapters.json_files import sha256_of, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from flows.select import rank_all
from tasks import manifest
from tasks import select as steps
from transfer.errors import UserError
from transfer.records import CandidateScore, Preprocess, Row

ROOT = Path(__file__).resolve().parents[2]


def _paint(n_images: dict[str, int]) -> None:
    """Write striped images, a class a direction, and the hand-offs of the stages before."""
    for place, (name, count) in enumerate(n_images.items()):
        folder = Path("data/digits") / name
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            noise = np.random.default_rng([place, index]).integers(0, 60, (32, 32, 3))
            stripes = np.indices((32, 32))[place % 2] // (place + 2) % 2 * 180
            Image.fromarray((noise + stripes[:, :, None]).astype(np.uint8)).save(folder / f"{index:03d}.png")
    manifest.describe()
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})


def _set(**values: Any) -> None:
    """Change values of the block `select` in params.yaml."""
    import yaml

    params = yaml.safe_load(Path("params.yaml").read_text())
    params["select"] |= values
    Path("params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture
def striped(project: Path) -> Path:
    """Return a project with two classes of 20 images, ready for `select`."""
    _paint({"across": 20, "down": 20})
    return project


def test_candidates_are_ranked_best_first_and_the_winner_explained(
    striped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = rank_all()
    ranking = json.loads(steps.RANKING.read_text())
    scores = [CandidateScore.from_plain(row) for row in ranking["candidates"]]
    assert {score.reference for score in scores} == {outcome.reference for outcome in outcomes}
    assert scores[0].level
    assert all(score.level or score.accuracy.value < scores[0].accuracy.value for score in scores)
    assert sum(score.probability_best for score in scores) == pytest.approx(1.0)
    assert all(score.accuracy.low <= score.accuracy.value <= score.accuracy.high for score in scores)
    assert ranking["winner"] == scores[0].reference
    assert ranking["why"] in capsys.readouterr().out
    assert ranking["pixel_baseline"]["reference"] == "raw pixels"
    assert ranking["made_from"] == {"manifest": sha256_of(MANIFEST), "quarantine": sha256_of(QUARANTINE)}
    digests = {score.reference: score.weights_sha256 for score in scores}
    assert digests["rootstock/strokes"] == sha256_of(ROOT / "backbones/strokes.safetensors")
    assert digests["rootstock/strokes@none"] is None
    assert {score.n_rows for score in scores} == {len(read_manifest().of_split("train"))}


def test_the_same_data_gives_the_same_bytes_and_no_time(striped: Path) -> None:
    rank_all()
    first = steps.RANKING.read_bytes()
    rank_all()
    assert steps.RANKING.read_bytes() == first
    assert b"second" not in first


def test_the_order_of_candidates_changes_no_score(striped: Path) -> None:
    rank_all()
    first = json.loads(steps.RANKING.read_text())
    _set(candidates=["rootstock/strokes@none", "rootstock/strokes"])
    rank_all()
    second = json.loads(steps.RANKING.read_text())
    assert first["pixel_baseline"] == second["pixel_baseline"]
    assert sorted(first["candidates"], key=str) == sorted(second["candidates"], key=str)


def _loaded_rows(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Row, ...], Preprocess]]:
    seen: list[tuple[tuple[Row, ...], Preprocess]] = []
    load = image_files.load_examples

    def spy(folder: Path, rows: Any, preprocess: Preprocess, advance: Callable[[int], None]) -> torch.Tensor:
        seen.append((tuple(rows), preprocess))
        return load(folder, rows, preprocess, advance)

    monkeypatch.setattr("tasks.examples.load_examples", spy)
    return seen


def test_training_rows_alone_are_opened_and_each_size_is_decoded_once(
    striped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _loaded_rows(monkeypatch)
    _set(candidates=["rootstock/strokes?crop_px=48@none", "rootstock/strokes", "rootstock/strokes@none"])
    rank_all()
    assert [preprocess.crop_px for _, preprocess in seen] == [32, 48]
    assert {row.split for rows, _ in seen for row in rows} == {"train"}


def test_each_candidate_sees_its_own_interpolation(striped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _loaded_rows(monkeypatch)
    own, other = "rootstock/strokes?crop_px=24&interpolation=bicubic@none", "rootstock/strokes?crop_px=24@none"
    _set(candidates=[own, other])
    rank_all()
    assert [(preprocess.crop_px, preprocess.interpolation) for _, preprocess in seen] == [
        (24, "bicubic"),
        (24, "bilinear"),
    ]


@pytest.mark.parametrize("max_rows", [2, 7, 20, 31])
def test_rows_are_limited_each_class_by_its_share(project: Path, max_rows: int) -> None:
    _paint({"a": 60, "b": 30, "c": 6})
    whole = steps.training_rows(10_000)
    assert whole == read_manifest().of_split("train")
    rows = steps.training_rows(max_rows)
    assert len(rows) == max_rows
    assert rows == steps.training_rows(max_rows)
    assert set(rows) < set(whole)
    if max_rows >= 7:
        counts = Counter(row.label for row in rows)
        assert min(counts.values()) >= 2
        assert counts[0] >= counts[1] >= counts[2]
        assert set(rows) < set(steps.training_rows(max_rows + 5))


@pytest.mark.parametrize(
    ("candidate", "sentence"),
    [
        ("rootstock/stroke", "rootstock has no architecture 'stroke'"),
        ("keras/resnet18", "known sources are torchvision, rootstock"),
    ],
)
def test_a_wrong_candidate_stops_the_stage_before_any_image_is_read(
    striped: Path, monkeypatch: pytest.MonkeyPatch, candidate: str, sentence: str
) -> None:
    seen = _loaded_rows(monkeypatch)
    _set(candidates=["rootstock/strokes", candidate])
    with pytest.raises(UserError, match=sentence):
        rank_all()
    assert seen == []
    assert not steps.RANKING.exists()


def test_no_candidates_are_refused(striped: Path) -> None:
    _set(candidates=[])
    with pytest.raises(UserError, match=r"select\.candidates"):
        rank_all()


def test_a_weights_file_other_than_the_recorded_one_is_refused(striped: Path) -> None:
    shutil.copyfile(ROOT / "backbones/strokes.safetensors", "own.safetensors")
    digest = sha256_of(Path("own.safetensors"))
    _set(candidates=["rootstock/strokes@own.safetensors"], weights_sha256={"own.safetensors": digest})
    rank_all()
    assert json.loads(steps.RANKING.read_text())["candidates"][0]["weights_sha256"] == digest
    _set(weights_sha256={"own.safetensors": "0" * 64})
    with pytest.raises(UserError, match=f"recorded sha256 000000000000.*found {digest[:12]}.*rootstock run select.can"):
        rank_all()


def test_the_ranking_is_refused_once_the_manifest_has_changed(striped: Path) -> None:
    rank_all()
    steps.read_ranking()
    MANIFEST.write_bytes(MANIFEST.read_bytes() + b" ")
    with pytest.raises(UserError, match="was made from another"):
        steps.read_ranking()


def test_the_picture_is_drawn_the_same_every_time(striped: Path) -> None:
    outcomes = rank_all()
    steps.draw(outcomes)
    first = steps.PICTURE.read_bytes()
    with Image.open(steps.PICTURE) as picture:
        assert picture.format == "PNG"
        assert picture.width > 600
    steps.draw(outcomes)
    assert steps.PICTURE.read_bytes() == first

"""Predictions: a class and probabilities for every file that can be read, a sentence for every other."""

import json
from pathlib import Path

import pytest
from PIL import Image

from adapters.model_files import save_model
from tasks import cli
from tasks.predict import classify
from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.card import ModelCard
from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "model"
    backbone = build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=0)
    classifier = Classifier(backbone, 3)
    save_model(folder, classifier, ModelCard.of(classifier, ("ant", "bee", "cat")))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    Image.new("RGB", (40, 50), (200, 10, 10)).save(folder / "a.png")
    Image.new("L", (64, 32), 7).save(folder / "deep" / "b.JPG", format="JPEG")
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    return folder


def test_every_file_of_a_folder_gets_probabilities(model: Path, photos: Path) -> None:
    predictions, unreadable = classify(str(model), [photos])
    assert [Path(prediction.path).name for prediction in predictions] == ["a.png", "b.JPG"]
    assert unreadable == []
    for prediction in predictions:
        assert set(prediction.probabilities) == {"ant", "bee", "cat"}
        assert sum(prediction.probabilities.values()) == pytest.approx(1.0)
        assert prediction.probabilities[prediction.class_name] == max(prediction.probabilities.values())


def test_a_file_gets_the_same_answer_alone(model: Path, photos: Path) -> None:
    together, _ = classify(str(model.parent), [photos])
    (alone,), _ = classify(str(model), [photos / "deep" / "b.JPG"])
    assert alone.probabilities == pytest.approx(together[1].probabilities, abs=1e-6)


def test_every_unreadable_file_is_named_after_the_others_were_printed(
    model: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.png").write_bytes(b"text")
    (photos / "deep" / "empty.jpg").touch()
    with pytest.raises(UserError, match=r"2 of 4 files are no readable images"):
        cli.predict(str(model), [photos], as_json=True)
    captured = capsys.readouterr()
    named = captured.err.strip().split("\n")
    assert [line.split(": ")[0] for line in named] == [str(photos / "broken.png"), str(photos / "deep" / "empty.jpg")]
    shown = json.loads(captured.out)
    assert [set(entry) for entry in shown] == [{"path", "class", "probabilities"}] * 2


def test_table_shows_path_class_and_probability(model: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.predict(str(model), [photos / "a.png"], as_json=False)
    shown = capsys.readouterr().out
    assert "a.png" in shown
    assert any(name in shown for name in ("ant", "bee", "cat"))


def test_what_is_not_there_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        classify(str(model), [tmp_path / "gone.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no file that can be classified"):
        classify(str(model), [tmp_path / "empty"])
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="holds no model"):
        classify(str(tmp_path / "empty"), [tmp_path / "a.png"])


def test_unknown_registered_model_is_refused(mlflow_project: Path, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"models:/nothing@champion cannot be opened .* nothing is registered here yet"):
        classify("models:/nothing@champion", [tmp_path / "a.png"])


def test_unknown_alias_or_version_names_what_there_is(mlflow_project: Path, model: Path, tmp_path: Path) -> None:
    from adapters.mlflow_store import open_client

    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    client = open_client(mlflow_project)
    client.create_registered_model("pets")
    client.create_model_version("pets", str(model))
    client.set_registered_model_alias("pets", "champion", "1")
    for unknown in ("models:/pets@loser", "models:/pets/7", "models:/dogs@champion"):
        with pytest.raises(UserError, match=rf"{unknown} cannot be opened .* there is models:/pets@champion\."):
            classify(unknown, [tmp_path / "a.png"])
    for known in ("models:/pets@champion", "models:/pets/1", "pets@champion", "pets/1"):
        assert len(classify(known, [tmp_path / "a.png"])[0]) == 1

"""Model URIs: every form that MLflow has is looked up in the project's store, and nowhere else."""

import os
from pathlib import Path

import pytest

from adapters.mlflow_registry import LOGGED_TAG, Release, register
from adapters.mlflow_runs import stage_run
from adapters.mlflow_store import as_default, open_client, registry_uri, tracking_uri
from adapters.model_files import CARD, WEIGHTS, save_model
from adapters.registered_models import model_folder
from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.card import ModelCard
from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Store two classifiers that differ in a class's name."""
    backbone = build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=0)
    folders = []
    for name in ("bee", "wasp"):
        folders.append(tmp_path_factory.mktemp("stored") / name)
        classifier = Classifier(backbone, 2)
        save_model(folders[-1], classifier, ModelCard.of(classifier, ("ant", name)))
    return folders[0], folders[1]


def add_version(project: Path, name: str, model: Path) -> None:
    client = open_client(project)
    client.create_registered_model(name)
    client.create_model_version(name, str(model))
    client.set_registered_model_alias(name, "champion", "1")


def last_class(folder: Path) -> str:
    assert (folder / WEIGHTS).is_file()
    return "wasp" if '"wasp"' in (folder / CARD).read_text(encoding="utf-8") else "bee"


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_every_form_finds_the_model_and_leaves_nothing(mlflow_project: Path, models: tuple[Path, Path]) -> None:
    for model in (*models, models[0]):  # version 1, version 2, and the alias back to version 1
        with stage_run("register") as run:
            register(mlflow_project, Release("insects", "champion", model, "", {}, {}), run)
    version, before = open_client(mlflow_project).get_model_version("insects", "2"), names_in(mlflow_project)
    found = {
        uri: last_class(model_folder(uri))
        for uri in (
            "models:/insects@champion",
            "models:/insects/1",
            "models:/insects@champion/artifacts",
            "models:/insects/2",
            "models:/insects/latest",
            f"models:/{version.tags[LOGGED_TAG]}",
            f"runs:/{version.run_id}/classifier",
            f"file://{version.source}",
        )
    }
    assert [*found.values()] == ["bee"] * 3 + ["wasp"] * 5, found
    assert names_in(mlflow_project) == before


def test_what_is_not_there_names_what_is_and_leaves_nothing(mlflow_project: Path, models: tuple[Path, Path]) -> None:
    add_version(mlflow_project, "insects", models[0])
    before = names_in(mlflow_project)
    for uri in ("insects/3", "bees/latest", "m-0", "x@y@z", "insects/Production", ""):
        with pytest.raises(UserError, match=r"cannot be opened .* there is models:/insects@champion\."):
            model_folder(f"models:/{uri}")
    with pytest.raises(UserError, match=r"runs:/0/classifier cannot be opened"):
        model_folder("runs:/0/classifier")
    assert names_in(mlflow_project) == before


def test_names_that_were_registered_by_other_means_are_found(mlflow_project: Path, models: tuple[Path, Path]) -> None:
    for name in ("bees@home", "what?", "a#b", "ants & bees"):
        add_version(mlflow_project, name, models[1])
        for ending in ("@champion", "/1", "/latest"):
            assert last_class(model_folder(f"models:/{name}{ending}")) == "wasp"


def test_the_environment_is_as_before(mlflow_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:////elsewhere.db")
    with as_default(mlflow_project):
        assert os.environ["MLFLOW_TRACKING_URI"] == tracking_uri(mlflow_project)
        assert os.environ["MLFLOW_REGISTRY_URI"] == registry_uri(mlflow_project) == "sqlite:////elsewhere.db"
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert os.environ["MLFLOW_REGISTRY_URI"] == "sqlite:////elsewhere.db"

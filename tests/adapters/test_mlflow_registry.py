"""A model has one version however often it is registered; the alias and the files follow what artifacts say."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters import mlflow_aliases
from adapters.mlflow_aliases import MODEL_TAG, aliased, missing
from adapters.mlflow_registry import Release, describe_version, mend, register
from adapters.mlflow_runs import stage_run
from adapters.mlflow_store import open_client
from adapters.model_files import WEIGHTS, save_model
from adapters.model_names import check_name, clean_name
from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.card import ModelCard
from transfer.backbones.reference import BackboneReference
from transfer.errors import EnvironmentFault, UserError

NAME, ALIAS = "digits", "champion"


def release_of(folder: Path, seed: int = 0, classes: tuple[str, ...] = ("ant", "bee"), name: str = NAME) -> Release:
    classifier = Classifier(
        build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=0), len(classes)
    )
    torch.nn.init.constant_(classifier.head.bias, float(seed))
    save_model(folder, classifier, ModelCard.of(classifier, classes))
    return Release(name, ALIAS, folder, "Half right.", {"verdict": "It helped."}, {"accuracy": 0.5, "n_test": 10})


def registered(project: Path, release: Release) -> str:
    with stage_run("register") as run:
        return register(project, release, run)


def lacking(project: Path, release: Release) -> list[str]:
    return missing(project, release.name, release.alias, release.identity, release.model / WEIGHTS)


def test_version_says_what_it_is(mlflow_project: Path, tmp_path: Path) -> None:
    release = release_of(tmp_path / "model")
    assert lacking(mlflow_project, release) == ["digits@champion was not in the registry"]
    assert registered(mlflow_project, release) == "1"
    version = open_client().get_model_version_by_alias(NAME, ALIAS)
    assert (str(version.version), version.description, version.status) == ("1", "Half right.", "READY")
    assert version.tags["verdict"] == "It helped."
    assert version.tags[MODEL_TAG] == release.identity[MODEL_TAG]
    run = open_client().get_run(version.run_id)
    assert run.data.metrics == {"accuracy": 0.5, "n_test": 10.0}
    assert lacking(mlflow_project, release) == []


@pytest.mark.parametrize("n_lines", [3, 400])
def test_a_description_fits_and_says_where_it_goes_on(mlflow_project: Path, tmp_path: Path, n_lines: int) -> None:
    number = registered(mlflow_project, release_of(tmp_path / "model"))
    text = "".join(f"- line {place:04} of a card\n" for place in range(n_lines))
    describe_version(mlflow_project, NAME, number, text)
    described = open_client().get_model_version(NAME, number).description
    assert len(described) <= 5000
    if n_lines == 3:
        assert described == text
    else:
        head, _, note = described.partition("\n\n... ")
        assert text.startswith(head + "\n")
        assert "model_card.md" in note


def test_same_model_is_the_same_version(mlflow_project: Path, tmp_path: Path) -> None:
    release = release_of(tmp_path / "model")
    assert [registered(mlflow_project, release) for _ in range(2)] == ["1", "1"]
    assert registered(mlflow_project, release_of(tmp_path / "renamed", classes=("ant", "wasp"))) == "2"
    assert len(open_client().search_model_versions(f"name='{NAME}'")) == 2


def test_model_of_changed_code_is_another_version(
    mlflow_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = release_of(tmp_path / "model")
    assert registered(mlflow_project, release) == "1"
    monkeypatch.setattr("adapters.mlflow_registry.code_digest", lambda: "0" * 64)
    assert mend(mlflow_project, release) == ""
    assert registered(mlflow_project, release) == "2"


def test_alias_follows_a_b_a(mlflow_project: Path, tmp_path: Path) -> None:
    first, second = release_of(tmp_path / "a", 1), release_of(tmp_path / "b", 2)
    assert [registered(mlflow_project, one) for one in (first, second, first)] == ["1", "2", "1"]
    assert lacking(mlflow_project, second) == ["digits@champion was version 1, another model"]
    assert "now digits@champion is version 2" in mend(mlflow_project, second)
    assert mend(mlflow_project, second) == ""
    assert str(open_client().get_model_version_by_alias(NAME, ALIAS).version) == "2"


def interrupt_at(monkeypatch: pytest.MonkeyPatch, target: str, project: Path, release: Release) -> None:
    """Register a release, but press Ctrl-C where `target` would be called."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(target, interrupt)
        with pytest.raises(KeyboardInterrupt):
            registered(project, release)


def test_interrupted_before_the_alias_is_taken_up(
    mlflow_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = release_of(tmp_path / "model")
    interrupt_at(monkeypatch, "mlflow.MlflowClient.set_registered_model_alias", mlflow_project, release)
    assert lacking(mlflow_project, release) == ["digits@champion was not in the registry"]
    assert registered(mlflow_project, release) == "1"
    assert lacking(mlflow_project, release) == []


def test_interrupted_while_packing_leaves_no_version(
    mlflow_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = release_of(tmp_path / "model")
    interrupt_at(monkeypatch, "adapters.mlflow_registry.package", mlflow_project, release)
    client = open_client()
    assert client.search_model_versions() == []
    assert list(client.search_logged_models([client.get_experiment_by_name("digits").experiment_id])) == []


def test_files_of_a_version_are_put_back(mlflow_project: Path, tmp_path: Path) -> None:
    release = release_of(tmp_path / "model")
    registered(mlflow_project, release)
    found = aliased(mlflow_project, NAME, ALIAS)
    assert found is not None
    shutil.rmtree(found.location)
    assert lacking(mlflow_project, release) == ["the files of digits version 1 were gone"]
    assert "version 1" in mend(mlflow_project, release)
    assert lacking(mlflow_project, release) == []
    assert (Path(found.location) / "serving_model.py").is_file()


def test_repair_of_a_lost_version_belongs_to_a_run(mlflow_project: Path, tmp_path: Path) -> None:
    release = release_of(tmp_path / "model")
    assert "was not in the registry" in mend(mlflow_project, release)
    version = open_client().get_model_version_by_alias(NAME, ALIAS)
    assert open_client().get_run(version.run_id).info.run_name == "register"


def test_database_is_read_as_mlflow_reads_it(
    mlflow_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(mlflow_project, release_of(tmp_path / "a", 1))
    registered(mlflow_project, release_of(tmp_path / "b", 2))
    read = (
        aliased(mlflow_project, NAME, ALIAS),
        aliased(mlflow_project, NAME, "nobody"),
        aliased(mlflow_project, "x", ALIAS),
    )
    monkeypatch.setattr(mlflow_aliases, "_by_query", _refuse)
    asked = (
        aliased(mlflow_project, NAME, ALIAS),
        aliased(mlflow_project, NAME, "nobody"),
        aliased(mlflow_project, "x", ALIAS),
    )
    assert read == asked
    assert read[0] is not None


def test_damaged_database_is_named(mlflow_project: Path) -> None:
    (mlflow_project / "mlruns" / "mlflow.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(EnvironmentFault, match=r"mlflow\.db failed"):
        aliased(mlflow_project, NAME, ALIAS)


def test_deleted_store_is_noticed_without_mlflow(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_aliases, "_by_client", _refuse)
    assert aliased(project, NAME, ALIAS) is None


@pytest.mark.parametrize("name", ["a/b", "a:b", "photos.v2", "100%", "a@b", "what?", " "])
def test_name_that_cannot_be_registered_is_refused(mlflow_project: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"register\.model_name="):
        register(mlflow_project, release_of(tmp_path / "model", name=name))
    check_name(clean_name(name))


@pytest.mark.parametrize("name", ["ants & bees", "it's", 'say "x"', "ümläut"])
def test_unusual_names_are_registered(mlflow_project: Path, tmp_path: Path, name: str) -> None:
    release = release_of(tmp_path / "model", name=name)
    assert [registered(mlflow_project, release) for _ in range(2)] == ["1", "1"]
    assert lacking(mlflow_project, release) == []


@pytest.mark.slow
def test_two_processes_make_one_version(mlflow_project: Path, tmp_path: Path) -> None:
    release_of(tmp_path / "model")
    code = (
        "from pathlib import Path\n"
        "from adapters.mlflow_registry import Release, register\n"
        f"print(register(Path.cwd(), Release('digits', 'champion', Path({str(tmp_path / 'model')!r}), '', {{}}, {{}})))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], cwd=mlflow_project, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[0].strip() for process in both] == ["1", "1"]
    assert len(open_client().search_model_versions()) == 1


def _refuse(*_: Any) -> None:
    raise sqlite3.DatabaseError("asked the wrong way")

"""The stage `register` and the repair of the registry, on artifacts as the earlier stages leave them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adapters.json_files import read_json, write_json, write_plain_json
from adapters.mlflow_aliases import aliased
from adapters.mlflow_store import open_client
from adapters.promotion_ledger import LEDGER, read_ledger
from tasks import registry_care
from tasks.failures import HaltedError
from tasks.handoffs import MODEL, REGISTRATION, VERDICT
from tasks.register import check, publish
from tests.tasks.left_artifacts import champion, compare, leave_artifacts, set_param
from transfer.errors import UserError


def test_model_gets_a_version_an_alias_and_a_record(mlflow_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave_artifacts()
    check()
    publish()
    record = read_json(REGISTRATION, made_from={"verdict": VERDICT, "weights": MODEL / "model.safetensors"})
    assert (record["name"], record["model_version"], record["alias"]) == ("digits", "1", "challenger")
    assert record["model_sha256"] == json.loads((MODEL / "card.json").read_text())["sha256"]
    assert capsys.readouterr().out == (
        "digits version 1: Promoted: there was no champion, and every criterion is kept.\n"
    )
    assert champion() == champion("challenger") == "1"
    version = open_client().get_model_version("digits", "1")
    assert version.tags["accuracy"] == "0.9000 (0.8000 to 0.9500)"
    assert version.tags["backbone"] == "rootstock/strokes@none"
    assert "It helped." in version.description
    assert "2 classes: ant, bee" in version.description


def test_name_is_that_of_the_parameters(mlflow_project: Path) -> None:
    leave_artifacts()
    set_param("model_name: null", "model_name: insects")
    publish()
    assert str(open_client().get_model_version_by_alias("insects", "champion").version) == "1"


def test_data_set_whose_name_cannot_be_registered_gets_a_near_one(mlflow_project: Path) -> None:
    leave_artifacts()
    set_param("path: data/digits", "path: ../photos.v2")
    publish()
    assert read_json(REGISTRATION)["name"] == "photos-v2"


def test_verdict_of_another_model_is_refused(mlflow_project: Path) -> None:
    leave_artifacts(0)
    verdict = VERDICT.read_text()
    leave_artifacts(1)
    VERDICT.write_text(verdict)
    with pytest.raises(UserError, match=r"verdict\.json was made from another"):
        check()
    assert not REGISTRATION.exists()


def test_restored_artifacts_are_the_challenger_again_and_leave_the_champion(mlflow_project: Path) -> None:
    for seed in (0, 1):
        leave_artifacts(seed)
        compare((20, 2, 40))
        publish()
        shutil.copytree("artifacts", f"kept{seed}")
    shutil.rmtree("artifacts")
    shutil.copytree("kept0", "artifacts")
    assert (champion(), champion("challenger")) == ("2", "2")
    assert registry_care.mend(mlflow_project) == (
        "digits@challenger was version 2, another model; "
        "now digits@challenger is version 1 with the model of artifacts/"
    )
    assert (champion(), champion("challenger")) == ("2", "1")
    assert registry_care.mend(mlflow_project) == ""


def test_whole_registry_is_left_alone(mlflow_project: Path) -> None:
    leave_artifacts()
    assert registry_care.mend(mlflow_project) == ""
    publish()
    leave_artifacts(1)
    assert registry_care.mend(mlflow_project) == "", (
        "a newer model that was not registered yet is the stage's to register"
    )
    assert champion() == "1"


@pytest.mark.slow
def test_deleted_store_is_made_again(mlflow_project: Path) -> None:
    leave_artifacts()
    publish()
    shutil.rmtree("mlruns")
    code = "from pathlib import Path\nfrom tasks import registry_care\nprint(registry_care.mend(Path.cwd()))"
    settings = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "ROOTSTOCK_"))}
    for expected in ("digits@challenger was not in the registry; now digits@challenger is version 1", ""):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, check=False, env=settings, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.strip().startswith(expected)
        assert expected or not done.stdout.strip()


def leave_artifacts_of(reference: str) -> None:
    leave_artifacts()
    card = json.loads((MODEL / "card.json").read_text())
    write_plain_json(MODEL / "card.json", {**card, "reference": reference})
    compare()


def tags() -> dict[str, str]:
    return dict(open_client().get_model_version_by_alias("digits", "champion").tags)


def test_a_licence_that_nobody_knows_is_refused_before_anything_is_registered(mlflow_project: Path) -> None:
    Path("mine.pth").write_bytes(b"weights")
    leave_artifacts_of("rootstock/strokes@mine.pth")
    with pytest.raises(UserError) as caught:
        check()
    for words in ("licence and origin", "backbones declare rootstock/strokes@mine.pth", "allow_unknown_licence=true"):
        assert words in str(caught.value)
    with pytest.raises(UserError, match="is not registered"):
        publish()
    assert open_client().search_registered_models() == []
    assert not REGISTRATION.exists()


def test_an_unknown_licence_that_is_allowed_is_recorded(mlflow_project: Path) -> None:
    leave_artifacts_of("rootstock/strokes@mine.pth")
    set_param("allow_unknown_licence: false", "allow_unknown_licence: true")
    publish()
    assert tags()["weights_unknown"] == "licence and origin, allowed by register.allow_unknown_licence"
    assert tags()["weights_licence"] == "unknown"


def test_a_declared_licence_is_recorded_and_survives_a_repair(mlflow_project: Path) -> None:
    Path("mine.pth").write_bytes(b"weights")
    Path("mine.pth.card.json").write_text('{"licence": "MIT", "origin": "https://example.invalid"}')
    leave_artifacts_of("rootstock/strokes@mine.pth")
    publish()
    assert (tags()["weights_licence"], tags()["weights_origin"]) == ("MIT", "https://example.invalid")
    assert "weights_unknown" not in tags()
    Path("mine.pth.card.json").unlink()
    open_client().delete_model_version("digits", "1")
    assert registry_care.mend(mlflow_project).endswith("digits@champion is version 2 again")
    assert tags()["weights_licence"] == "MIT"


def test_a_version_says_what_made_it(mlflow_project: Path) -> None:
    leave_artifacts()
    publish()
    assert {"git_commit", "git_dirty", "params_sha256", "environment", "data_digest", "backbone", "code_sha256"} <= set(
        tags()
    )
    assert (tags()["git_commit"], tags()["git_dirty"]) == ("none", "true")
    assert json.loads(tags()["metrics"])["accuracy"] == 0.9
    assert tags()["verdict_kind"] == "inconclusive"
    assert f"torch {torch.__version__.partition('+')[0]}" in tags()["environment"]
    assert (tags()["gate"], tags()["gate_against"]) == ("promote", "none")
    first = tags()["params_sha256"]
    leave_artifacts(1)
    set_param("margin: 0.01", "margin: 0.02")
    publish()
    assert open_client().get_model_version("digits", "2").tags["params_sha256"] != first


def test_registering_again_changes_nothing(mlflow_project: Path) -> None:
    leave_artifacts()
    publish()
    before = tags()
    publish()
    assert read_json(REGISTRATION)["promotion"]["outcome"] == "keep"
    assert tags() == before
    assert len(read_ledger(mlflow_project).lines) == 1


def test_the_champions_model_with_new_code_takes_its_place(
    mlflow_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_artifacts()
    publish()
    monkeypatch.setattr("adapters.mlflow_registry.code_digest", lambda: "0" * 64)
    compare()
    publish()
    assert champion() == "2"
    assert read_ledger(mlflow_project).lines[-1].why == "Promoted: it is the champion's model, with the code of today."


def test_an_alias_that_a_person_took_away_stays_away(mlflow_project: Path) -> None:
    leave_artifacts()
    publish()
    open_client().delete_registered_model_alias("digits", "champion")
    assert registry_care.mend(mlflow_project) == (
        "digits@champion was moved from version 1 to no version without Rootstock, which the ledger says now"
    )
    assert registry_care.mend(mlflow_project) == ""
    assert aliased(mlflow_project, "digits", "champion") is None


def test_a_registration_from_a_time_before_the_gate_is_mended_without_a_champion(mlflow_project: Path) -> None:
    leave_artifacts()
    publish()
    record = json.loads(REGISTRATION.read_text(encoding="utf-8"))
    del record["promotion"]
    write_plain_json(REGISTRATION, record)
    (mlflow_project / LEDGER).unlink()
    open_client().delete_model_version("digits", "1")
    assert registry_care.mend(mlflow_project).endswith("digits@challenger is version 2 with the model of artifacts/")
    assert aliased(mlflow_project, "digits", "champion") is None


@pytest.mark.parametrize("word", ["warn", "stop", "mitigate"])
def test_a_negative_verdict_stops_before_anything_is_registered_where_that_is_asked_for(
    mlflow_project: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_artifacts()
    negative = {"sentence": "Transfer hurt.", "verdict": "negative"}
    write_json(VERDICT, negative, {"transfer": MODEL / "model.safetensors"})
    set_param("on_negative: warn ", f"on_negative: {word} ")
    if word == "stop":
        with pytest.raises(HaltedError, match=r"Transfer hurt\. Nothing is registered") as caught:
            check()
        assert caught.value.exit_code == 3
    else:
        check()
        assert ("`rootstock run` climbs" in capsys.readouterr().out) == (word == "mitigate")

"""A run's settings are complete: nothing is left for an earlier run to decide."""

import shutil
from pathlib import Path

import pytest

from tasks import pipeline_settings
from tasks.params import Params, flatten, read_params
from transfer.errors import UserError

DIGEST = "0" * 64


def edit(project: Path, old: str, new: str) -> None:
    path = project / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_complete_names_every_parameter(project: Path) -> None:
    edit(project, "epochs: 10", "epochs: 7")
    settings = pipeline_settings.complete(project, {"finetune.seed": 3})
    assert settings.keys() == flatten(Params()).keys()
    assert (settings["finetune.epochs"], settings["finetune.seed"]) == (7, 3)


def test_records_of_candidates_named_anew_are_left_out(project: Path) -> None:
    settings = pipeline_settings.complete(project, {"select.candidates": ["rootstock/strokes"]})
    assert "select.weights_sha256" not in settings


def test_no_settings_keep_the_file(project: Path) -> None:
    edit(project, "epochs: 10", "epochs: 7")
    before = (project / "params.yaml").read_bytes()
    assert pipeline_settings.apply(project, None, None) == {}
    assert (project / "params.yaml").read_bytes() == before


def test_settings_leave_nothing_to_the_run_before(project: Path) -> None:
    pipeline_settings.apply(project, None, {"finetune.epochs": 3, "finetune.seed": 5})
    pipeline_settings.apply(project, None, {"finetune.epochs": 4})
    assert (read_params().finetune.epochs, read_params().finetune.seed) == (4, 0)
    assert "# passes over the training rows" in (project / "params.yaml").read_text(encoding="utf-8")


def test_data_path_outranks_the_settings(project: Path) -> None:
    for name in ("one", "two"):
        (project / name).mkdir()
    assert pipeline_settings.apply(project, "one", {"data.path": "two"}) == {"data.path": "one"}
    assert read_params().data.path == "one"


def test_a_run_without_a_data_set_keeps_the_one_there(project: Path) -> None:
    (project / "one").mkdir()
    pipeline_settings.apply(project, "one", {})
    pipeline_settings.apply(project, None, {})
    assert read_params().data.path == "one"


@pytest.mark.parametrize(
    ("data_path", "settings", "words"),
    [
        ("../nowhere", {}, "there is no such folder"),
        (None, {"data.path": "../nowhere"}, "there is no such folder"),
        (None, {"finetune.epoch": 3}, "there is no parameter 'finetune.epoch'"),
        (None, {"finetune.epochs": 0}, "must be an integer of at least 1"),
        (None, {"select.candidates": []}, "must be a list of one or more"),
    ],
)
def test_refused_settings_change_nothing(
    project: Path, data_path: str | None, settings: dict[str, object], words: str
) -> None:
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(UserError, match=words):
        pipeline_settings.apply(project, data_path, settings)
    assert (project / "params.yaml").read_bytes() == before


def test_weights_file_of_a_deployment_must_be_the_pinned_one(project: Path, root: Path) -> None:
    shutil.copyfile(root / "backbones/strokes.safetensors", project / "w.safetensors")
    named = {"select.candidates": ["rootstock/strokes@w.safetensors"]}
    with pytest.raises(UserError, match=r"w\.safetensors is not the weights file that was recorded"):
        pipeline_settings.apply(project, None, {**named, "select.weights_sha256": {"w.safetensors": DIGEST}})
    assert "select.weights_sha256" in pipeline_settings.apply(project, None, named)


def test_a_deployment_may_name_a_table_and_then_other_data(project: Path) -> None:
    folder = project / "data/photos"
    (folder / "a").mkdir(parents=True)
    (folder / "labels.csv").write_text("path,kind\n", encoding="utf-8")
    pipeline_settings.apply(project, "data/photos/labels.csv", {"data.label": "kind"})
    data = read_params().data
    assert (data.path, data.table, data.label) == ("data/photos", "labels.csv", "kind")
    pipeline_settings.apply(project, "data/photos", {"finetune.epochs": 3})
    assert read_params().data == data
    pipeline_settings.apply(project, "data/digits", None)
    data = read_params().data
    assert (data.path, data.table, data.label) == ("data/digits", None, None)

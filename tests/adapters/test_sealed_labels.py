"""Test labels are sealed; who opens them leaves a line first, and no stage but `evaluate` opens them."""

import json
from pathlib import Path

import pytest

from adapters.json_files import write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, SEALED, Header, read_manifest, write_manifest
from adapters.mlflow_runs import stage_run
from adapters.sealed_labels import HEAD_TAG, LOOKS, Look, cut_off, digest_of, head, looks_at, open_labels, read_looks
from transfer.errors import EnvironmentFault, RootstockError, UserError
from transfer.records import Row


def _describe(tests: dict[str, int]) -> tuple[Row, ...]:
    """Write a manifest of one training row and of test rows, name -> label; return these as they are read."""
    rows = [("t", 0, "train"), *((name, label, "test") for name, label in tests.items())]
    known = [
        {
            "path": f"{name}.png", "class_name": "ab"[label], "label": label, "split": split, "group": "",
            "sha256": (name * 64)[:64], "readable": True, "problem": "", "n_bytes": 1,
        }
        for name, label, split in rows
    ]  # fmt: skip
    write_manifest(MANIFEST, known, {}, Header(("a", "b"), {}, ()))
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
    return read_manifest().of_split("test")


@pytest.fixture
def sealed(project: Path) -> tuple[Row, ...]:
    return _describe({"1": 0, "2": 1, "3": 1})


def test_labels_of_test_rows_are_sealed_until_they_are_opened(project: Path, sealed: tuple[Row, ...]) -> None:
    assert [row.label for row in sealed] == [SEALED] * 3
    assert read_manifest().of_split("train")[0].label == 0
    opened = open_labels(project, sealed[::-1], "a test", "m1")
    assert [(row.path, row.label) for row in opened] == [("3.png", 1), ("2.png", 1), ("1.png", 0)]


def test_a_look_is_a_line_that_says_who_asked_what(project: Path, sealed: tuple[Row, ...]) -> None:
    opened = open_labels(project, sealed, "how good it is", "m1")
    (line,) = read_looks(project).lines
    assert (line.why, line.model_sha256, line.stage, line.chosen, line.n_rows) == ("how good it is", "m1", "", True, 3)
    assert line.test_set == digest_of(opened) == digest_of(opened[::-1])
    assert line.time.endswith("+00:00")


@pytest.mark.parametrize("stage", ["finetune", "select", "reference", "register"])
def test_a_look_outside_evaluate_fails(
    project: Path, sealed: tuple[Row, ...], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setenv("ROOTSTOCK_STAGE", stage)
    with pytest.raises(RootstockError, match=f"The stage {stage} asked for the labels of the test images") as raised:
        open_labels(project, sealed, "to choose by", "m1")
    assert raised.value.exit_code == 1
    assert not (project / LOOKS).exists()
    monkeypatch.setenv("ROOTSTOCK_STAGE", "evaluate")
    open_labels(project, sealed, "to measure", "m1")
    assert [line.stage for line in read_looks(project).lines] == ["evaluate"]


def test_where_the_look_cannot_be_written_nothing_is_opened(project: Path, sealed: tuple[Row, ...]) -> None:
    (project / LOOKS).mkdir(parents=True)
    with pytest.raises(EnvironmentFault, match=r"looks\.jsonl cannot be written"):
        open_labels(project, sealed, "a test", "m1")


def test_a_folder_that_cannot_be_made_is_the_machines_fault(project: Path, sealed: tuple[Row, ...]) -> None:
    (project / "mlruns").mkdir(exist_ok=True)
    (project / "mlruns/test_sets").write_text("a file")
    with pytest.raises(EnvironmentFault, match="A look at test labels cannot be written down"):
        open_labels(project, sealed, "a test", "m1")


def test_lines_that_were_cut_off_are_missed_by_what_mlflow_knows(mlflow_project: Path) -> None:
    tests = _describe({"1": 0, "2": 1})
    for model in ("m1", "m2"):
        open_labels(mlflow_project, tests, "a test", model)
        with stage_run("evaluate") as run:
            run.tags({HEAD_TAG: head(mlflow_project)})
    assert cut_off(mlflow_project) == []
    whole = (mlflow_project / LOOKS).read_text().splitlines(keepends=True)
    (mlflow_project / LOOKS).write_text(whole[0])
    assert read_looks(mlflow_project).problems == ()
    (problem,) = cut_off(mlflow_project)
    assert problem.startswith("the last lines of mlruns/looks.jsonl are gone: 1 runs in MLflow")
    (mlflow_project / LOOKS).unlink()
    assert len(cut_off(mlflow_project)) == 1


def test_no_rows_are_no_look(project: Path, sealed: tuple[Row, ...]) -> None:
    with pytest.raises(UserError, match="no test images to look at"):
        open_labels(project, (), "a test", "m1")


def test_looks_at_the_same_images_are_counted_and_those_at_others_are_not(project: Path) -> None:
    many = {chr(97 + place): place % 2 for place in range(20)}
    for model in ("m1", "m1", "m2"):
        open_labels(project, _describe(many), "a test", model)
    assert [line.model_sha256 for line in looks_at(project, _describe(many))] == ["m1", "m1", "m2"]
    assert len(looks_at(project, _describe({**many, "z": 0}))) == 3, "one image more is not another test set"
    others = {chr(65 + place): 0 for place in range(20)}
    assert looks_at(project, _describe(others)) == ()
    assert len(looks_at(project, _describe(others | {"a": 0, "b": 1}))) == 0, "fewer than a tenth of them are known"
    assert len(looks_at(project, _describe(others | {"a": 0, "b": 1, "c": 0}))) == 3
    for held in (project / "mlruns/test_sets").iterdir():
        held.unlink()
    assert len(looks_at(project, _describe(others))) == 3, "nobody can tell that it shared none"


def test_another_label_is_another_test_set(project: Path) -> None:
    sets = [digest_of(open_labels(project, _describe({"1": 0, "2": label}), "a test", "m")) for label in (0, 1)]
    assert sets[0] != sets[1]


def test_an_altered_line_is_found(project: Path, sealed: tuple[Row, ...]) -> None:
    for model in ("m1", "m2", "m3"):
        open_labels(project, sealed, "a test", model)
    whole = (project / LOOKS).read_text().splitlines(keepends=True)
    (project / LOOKS).write_text(whole[0] + whole[2])
    assert read_looks(project).problems == (
        f"line 2 of {LOOKS} does not follow the line before it: lines were altered, removed or put in",
    )
    changed = json.loads(whole[1]) | {"model_sha256": "m1"}
    (project / LOOKS).write_text(whole[0] + json.dumps(changed) + "\n" + whole[2])
    looks = read_looks(project)
    assert looks.problems == (f"line 2 of {LOOKS} was altered: its hash is not that of its words",)
    assert all(isinstance(line, Look) for line in looks.lines)

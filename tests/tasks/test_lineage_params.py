"""The parameters of a version: those that its model was made with, whatever its run began with or how it shows them."""

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from adapters import environment
from adapters.mlflow_runs import FINISHED, finish_parent, start_parent
from adapters.mlflow_store import open_client
from tasks.overrides import write_overrides
from tasks.params import flatten, read_params
from tasks.register import publish
from tests.tasks.left_artifacts import compare, leave_artifacts, set_param
from tests.tasks.left_versions import SECOND, publish_from, told


def test_parameters_are_those_of_the_kept_file_whatever_the_run_says(published: Path) -> None:
    before = told("digits")
    assert before["params", "values"].note == ""
    with contextlib.closing(sqlite3.connect("mlruns/mlflow.db")) as connection, connection:
        connection.execute("update params set value = '99' where key = 'finetune.epochs'")
    after = told("digits")
    assert after["params", "values"].note == "the run says otherwise: finetune.epochs 99"
    assert after["params", "values"].value == before["params", "values"].value
    assert after["params", "sha256"] == before["params", "sha256"]


def test_a_climbed_version_tells_the_parameters_that_stand(published: Path) -> None:
    run_id = start_parent("climbed", "climbed", flatten(read_params()))
    environment.put(environment.PARENT_RUN, run_id)
    try:
        write_overrides(published, {"finetune.l2_sp": 0.25})
        publish_from(SECOND, 4)
    finally:
        environment.drop(environment.PARENT_RUN)
    finish_parent(run_id, FINISHED)
    found = told("digits/4")
    assert found["params", "values"].value["finetune.l2_sp"] == 0.25
    assert found["params", "values"].value == flatten(read_params())
    assert found["params", "sha256"].note == f"the digest of the {len(flatten(read_params()))} values"
    assert found["params", "values"].note.startswith("the run says otherwise: finetune.l2_sp ")


LONG = {f"weights/{place}.pth": "0" * 64 for place in range(100)}


@pytest.mark.parametrize(
    ("line", "changed", "name"),
    [
        ("model_name: null", 'model_name: "2024"', "2024"),
        ("  weight_decay: 0.05\n", "", "digits"),
        ("weights_sha256: {}", f"weights_sha256: {json.dumps(LONG)}", "digits"),
    ],
)
def test_no_parameter_is_told_otherwise_for_how_a_run_shows_it(
    published: Path, line: str, changed: str, name: str
) -> None:
    set_param(line, changed)
    leave_artifacts(4)
    compare((20, 2, 40), model=name, **({} if name == "digits" else {"champion": None}))
    publish()
    found = told(f"{name}@challenger")
    assert found["params", "values"].note == ""
    assert found["params", "values"].value == flatten(read_params())
    assert found["params", "sha256"].note == f"the digest of the {len(flatten(read_params()))} values"


def test_values_without_a_kept_file_are_the_texts_of_the_run(published: Path) -> None:
    open_client().set_model_version_tag("digits", "3", "origin_files", "{}")
    assert told("digits/3")["params", "sha256"].note.startswith("the digest of the ")
    with contextlib.closing(sqlite3.connect("mlruns/mlflow.db")) as connection, connection:
        connection.execute("update params set value = '99' where key = 'finetune.epochs'")
    found = told("digits/3")
    assert found["params", "values"].value["finetune.epochs"] == 99
    assert found["params", "sha256"].note.startswith("no file with these values is kept")
    assert found["params", "file"].value is None

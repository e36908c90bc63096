"""Lineage both ways: what `register` writes down is what `lineage` tells, from the database as from MLflow's client."""

import contextlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from adapters import mlflow_lineage, mlflow_lineage_client
from adapters.git_commands import head
from adapters.json_files import sha256_of
from adapters.mlflow_store import open_client
from adapters.params_file import read
from flows.cli import main
from tasks.handoffs import MODEL
from tasks.lineage import MadeFrom, lineage_of
from tests.tasks.left_versions import FIRST, SECOND, commit, publish_from, told
from transfer.errors import EnvironmentFault, UserError


def made_from(target: str) -> list[str]:
    found = lineage_of(target)
    assert isinstance(found, MadeFrom)
    return [f"{one.name}/{one.number}" for one in found.versions]


def test_a_version_tells_what_it_was_made_from(published: Path) -> None:
    found = told("digits@champion")
    assert found["version", "version"].value == "3"
    assert found["version", "aliases"].value == ["challenger", "champion"]
    assert found["version", "model sha256"].value == sha256_of(MODEL / "model.safetensors")
    assert found["data", "path"].value == "data/digits"
    assert found["data", "digest"].value == SECOND
    assert found["data", "digest"].note == "its files are not in the DVC cache"
    assert found["params", "sha256"].note == f"the digest of the {len(found['params', 'values'].value)} values"
    values = {
        f"{block}.{key}": value for block, keys in read(Path("params.yaml")).items() for key, value in keys.items()
    }
    assert found["params", "values"].value == values
    assert sha256_of(Path(found["params", "file"].value)) == sha256_of(Path("params.yaml"))
    assert found["weights", "backbone"].value == "rootstock/strokes@none"
    assert found["weights", "sha256"].value == "none"
    assert found["weights", "licence"].value
    assert found["environment", "packages"].note == "the same here now"
    assert found["runs", "register"].value
    assert list(found["runs", "stages"].value) == ["register"]
    assert found["runs", "report"].value is None
    assert found["result", "accuracy"].value == "0.9000 (0.8000 to 0.9500)"
    assert [(move["from"], move["to"]) for move in found["promotions", "moves"].value] == [("2", "3")]
    champions = found["version", "champion since"].value
    assert champions == found["promotions", "moves"].value[-1]["time"]


def test_the_code_is_a_commit_and_what_it_lacks(published: Path) -> None:
    assert told("digits/1")["code", "commit"].value is None
    assert "in no commit" in told("digits/1")["code", "beyond the commit"].value
    (published / "flows").mkdir()
    (published / "flows" / "new.py").write_text("print('new')\n", encoding="utf-8")
    publish_from(SECOND, 4)
    found = told("digits/4")
    assert found["code", "commit"].value == head(published)
    assert found["code", "commit"].note == ""
    assert "+print('new')" in Path(found["code", "beyond the commit"].value).read_text(encoding="utf-8")
    commit(published, "the code")
    publish_from(SECOND, 5)
    assert told("digits/5")["code", "beyond the commit"].value in ("nothing", "nothing of the code")


def test_a_name_is_its_champion_or_its_newest_version(published: Path) -> None:
    client = open_client()
    client.set_registered_model_alias("digits", "champion", "2")
    assert told("digits")["version", "version"].value == "2"
    client.delete_registered_model_alias("digits", "champion")
    assert told("digits")["version", "version"].value == "3"
    assert told("models:/digits/1")["version", "version"].value == "1"


def test_what_an_older_rootstock_did_not_record_is_said_to_be_missing(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = open_client()
    client.create_registered_model("old")
    client.create_model_version("old", str(published / "gone"), None)
    assert told("old")["data", "digest"].value is None
    assert told("old")["version", "files"].note == "gone"
    code, out, _ = call(capsys, "lineage", "old")
    assert code == 0
    assert out.count("not recorded") > 10


@pytest.mark.parametrize(
    ("target", "versions"),
    [
        ("data/digits", ["digits/3"]),
        (f"data/digits@{FIRST[:6]}", ["digits/2", "digits/1"]),
        (f"./data/../data/digits@{FIRST}", ["digits/2", "digits/1"]),
        ("data/digits@HEAD", ["digits/3"]),
        ("data/digits@HEAD~1", ["digits/2", "digits/1"]),
        ("data/digits@main", ["digits/3"]),
    ],
)
def test_a_data_set_tells_which_versions_were_made_from_it(published: Path, target: str, versions: list[str]) -> None:
    assert made_from(target) == versions


def test_a_path_is_meant_from_where_it_is_typed(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (published / "data" / "digits").mkdir(parents=True)
    monkeypatch.chdir(published / "data")
    assert made_from("./digits") == ["digits/3"]
    assert made_from(str(published / "data" / "digits")) == ["digits/3"]


def test_a_dvc_file_counts_before_the_lock(published: Path) -> None:
    (published / "data").mkdir()
    (published / "data" / "digits.dvc").write_text(f"outs:\n- md5: {FIRST}\n  path: digits\n", encoding="utf-8")
    assert made_from("data/digits") == ["digits/2", "digits/1"]


def test_deleted_versions_are_made_from_nothing(published: Path) -> None:
    open_client().delete_model_version("digits", "2")
    assert made_from(f"data/digits@{FIRST[:8]}") == ["digits/1"]
    with pytest.raises(UserError, match=r"There is no digits/2 in the registry; it has digits@challenger"):
        lineage_of("digits/2")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nosuch", "There is no model nosuch in the registry, which has digits; write NAME"),
        ("digits/9", "There is no digits/9 in the registry"),
        ("digits@best", "There is no digits@best in the registry"),
        ("data/digits@abcdef", "abcdef is neither a revision of git here nor a digest of a registered model"),
        ("data/digits@HEAD~9", "HEAD~9 is neither a revision"),
        ("data/digits@--help", "--help is neither a revision"),
        ("data/nosuch", "Nothing is recorded of data/nosuch here"),
        ("data/nosuch@HEAD", "says nothing of data/nosuch in data/nosuch.dvc or dvc.lock"),
        ("", "Nothing is named"),
    ],
)
def test_what_is_not_there_is_a_sentence_that_names_what_is(published: Path, target: str, words: str) -> None:
    with pytest.raises(UserError) as refused:
        lineage_of(target)
    assert words in str(refused.value)
    if target.startswith("data/"):
        assert f"data/digits@{SECOND[:12]} (1), data/digits@{FIRST[:12]} (2)" in str(refused.value)


def test_the_database_and_the_client_say_the_same(published: Path) -> None:
    ours, theirs = mlflow_lineage, mlflow_lineage_client
    assert ours.names(published) == theirs.names(published) == ["digits"]
    for number in ("1", "2", "3", "4"):
        assert ours.version(published, "digits", number) == theirs.version(published, "digits", number)
    for digest in (FIRST, SECOND, "none"):
        assert ours.versions_of_data(published, digest) == theirs.versions_of_data(published, digest)
    assert [(one.digest, one.path, one.n_versions) for one in ours.known_data(published)] == theirs.known_data(
        published
    )
    version = ours.version(published, "digits", "3")
    assert version is not None
    assert ours.run(published, version.run_id) == theirs.run(published, version.run_id)
    parent = ours.parent_of(published, version.run_id)
    assert parent == theirs.parent_of(published, version.run_id)
    assert parent is not None
    assert ours.children_of(published, parent.run_id) == theirs.children_of(published, parent.run_id)
    assert ours.params_of(published, parent.run_id) == theirs.params_of(published, parent.run_id)


@pytest.mark.parametrize("name", ["it's", 'say "x"', 'it\'s "x"'])
def test_a_model_with_quotes_in_its_name_is_no_other(published: Path, name: str) -> None:
    client = open_client()
    for one in (name, name.replace("'", ""), "its"):
        with contextlib.suppress(MlflowException):  # two of them may be the same
            client.create_registered_model(one)
    client.create_model_version(name, str(published / "mine"), None)
    client.create_model_version("its", str(published / "other"), None)
    (version,) = mlflow_lineage_client.versions_of(published, name)
    assert (version.name, version.location) == (name, str(published / "mine"))


def test_the_client_tells_of_every_model(published: Path) -> None:
    rows = [(f"model{place:04}", 1, 1, "", "default") for place in range(1200)]
    with contextlib.closing(sqlite3.connect("mlruns/mlflow.db")) as connection, connection:
        connection.executemany(
            "insert into registered_models (name, creation_time, last_updated_time, description, workspace) "
            "values (?, ?, ?, ?, ?)",
            rows,
        )
    open_client().set_registered_model_alias("digits", "zuletzt", "2")
    assert mlflow_lineage_client.names(published) == mlflow_lineage.names(published)
    assert len(mlflow_lineage.names(published)) == 1201


def test_an_unknown_schema_is_left_to_the_client(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = told("digits/2")
    monkeypatch.setattr(mlflow_lineage, "_rows", lambda *_: None)
    assert told("digits/2") == before
    assert made_from(f"data/digits@{FIRST[:6]}") == ["digits/2", "digits/1"]


def test_a_damaged_store_is_a_fault_and_an_absent_one_is_empty(published: Path) -> None:
    Path("mlruns/mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(EnvironmentFault, match="The MLflow store sqlite"):
        lineage_of("digits")
    Path("mlruns/mlflow.db").unlink()
    with pytest.raises(UserError, match="the registry, which has nothing"):
        lineage_of("digits")
    assert not Path("mlruns/mlflow.db").exists()


def test_asking_imports_no_heavy_package(published: Path, root: Path) -> None:
    script = (
        "import sys; from tasks.lineage_tables import show_lineage; show_lineage({!r}, as_json=True); "
        "print([name for name in {} if name in sys.modules])"
    )
    heavy = ("mlflow", "prefect", "torch", "dvc", "sqlalchemy", "pydantic")
    for target in ("digits", "data/digits"):
        done = subprocess.run(
            [sys.executable, "-c", script.format(target, heavy)],
            env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "[]"


def test_json_and_table_hold_the_same(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "lineage", "digits/3", "--json")
    assert code == 0
    plain = json.loads(out)
    assert plain["data"]["digest"] == SECOND
    assert plain["weights"]["backbone"] == "rootstock/strokes@none"
    code, out, _ = call(capsys, "lineage", "digits/3")
    assert SECOND in out
    code, out, _ = call(capsys, "lineage", f"data/digits@{FIRST[:6]}", "--json")
    assert [one["version"] for one in json.loads(out)["versions"]] == ["2", "1"]
    code, out, _ = call(capsys, "lineage", f"data/digits@{FIRST[:6]}")
    assert out.index("digits/2") < out.index("digits/1")


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str, str]:
    before = sys.argv
    sys.argv = ["rootstock", *arguments]
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = before
    return (ended.value.code, *capsys.readouterr())

"""The whole pipeline as a user runs it: what it makes, what it repeats, what it refuses, how it is stopped."""

import json
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL = ("finetune.max_images_seen=60", "finetune.epochs=1")  # seconds of training instead of a minute
STAGES = ("sample", "manifest", "validate", "select", "finetune", "reference", "evaluate", "register")
UP_TO_DATE = "Data and pipelines are up to date."
INTERRUPTED = "Interrupted; run the same command again to go on.\n"


@pytest.fixture(scope="module")
def first_run(small: Any) -> Any:
    """Run the pipeline once, from a folder inside the project."""
    return small.rootstock("run", "data.path=tiny", *SMALL, within="data")


@pytest.fixture(scope="module")
def finished(small: Any, first_run: Any) -> Any:
    """Return the project after its first run."""
    assert first_run.code == 0, first_run.err
    return small


def rows(database: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def alias_version(project: Any) -> int:
    """Return the version that the alias of the last registration names."""
    record = json.loads((project.folder / "artifacts/register/registration.json").read_text(encoding="utf-8"))
    found = rows(project.folder / "mlruns/mlflow.db", "select name, alias, version from registered_model_aliases")
    return {(name, alias): int(version) for name, alias, version in found}[record["name"], record["alias"]]


def words(text: str) -> str:
    """Return a text without the line breaks that its table put in."""
    return " ".join(text.split())


def params(project: Any) -> str:
    return str((project.folder / "params.yaml").read_text(encoding="utf-8"))


def edit(project: Any, old: str, new: str) -> None:
    """Change params.yaml by hand."""
    text = params(project)
    assert old in text
    (project.folder / "params.yaml").write_text(text.replace(old, new), encoding="utf-8")


def assert_refused(project: Any, words: str, *arguments: str) -> None:
    before = project.state()
    ending = project.rootstock("run", *arguments)
    assert (ending.code, ending.out) == (2, ""), ending
    assert words in ending.err
    assert ending.err.count("\n") == 1
    assert project.state() == before


def test_first_run_ends_with_a_champion_and_says_so(finished: Any, first_run: Any) -> None:
    for word in ("tiny version 1, models:/tiny@champion", "test images", "from scratch", "register", "Next:"):
        assert word in first_run.out
    assert first_run.err == ""
    figures = json.loads((finished.folder / "artifacts/evaluate/metrics.json").read_text(encoding="utf-8"))
    assert {"accuracy", "accuracy_low", "accuracy_high", "macro_f1", "n_test"} <= figures.keys()
    assert alias_version(finished) == 1


def test_data_set_inside_is_tracked_and_the_user_told(finished: Any, first_run: Any) -> None:
    assert "Note: data/tiny is now tracked by DVC; commit data/tiny.dvc" in first_run.out
    assert (finished.folder / "data" / "tiny.dvc").is_file()


def test_overrides_are_in_params_with_its_comments(finished: Any) -> None:
    text = params(finished)
    assert "path: data/tiny " in text
    assert "max_images_seen: 60 " in text
    assert "# a folder of class folders" in text


def test_every_stage_is_a_child_of_the_run(finished: Any) -> None:
    finished_runs = rows(finished.folder / "mlruns/mlflow.db", "select name from runs where status = 'FINISHED'")
    assert {name for (name,) in finished_runs} >= set(STAGES)
    flows = rows(
        finished.folder / ".prefect/prefect.db",
        "select flow.name from flow_run join flow on flow.id = flow_run.flow_id where state_type = 'COMPLETED'",
    )
    assert sorted(name for (name,) in flows) == sorted((*STAGES, "pipeline"))


def test_second_run_has_nothing_to_do_and_says_it_at_once(finished: Any) -> None:
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    assert "Everything is up to date: 0 stages ran. models:/tiny@champion has test accuracy" in again.out
    assert again.cpu_s <= 5
    assert UP_TO_DATE in finished.dvc("status")
    assert UP_TO_DATE in finished.dvc("repro")


@pytest.mark.slow
def test_deleted_registry_is_mended(finished: Any) -> None:
    shutil.move(finished.folder / "mlruns", finished.folder / "kept")
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    assert "Mended: " in again.out
    assert alias_version(finished) == 1
    shutil.rmtree(finished.folder / "mlruns")
    shutil.move(finished.folder / "kept", finished.folder / "mlruns")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.path=../nowhere", "data.path is '../nowhere', but there is no such folder"),
        ("finetune.epoch=3", "there is no parameter 'finetune.epoch'; did you mean finetune.epochs?"),
        ("select.candidates=[]", "select.candidates is [], but must be a list of one or more"),
        ("select.candidates=rootstock/strokes@w.pth", "The weights file w.pth of the candidate"),
        ("finetune.epochs", "has no '='"),
    ],
)
def test_mistyped_override_changes_nothing(finished: Any, override: str, words: str) -> None:
    assert_refused(finished, words, override)


def test_unknown_key_in_params_changes_nothing(finished: Any) -> None:
    kept = params(finished)
    (finished.folder / "params.yaml").write_text(kept.replace("  epochs:", "  epoch:"), encoding="utf-8")
    assert_refused(finished, "there is no parameter 'finetune.epoch'")
    (finished.folder / "params.yaml").write_text(kept, encoding="utf-8")


def test_interrupted_stage_is_taken_up_again_and_keeps_others_out(finished: Any) -> None:
    stopped = finished.stopped_in("evaluate", signal.SIGINT, "evaluate.confidence=0.9")
    assert (stopped.code, stopped.err) == (130, INTERRUPTED)
    assert finished.processes() == []
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    assert "finetune unchanged" in words(again.out)
    assert UP_TO_DATE in finished.dvc("status")
    assert alias_version(finished) == 1


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_in_any_stage_can_be_taken_up(finished: Any, stage: str) -> None:
    field = {
        "sample": "sample.size_px=16", "manifest": "manifest.seed=1", "validate": "validate.max_class_ratio=19",
        "select": "select.knn_k=4", "finetune": "finetune.seed=2", "reference": "reference.seed=2",
        "evaluate": "evaluate.confidence=0.8", "register": "register.alias=second",
    }  # fmt: skip
    stopped = finished.stopped_in(stage, signal.SIGINT, field[stage])
    assert (stopped.code, stopped.err) == (130, INTERRUPTED)
    assert finished.processes() == []
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    assert UP_TO_DATE in finished.dvc("status")


@pytest.mark.slow
def test_killed_run_leaves_no_process_and_is_named_crashed_later(finished: Any) -> None:
    killed = finished.stopped_in("evaluate", signal.SIGKILL, "evaluate.confidence=0.85")
    assert killed.code == -signal.SIGKILL
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    states = "select distinct state_type from flow_run"
    assert {state for (state,) in rows(finished.folder / ".prefect/prefect.db", states)} <= {"COMPLETED", "CRASHED"}
    assert rows(finished.folder / "mlruns/mlflow.db", "select name from runs where status = 'RUNNING'") == []


@pytest.mark.slow
def test_second_run_meanwhile_is_told_who_is_at_work(finished: Any) -> None:
    process = finished.start("run", "evaluate.confidence=0.75")
    holder = finished.folder / ".rootstock" / "run.pid"
    while process.poll() is None and "evaluate.confidence=0.75" not in finished.holder(holder):
        time.sleep(0.05)
    second = finished.rootstock("run")
    process.communicate(timeout=600)
    assert second.code == 2
    assert f"process {process.pid} is running its pipeline" in second.err
    assert second.err.count("\n") == 1
    assert process.returncode == 0


@pytest.mark.slow
def test_alias_follows_the_seed_there_and_back(finished: Any) -> None:
    versions = []
    for seed in (0, 1, 0):
        ending = finished.rootstock("run", f"finetune.seed={seed}")
        assert ending.code == 0, ending.err
        versions.append(alias_version(finished))
    assert versions[0] == versions[2] != versions[1]
    edit(finished, "finetune:\n  seed: 0", "finetune:\n  seed: 1")
    finished.dvc("repro")
    assert alias_version(finished) != versions[0]
    assert "0 stages ran" in finished.rootstock("run").out
    edit(finished, "finetune:\n  seed: 1", "finetune:\n  seed: 0")
    assert finished.rootstock("run").code == 0
    assert alias_version(finished) == versions[0]


@pytest.mark.slow
def test_two_versions_of_the_data_are_there_and_back(finished: Any, draw: Callable[..., None]) -> None:
    record, first = finished.folder / "data/tiny.dvc", finished.state()
    kept = record.read_bytes()
    draw(finished.folder / "data/more", n_per_class=3, seed=9)
    for picture in (finished.folder / "data/more").rglob("*.png"):
        shutil.copyfile(picture, finished.folder / "data/tiny" / picture.parent.name / f"more-{picture.name}")
    shutil.rmtree(finished.folder / "data/more")
    assert finished.rootstock("run").code == 0
    assert record.read_bytes() != kept
    record.write_bytes(kept)
    finished.dvc("checkout", "data/tiny.dvc")
    back = finished.rootstock("run")
    assert back.code == 0, back.err
    assert "finetune restored" in words(back.out)
    same = ("evaluate/metrics.json", "finetune/model/model.safetensors", "select/ranking.json")
    for name in (str(finished.folder / "artifacts" / name) for name in same):
        assert finished.state()[name] == first[name]


@pytest.mark.slow
def test_changed_code_reruns_its_stage_alone(finished: Any) -> None:
    code = finished.folder / "tasks/evaluate.py"
    code.write_text(code.read_text(encoding="utf-8") + "# touched\n", encoding="utf-8")
    ending = finished.rootstock("run")
    assert ending.code == 0, ending.err
    assert "finetune unchanged" in words(ending.out)
    assert "evaluate unchanged" not in words(ending.out)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "words"),
    [("one", "has 1 usable file"), ("none", "no files of a known kind"), ("text", "can be decoded")],
)
def test_data_that_cannot_be_used_changes_nothing(
    finished: Any, draw: Callable[..., None], kind: str, words: str
) -> None:
    folder = finished.folder.parent / kind
    if kind == "one":
        draw(folder)
        for picture in sorted((folder / "bee").iterdir())[1:]:
            picture.unlink()
    for name in ("x", "y") if kind != "one" else ():
        (folder / name).mkdir(parents=True)
        if kind == "text":
            (folder / name / "note.jpg").write_text("no image", encoding="utf-8")
    assert_refused(finished, words, f"data.path=../{kind}")
    assert UP_TO_DATE in finished.dvc("status")


@pytest.mark.slow
def test_damaged_picture_among_good_ones_is_quarantined_and_named(finished: Any, draw: Callable[..., None]) -> None:
    folder = finished.folder.parent / "damaged"
    draw(folder, n_per_class=20)
    whole = (folder / "ant/000.png").read_bytes()
    (folder / "ant/bad.jpg").write_bytes(whole[: len(whole) // 2])
    ending = finished.rootstock("run", "data.path=../damaged")
    assert ending.code == 0, ending.err
    assert "ant/bad.jpg" in ending.out
    listed = json.loads((finished.folder / "artifacts/validate/quarantine.json").read_text(encoding="utf-8"))
    assert listed["paths"] == ["ant/bad.jpg"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["truncated", "pickle"])
def test_weights_refused_late_take_everything_back(finished: Any, kind: str) -> None:
    whole = (finished.folder / "backbones/strokes.safetensors").read_bytes()
    name, sentence = (
        ("w.safetensors", "is truncated") if kind == "truncated" else ("w.pth", "nothing in it was executed")
    )
    marker = finished.folder / "executed"
    content = whole[: len(whole) // 2] if kind == "truncated" else f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode()
    (finished.folder / name).write_bytes(content)
    assert_refused(finished, sentence, "manifest.seed=7", f"select.candidates=rootstock/strokes@{name}")
    assert UP_TO_DATE in finished.dvc("status")
    assert not marker.exists()


@pytest.mark.slow
def test_full_disk_ends_with_one_sentence_and_can_be_taken_up(finished: Any) -> None:
    folder = finished.folder / "artifacts" / "evaluate"
    kept = folder.with_name("kept")
    folder.rename(kept)
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder)
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        folder.rmdir()
        kept.rename(folder)
        pytest.skip("only root can mount a tiny file system")
    try:
        full = finished.rootstock("run")
        assert full.code == 1
        assert "disk is full" in full.err
        assert full.err.count("\n") == 1
    finally:
        subprocess.run(("umount", folder), check=True)
    shutil.rmtree(kept)
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    assert UP_TO_DATE in finished.dvc("status")

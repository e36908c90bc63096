"""Longer proofs on a real pipeline: stopped anywhere, killed, refused late, there and back again, a full disk."""

import json
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from tests.stages import ORDER
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference

pytestmark = pytest.mark.slow

UP_TO_DATE = "Data and pipelines are up to date."
INTERRUPTED = "Interrupted; run the same command again to go on.\n"


@pytest.fixture(autouse=True)
def _put_back(finished: Any) -> Iterator[None]:
    """Leave parameters, data, code and results as they were before a test, so that no test knows of another."""
    names = ("params.yaml", "dvc.lock", "data/tiny.dvc", "tasks/evaluate.py")
    kept = {path: path.read_bytes() for path in (finished.folder / name for name in names)}
    yield
    for path, content in kept.items():
        path.write_bytes(content)
    finished.dvc("checkout", "--force")


def test_deleted_registry_is_mended(finished: Any) -> None:
    shutil.move(finished.folder / "mlruns", finished.folder / "kept")
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    assert "Mended: " in again.out
    assert finished.alias_version() == 1
    shutil.rmtree(finished.folder / "mlruns")
    shutil.move(finished.folder / "kept", finished.folder / "mlruns")


@pytest.mark.parametrize("stage", ORDER)
def test_ctrl_c_in_any_stage_can_be_taken_up(finished: Any, stage: str) -> None:
    field = {
        "sample": "sample.size_px=16", "manifest": "manifest.seed=1", "validate": "validate.max_class_ratio=19",
        "select": "select.knn_k=4", "finetune": "finetune.seed=2", "reference": "reference.seed=2",
        "evaluate": "evaluate.confidence=0.8", "register": "register.margin=0.02",
        "report": "report.owner=us",
    }  # fmt: skip
    stopped = finished.stopped_in(stage, signal.SIGINT, field[stage])
    assert (stopped.code, stopped.err) == (130, INTERRUPTED)
    assert finished.processes() == []
    assert finished.last_parent_status() == "KILLED"
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    assert UP_TO_DATE in finished.dvc("status")


def test_killed_run_leaves_no_process_and_is_named_crashed_later(finished: Any) -> None:
    states = "select state_type from flow_run"
    before = Counter(state for (state,) in finished.rows(".prefect/prefect.db", states))
    killed = finished.stopped_in("evaluate", signal.SIGKILL, "evaluate.confidence=0.85")
    assert killed.code == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while finished.processes() and time.monotonic() < deadline:  # each is told by the system, or notices by itself
        time.sleep(0.1)
    assert finished.processes() == []
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    after = Counter(state for (state,) in finished.rows(".prefect/prefect.db", states))
    assert after["CRASHED"] > before["CRASHED"]
    assert set(after) <= {"COMPLETED", "CRASHED", "FAILED", "CANCELLED"}
    assert finished.rows("mlruns/mlflow.db", "select name from runs where status = 'RUNNING'") == []


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


def test_the_challenger_follows_the_head_there_and_back(finished: Any) -> None:
    versions = []
    for head in ("ridge", "logistic", "ridge"):
        ending = finished.rootstock("run", f"finetune.head={head}")
        assert ending.code == 0, ending.err
        versions.append(finished.alias_version())
    assert versions[0] == versions[2] != versions[1]
    finished.edit("head: ridge", "head: logistic")
    finished.dvc("repro")
    assert finished.alias_version() != versions[0]
    assert "0 stages ran" in finished.rootstock("run").out
    finished.edit("head: logistic", "head: ridge")
    assert finished.rootstock("run").code == 0
    assert finished.alias_version() == versions[0]


def test_another_champion_is_compared_with_once_and_an_own_one_not_at_all(finished: Any) -> None:
    assert finished.rootstock("run", "select.candidates=rootstock/strokes").code == 0
    record = finished.folder / "artifacts/evaluate/champion.json"
    second = finished.alias_version()
    assert json.loads(record.read_text(encoding="utf-8"))["champion"]["version"] == "1"
    promoted = finished.rootstock("promote", f"tiny/{second}", "--why", "a drill", "--force")
    assert promoted.code == 0, promoted.err
    assert "0 stages ran" in finished.rootstock("run").out
    assert finished.rootstock("run", "finetune.head=logistic").code == 0
    third = finished.alias_version()
    assert third not in (1, second)
    assert json.loads(record.read_text(encoding="utf-8"))["champion"]["version"] == str(second)
    back = finished.rootstock("rollback", "tiny", "--why", "a drill")
    assert back.code == 0, back.err
    assert "tiny@champion is version 1 again" in back.out
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    assert "finetune unchanged" in again.words
    assert json.loads(record.read_text(encoding="utf-8"))["champion"]["version"] == "1"
    assert "0 stages ran" in finished.rootstock("run").out
    assert UP_TO_DATE in finished.dvc("status")
    verified = finished.rootstock("champions", "--verify")
    assert verified.code == 0, verified.err


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
    assert "finetune restored" in back.words
    same = ("evaluate/metrics.json", "finetune/model/model.safetensors", "select/ranking.json")
    for name in (str(finished.folder / "artifacts" / name) for name in same):
        assert finished.state()[name] == first[name]


def test_changed_code_reruns_its_stage_alone(finished: Any) -> None:
    code = finished.folder / "tasks/evaluate.py"
    code.write_text(code.read_text(encoding="utf-8") + "# touched\n", encoding="utf-8")
    ending = finished.rootstock("run")
    assert ending.code == 0, ending.err
    assert "finetune unchanged" in ending.words
    assert "evaluate unchanged" not in ending.words


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
    finished.assert_refuses(words, f"data.path=../{kind}")
    assert UP_TO_DATE in finished.dvc("status")


def test_damaged_picture_among_good_ones_is_quarantined_and_named(finished: Any, draw: Callable[..., None]) -> None:
    folder = finished.folder.parent / "damaged"
    draw(folder, n_per_class=20)
    whole = (folder / "ant/000.png").read_bytes()
    (folder / "ant/bad.jpg").write_bytes(whole[: len(whole) // 2])
    ending = finished.rootstock("run", "data.path=../damaged")
    assert ending.code == 0, ending.err
    assert "61 files, 1 of them quarantined" in ending.words
    assert "Left out: ant/bad.jpg: " in ending.words
    listed = json.loads((finished.folder / "artifacts/validate/quarantine.json").read_text(encoding="utf-8"))
    assert listed["paths"] == ["ant/bad.jpg"]


@pytest.mark.parametrize("kind", ["truncated", "pickle"])
def test_damaged_or_unsafe_weights_are_refused_and_change_nothing(finished: Any, kind: str) -> None:
    whole = (finished.folder / "backbones/strokes.safetensors").read_bytes()
    name, sentence = (
        ("w.safetensors", "is truncated") if kind == "truncated" else ("w.pth", "nothing in it was executed")
    )
    marker = finished.folder / "executed"
    content = whole[: len(whole) // 2] if kind == "truncated" else f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode()
    (finished.folder / name).write_bytes(content)
    finished.assert_refuses(sentence, "manifest.seed=7", f"select.candidates=rootstock/strokes@{name}")
    assert UP_TO_DATE in finished.dvc("status")
    assert not marker.exists()


def test_weights_of_another_architecture_are_refused(finished: Any) -> None:
    state = build_backbone(BackboneReference.parse("torchvision/squeezenet1_1@none"), None, seed=0).state_dict()
    torch.save(state, finished.folder / "other.pth")
    finished.assert_refuses("other.pth", "select.candidates=torchvision/mobilenet_v3_small@other.pth")
    assert UP_TO_DATE in finished.dvc("status")


def test_published_weights_without_a_network_are_refused(finished: Any) -> None:
    nowhere = {"TORCH_HOME": str(finished.folder / "none"), "HTTPS_PROXY": "http://127.0.0.1:9"}
    reference = "torchvision/squeezenet1_1@IMAGENET1K_V1"
    finished.assert_refuses(reference, f"select.candidates={reference}", **nowhere)
    assert UP_TO_DATE in finished.dvc("status")


@pytest.mark.parametrize("override", [(), ("evaluate.confidence=0.77",)], ids=["dvc", "stage"])
def test_full_disk_ends_with_one_sentence_and_can_be_taken_up(finished: Any, override: tuple[str, ...]) -> None:
    folder = finished.folder / "artifacts" / "evaluate"
    shutil.rmtree(folder)
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder)
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        finished.dvc("checkout")
        pytest.skip("only root can mount a tiny file system")
    try:
        full = finished.rootstock("run", *override)
    finally:
        subprocess.run(("umount", folder), check=True)
    assert full.code == 1
    assert "disk is full" in full.err
    assert full.err.count("\n") == 1
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    assert UP_TO_DATE in finished.dvc("status")


def test_dvc_shows_metrics_what_changed_and_plots(finished: Any) -> None:
    finished.commit()
    assert finished.rootstock("run", "evaluate.confidence=0.66").code == 0
    shown = json.loads(finished.dvc("metrics", "show", "--json"))[""]["data"]["artifacts/evaluate/metrics.json"]["data"]
    assert {"accuracy", "accuracy_low", "accuracy_high", "macro_f1", "n_test"} <= set(shown)
    changed = json.loads(finished.dvc("metrics", "diff", "--json", "HEAD"))["artifacts/evaluate/metrics.json"]
    assert "accuracy_low" in changed
    assert "accuracy" not in changed
    finished.dvc("plots", "show", "--out", "pages")
    page = (finished.folder / "pages/index.html").read_text(encoding="utf-8")
    assert "learning_curve" in page
    assert "confusion.png" in page or list((finished.folder / "pages/static").glob("*confusion.png"))


def test_experiment_in_the_workspace_runs_and_one_in_a_copy_is_refused(finished: Any) -> None:
    finished.commit()
    assert "Ran experiment" in finished.dvc("exp", "run", "-S", "evaluate.confidence=0.71")
    assert "confidence: 0.71" in finished.params
    assert UP_TO_DATE in finished.dvc("status")
    assert "use `dvc exp run -S key=value` in the workspace" in finished.dvc(
        "exp", "run", "--temp", "-S", "sample.size_px=24"
    )
    finished.dvc("exp", "run", "--queue", "-S", "sample.size_px=20")
    assert "use `dvc exp run -S key=value` in the workspace" in finished.dvc("exp", "run", "--run-all")
    assert UP_TO_DATE in finished.dvc("status")

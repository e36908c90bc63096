"""The doctor: a finding for everything a run needs, and what to do about each that is wrong."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import installed
from tasks import cli, doctor


@pytest.fixture
def patient(project: Path, root: Path) -> Path:
    shutil.copyfile(root / "requirements.lock", project / "requirements.lock")
    return project


def findings(monkeypatch: pytest.MonkeyPatch, stale: dict[str, str] | None = None) -> dict[str, doctor.Finding]:
    monkeypatch.setattr(doctor.dvc_commands, "status", lambda _: stale or {})
    return {finding.what: finding for finding in doctor.examine()}


def test_healthy_project_has_nothing_bad(patient: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    found = findings(monkeypatch, {"sample": "changed"})
    assert [finding for finding in found.values() if finding.verdict == "bad"] == []
    assert {"Python", "packages", "git", "params.yaml", "data.path", "DVC", "Prefect server", "MLflow store"} <= set(
        found
    )
    assert {"model registry", "disk", "lock", "telemetry", "rootstock/strokes"} <= set(found)
    assert "sample" in found["DVC"].found


def test_every_fault_has_a_remedy(patient: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (patient / "requirements.lock").write_text("no-such-package==1.0\ntyper==0.0.1\n", encoding="utf-8")
    (patient / "mlruns").mkdir()
    (patient / "mlruns" / "mlflow.db").write_bytes(b"this is no database" * 100)
    text = (patient / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("- rootstock/strokes\n", "- torchvision/resnet18@gone.pth\n").replace(
        "data/digits ", "data/gone "
    )
    (patient / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(installed, "free_bytes", lambda _: 10)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    found = findings(monkeypatch)
    bad = {what for what, finding in found.items() if finding.verdict == "bad"}
    assert bad == {"packages", "MLflow store", "data.path", "torchvision/resnet18@gone.pth", "disk"}
    noted = {what for what, finding in found.items() if finding.verdict == "note"}
    assert {"Prefect server", "telemetry"} <= noted
    assert [finding for finding in found.values() if finding.verdict != "ok" and not finding.remedy] == []
    assert "no-such-package is missing" in found["packages"].found


@pytest.mark.parametrize(
    ("candidate", "verdict", "words"),
    [
        ("torchvision/resnet17@none", "bad", "no classification architecture 'resnet17'"),
        ("torchvision/mobilenet_v2?width_mlt=0.35@none", "bad", "no option 'width_mlt'"),
        ("rootstock/nothing@none", "bad", "rootstock has no architecture 'nothing'"),
        ("rootstock/strokes@cut.safetensors", "bad", "cut.safetensors is truncated"),
        ("torchvision/resnet18@IMAGENET1K_V9", "bad", "has no weights 'IMAGENET1K_V9'"),
        ("torchvision/resnet18", "note", "not downloaded yet"),
        ("torchvision/squeezenet1_1@none", "ok", "random weights"),
        ("rootstock/strokes@whole.safetensors", "ok", "the file fits, the next run records it"),
    ],
)
def test_candidates_are_examined_as_a_run_would(
    patient: Path, root: Path, monkeypatch: pytest.MonkeyPatch, candidate: str, verdict: str, words: str
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(patient / "torch"))
    monkeypatch.setattr("torch.hub._hub_dir", None)
    whole = (root / "backbones/strokes.safetensors").read_bytes()
    (patient / "whole.safetensors").write_bytes(whole)
    (patient / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    text = (patient / "params.yaml").read_text(encoding="utf-8")
    (patient / "params.yaml").write_text(text.replace("- rootstock/strokes\n", f"- {candidate}\n"), encoding="utf-8")
    finding = findings(monkeypatch)[candidate]
    assert finding.verdict == verdict
    assert words in finding.found
    assert bool(finding.remedy) == (verdict != "ok")


HOLD = """
import sys, time
from pathlib import Path
from adapters.locks import project_lock
with project_lock(Path()):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_run_at_work_is_a_note_and_nothing_is_mended_meanwhile(patient: Path, root: Path) -> None:
    (patient / "artifacts/register").mkdir(parents=True)
    (patient / "artifacts/register/registration.json").write_text("{}", encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=patient,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "held\n"
        hold_for_dvc(patient, run.pid)
        found = {finding.what: finding for finding in doctor.examine()}
        run.communicate("")
    for what in ("DVC", "model registry", "lock"):
        assert found[what].verdict == "note", found[what]
        assert found[what].remedy
    assert found["DVC"].found == "a run holds its lock, so what is stale cannot be told now"


def hold_for_dvc(project: Path, pid: int) -> None:
    """Write what DVC writes while it runs the stage `sample`."""
    (project / ".dvc/tmp").mkdir(exist_ok=True)
    held = {"write": {str(project / "data/digits"): {"pid": pid, "cmd": "dvc repro"}}, "read": {}}
    (project / ".dvc/tmp/rwlock").write_text(json.dumps(held), encoding="utf-8")


def test_dvc_at_work_without_the_pipeline_is_a_note(patient: Path) -> None:
    hold_for_dvc(patient, os.getpid())
    (dvc,) = (finding for finding in doctor.examine() if finding.what == "DVC")
    assert (dvc.verdict, dvc.found) == ("note", "a run holds its lock, so what is stale cannot be told now")


def test_dvc_that_fails_otherwise_is_bad(patient: Path) -> None:
    (patient / "dvc.yaml").write_text("stages: {sample: {cmd: [}", encoding="utf-8")
    (dvc,) = (finding for finding in doctor.examine() if finding.what == "DVC")
    assert dvc.verdict == "bad"


def test_broken_parameters_are_a_finding(patient: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (patient / "params.yaml").write_text("finetune:\n  epochs: ten\n", encoding="utf-8")
    finding = findings(monkeypatch)["params.yaml"]
    assert finding.verdict == "bad"
    assert "finetune.epochs is 'ten'" in finding.found
    assert finding.remedy == "change it and run again."


def test_check_that_breaks_is_a_finding(patient: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Path) -> int:
        raise RuntimeError("no disk")

    monkeypatch.setattr(installed, "free_bytes", broken)
    assert findings(monkeypatch)["disk"].verdict == "bad"


def test_store_is_opened_read_only_and_counted(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    with sqlite3.connect(database) as connection:
        connection.execute("create table runs (id)")
        connection.execute("insert into runs values (1)")
    connection.close()
    assert installed.count_runs(database) == 1


def test_lock_is_compared_with_what_is_installed(root: Path, tmp_path: Path) -> None:
    assert installed.differences(root / "requirements.lock") == []
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "typer==0.0.1\nnothing-here==1 ; python_version < '3'\n# a comment\n    # via x\n", encoding="utf-8"
    )
    (difference,) = installed.differences(lock)
    assert difference.startswith("typer is ")
    assert difference.endswith("the lock says 0.0.1")


@pytest.mark.parametrize(("verdict", "code"), [("ok", 0), ("note", 0), ("bad", 1)])
def test_exit_code_says_whether_a_run_could_start(verdict: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.show_diagnosis([doctor.Finding(verdict, "disk [1]", "full", "free some space")]) == code
    shown = capsys.readouterr().out
    assert "disk [1]" in shown
    assert "free some space" in shown

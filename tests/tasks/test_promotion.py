"""Promotion by a person's word, and the drill of a rollback: real models, a real registry, a process that proves."""

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.mlflow_aliases import aliased, numbered
from adapters.mlflow_registry import Release, register, tag_version
from adapters.mlflow_runs import stage_run
from adapters.mlflow_store import open_client
from adapters.model_files import save_model
from adapters.promotion_ledger import LEDGER, read_ledger
from adapters.promotions import Move, move
from flows.cli import main
from tasks.doctor import BAD, _promotions, examine
from tasks.predict import classify
from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.card import ModelCard
from transfer.backbones.reference import BackboneReference
from transfer.data.golden import golden_images

NAME = "digits"


def add_version(project: Path, seed: int) -> str:
    """Register a tiny model that always prefers one class."""
    classifier = Classifier(build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=seed), 2)
    torch.nn.init.normal_(classifier.head.weight, 0, 0.1, generator=torch.Generator().manual_seed(seed))
    torch.nn.init.constant_(classifier.head.bias[seed % 2 : seed % 2 + 1], 9.0)
    folder = project / f"model{seed}"
    save_model(folder, classifier, ModelCard.of(classifier, ("ant", "bee")))
    with stage_run("register") as run:
        return register(project, Release(NAME, "challenger", folder, "", {}, {"accuracy": 0.5}), run)


def judge(project: Path, version: str, outcome: str, against: str = "none") -> None:
    tag_version(
        project, NAME, version, {"gate": outcome, "gate_why": f"Not promoted: {outcome}.", "gate_against": against}
    )


@pytest.fixture(scope="module")
def two_once(
    tmp_path_factory: pytest.TempPathFactory, lay_out: Callable[[Path], None], migrated_database: Path
) -> Path:
    """Return a project in whose registry version 2 is the champion, and version 1 was before."""
    folder = tmp_path_factory.mktemp("two") / "project"
    lay_out(folder)
    (folder / "mlruns").mkdir()
    shutil.copyfile(migrated_database, folder / "mlruns" / "mlflow.db")
    with contextlib.chdir(folder):
        for seed in (0, 1):
            add_version(folder, seed)
            move(folder, Move(NAME, str(seed) if seed else None, str(seed + 1), "gate", "Promoted: better."))
    return folder


@pytest.fixture
def two(project: Path, two_once: Path) -> Path:
    """Make a project of its own, as `two_once` is."""
    return Path(shutil.copytree(two_once, project, dirs_exist_ok=True))


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[Any, str, str]]:
    """Return what calls the command line: the exit code and what it printed."""

    def call(*arguments: str) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["rootstock", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code, *capsys.readouterr())

    return call


def champion(project: Path) -> str | None:
    found = aliased(project, NAME, "champion")
    return None if found is None else found.version


def test_a_rollback_drill(two: Path, call: Callable[..., tuple[Any, str, str]]) -> None:
    picture = two / "picture.png"
    picture.write_bytes(golden_images()[0])
    uri = f"models:/{NAME}@champion"
    assert classify(uri, [picture])[0][0].class_name == "bee"
    began = time.perf_counter()
    code, out, err = call("rollback", NAME, "--why", "wrong on the new scanner")
    took_s = time.perf_counter() - began
    assert (code, err) == (0, "")
    assert out.startswith("digits@champion is version 1 again, was version 2 (4 golden outputs reproduced exactly; ")
    assert took_s <= 10
    assert champion(two) == "1"
    assert classify(uri, [picture])[0][0].class_name == "ant"
    line = read_ledger(two).lines[-1]
    assert (line.by, line.before, line.after, line.why) == ("rollback", "2", "1", "wrong on the new scanner")
    code, _, err = call("rollback", NAME)
    assert code == 2
    assert "digits has no champion before the present one" in err
    assert champion(two) == "1"


def test_a_version_that_is_not_what_it_was_takes_no_place(two: Path, call: Callable[..., tuple[Any, str, str]]) -> None:
    found = numbered(two, NAME, "1")
    other = numbered(two, NAME, "2")
    assert found is not None
    assert other is not None
    weights = "artifacts/model/model.safetensors"
    (Path(found.location) / weights).write_bytes((Path(other.location) / weights).read_bytes())
    before = (two / LEDGER).read_bytes()
    code, out, err = call("rollback", NAME)
    assert (code, out) == (1, "")
    assert "digits version 1 is not what it was: its golden outputs differ by" in err
    assert "the champion is still version 2" in err
    assert (champion(two), (two / LEDGER).read_bytes()) == ("2", before)
    code, _, err = call("promote", f"{NAME}/1", "--why", "anyway", "--force")
    assert code == 1
    assert champion(two) == "2"


def test_a_version_without_golden_outputs_takes_the_place_by_force_alone(
    two: Path, call: Callable[..., tuple[Any, str, str]]
) -> None:
    found = numbered(two, NAME, "1")
    assert found is not None
    shutil.rmtree(Path(found.location) / "artifacts/evidence")
    code, _, err = call("rollback", NAME)
    assert code == 1
    assert "it was registered without golden outputs; the champion is still version 2" in err
    assert champion(two) == "2"
    code, out, err = call("promote", f"{NAME}/1", "--why", "version 2 fails", "--force")
    assert (code, err) == (0, "")
    assert "(it was registered without golden outputs), against the gate" in out
    assert champion(two) == "1"


def test_a_deleted_champion_is_not_gone_back_to(two: Path, call: Callable[..., tuple[Any, str, str]]) -> None:
    open_client().delete_model_version(NAME, "1")
    code, _, err = call("rollback", NAME)
    assert code == 2
    assert "version 1, the champion before, was deleted" in err


@pytest.mark.parametrize(
    ("outcome", "against", "objection"),
    [
        ("refuse", "same", "the gate refused it (refuse)"),
        ("ask", "0" * 64, "it was judged beside another champion, not beside version 2"),
        ("promote", "none", "it was judged beside no champion, not beside version 2"),
        (None, "", "the gate never judged it"),
    ],
)
def test_what_the_gate_did_not_allow_needs_force_which_is_recorded(
    two: Path, call: Callable[..., tuple[Any, str, str]], outcome: str | None, against: str, objection: str
) -> None:
    version, now = add_version(two, 2), aliased(two, NAME, "champion")
    assert now is not None
    if outcome is not None:
        judge(two, version, outcome, now.tags["model_sha256"] if against == "same" else against)
    command = ("promote", f"{NAME}@challenger", "--why", "the test images are mislabelled")
    code, out, err = call(*command)
    assert (code, out) == (2, "")
    assert err == f"digits version 3 is not promoted: {objection}; --force overrules that, and is recorded.\n"
    assert champion(two) == "2"
    code, out, err = call(*command, "--force")
    assert (code, err) == (0, "")
    assert out.startswith("digits@champion is version 3, was version 2 (4 golden outputs reproduced exactly), against")
    line = read_ledger(two).lines[-1]
    assert (line.by, line.forced, line.why) == ("promote", True, "the test images are mislabelled")
    assert (line.decision or {}).get("gate") == outcome
    assert champion(two) == "3"


def test_what_the_gate_left_to_a_person_needs_a_word_only(two: Path, call: Callable[..., tuple[Any, str, str]]) -> None:
    version, now = add_version(two, 2), aliased(two, NAME, "champion")
    assert now is not None
    judge(two, version, "ask", now.tags["model_sha256"])
    code, _, err = call("promote", f"models:/{NAME}/3", "--why", " ")
    assert code == 2
    assert "needs a reason" in err
    assert call("promote", f"models:/{NAME}/3", "--why", "as good, and half the size")[0] == 0
    line = read_ledger(two).lines[-1]
    assert (line.after, line.forced) == ("3", False)
    assert call("promote", f"{NAME}/3", "--why", "again")[1] == "digits version 3 is the champion already.\n"
    assert len(read_ledger(two).lines) == 3


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("digits", "names no version"),
        ("digits@best", "There is no digits@best"),
        ("digits/9", "it has digits@challenger"),
    ],
)
def test_what_is_not_there_is_named(
    two: Path, call: Callable[..., tuple[Any, str, str]], target: str, words: str
) -> None:
    code, _, err = call("promote", target, "--why", "x")
    assert code == 2
    assert words in err


def test_who_was_champion_when(two: Path, call: Callable[..., tuple[Any, str, str]]) -> None:
    first, second = read_ledger(two).lines
    code, out, _ = call("champions", NAME)
    assert code == 0
    assert out.index("digits/1") < out.index("digits/2")
    for words in ("gate", first.who, "Promoted: better."):
        assert words in out
    for moment, expected in (
        (first.time, "1"),
        (second.time, "2"),
        ("2999-01-01", "2"),
        ("2999-01-01T00:00+02:00", "2"),
    ):
        (found,) = json.loads(call("champions", NAME, "--at", moment, "--json")[1])
        assert found["after"] == expected
    assert call("champions", "--at", "2001-01-01")[1] == "No model has had a champion.\n"
    code, _, err = call("champions", "--at", "yesterday")
    assert code == 2
    assert "'yesterday' is no time" in err
    code, _, err = call("champions", "photos")
    assert code == 2
    assert "The ledger says nothing of photos; it knows digits" in err


def test_a_line_altered_by_hand_is_detected_by_both_commands(
    two: Path, call: Callable[..., tuple[Any, str, str]]
) -> None:
    assert call("champions", "--verify")[0] == 0
    assert [finding.verdict for finding in _promotions(two)] == ["ok"]
    text = (two / LEDGER).read_text(encoding="utf-8")
    (two / LEDGER).write_text(text.replace("Promoted: better.", "Promoted: cheaper.", 1), encoding="utf-8")
    code, out, err = call("champions")
    assert (code, "digits/2" in out) == (0, True)
    assert err == "line 1 of mlruns/promotions.jsonl was altered: its hash is not that of its words.\n"
    code, _, err = call("champions", "--verify")
    assert code == 1
    assert "line 1 of mlruns/promotions.jsonl was altered: its hash is not that of its words.\n" in err
    (finding,) = _promotions(two)
    assert (finding.verdict, finding.found) == (
        BAD,
        "line 1 of mlruns/promotions.jsonl was altered: its hash is not that of its words",
    )


def test_a_line_that_is_removed_or_half_written_is_told_by_the_doctor(two: Path) -> None:
    whole = (two / LEDGER).read_bytes()
    first = whole.splitlines(keepends=True)[0]
    (two / LEDGER).write_bytes(first)
    (finding,) = _promotions(two)
    assert "the last line about digits is gone" in finding.found
    (two / LEDGER).write_bytes(whole + b'{"number": 3, "ti')
    (finding,) = _promotions(two)
    assert (finding.verdict, "half written" in finding.found) == ("note", True)


def test_asking_whether_the_ledger_holds_does_not_hide_that_it_was_cut_short(
    two: Path, call: Callable[..., tuple[Any, str, str]]
) -> None:
    first = (two / LEDGER).read_bytes().splitlines(keepends=True)[0]
    (two / LEDGER).write_bytes(first)
    for _ in range(2):
        code, _, err = call("champions", "--verify")
        assert code == 1
        assert "the last line about digits is gone" in err
    assert [finding.verdict for finding in _promotions(two)] == [BAD]


def test_the_doctor_looks_at_the_ledger_before_a_mend_adds_to_it(two: Path) -> None:
    checks = [finding.what for finding in examine() if finding.what in ("promotions", "model registry")]
    assert checks == ["promotions", "model registry"]


def test_a_ledger_that_is_gone_is_told_by_the_doctor(two: Path) -> None:
    registration = two / "artifacts/register/registration.json"
    registration.parent.mkdir(parents=True)
    registration.write_text("{}", encoding="utf-8")
    (two / LEDGER).unlink()
    (finding,) = _promotions(two)
    assert (finding.verdict, "the last line about digits is gone" in finding.found) == (BAD, True)

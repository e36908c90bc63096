"""Fine-tuning that is killed at any instant ends, started again, in the very weights it would have reached."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters import checkpoint_files
from adapters.json_files import sha256_of
from tasks import checkpoints, finetune
from tasks.checkpoints import Checkpoints
from tasks.history import read_history
from transfer.errors import EnvironmentFault
from transfer.finetuning import staged
from transfer.finetuning.plan import Step
from transfer.finetuning.snapshot import Snapshot
from transfer.finetuning.staged import Checkpoint, Done
from transfer.records import ClassBalance, EpochRecord, Rescue, StepOutcome

SetParams = Callable[..., None]
WEIGHTS = finetune.MODEL / "model.safetensors"
STEPS = Path(".rootstock/steps")
MACHINE = {"cpu": "of these tests"}
EVENTS = (
    ClassBalance((30, 4), equally=True, remedy="logits", loo_nlls=(("none", 0.1), ("logits", 1 / 3)), why="Few"),
    EpochRecord("probe", 1, 40, 0.1 + 0.2, 1 / 3, 0.5),
    Rescue("last", 1, "loss", 0.1),
    StepOutcome("last", ("deep", "head"), None, 0.25, 0.5, 40, kept=True),
)
RUN = """
import sys, torch
from pathlib import Path
from typing import Any
from tasks import checkpoints, finetune
torch.set_num_threads(1)
checkpoints._EVERY_S = 0.0
Path("began").touch()
finetune.train()
"""


def state(epoch: int) -> Checkpoint:
    snapshot = Snapshot(
        epoch=epoch, loss_sum=0.1, tensors={"live.w": torch.randn(3), "moment.0.step": torch.tensor(2.0)}
    )
    return Checkpoint(1, EVENTS, {"head.weight": torch.randn(2, 3), "n": torch.tensor(7)}, snapshot)


def test_a_checkpoint_comes_back_as_it_was(project: Path) -> None:
    stored = state(3)
    Checkpoints(project, {"seed": 0}, MACHINE).save_now(stored)
    found = Checkpoints(project, {"seed": 0}, MACHINE).load()
    assert found is not None
    assert found.events == EVENTS
    assert (found.step_index, found.snapshot is None) == (1, False)
    assert found.snapshot is not None
    assert stored.snapshot is not None
    assert (found.snapshot.epoch, found.snapshot.loss_sum, found.snapshot.best_nll) == (3, 0.1, None)
    assert all(torch.equal(found.weights[name], value) for name, value in stored.weights.items())
    assert all(torch.equal(found.snapshot.tensors[name], value) for name, value in stored.snapshot.tensors.items())


def test_another_run_does_not_find_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Checkpoints(project, {"seed": 0}, MACHINE).save_now(state(1))
    assert Checkpoints(project, {"seed": 1}, MACHINE).load() is None
    monkeypatch.setattr(checkpoint_files, "code_digest", lambda _: "other code")
    assert Checkpoints(project, {"seed": 0}, MACHINE).load() is None


@pytest.mark.parametrize("damage", ["cut", "flipped header", "another number", "empty", "not ours"])
def test_a_damaged_one_is_none(project: Path, damage: str) -> None:
    Checkpoints(project, {"seed": 0}, MACHINE).save_now(state(1))
    (path,) = (project / ".rootstock/checkpoints").iterdir()
    content = path.read_bytes()
    other = content.replace(
        json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["key"].encode(), b"0" * 32
    )
    damaged = {
        "cut": content[:-5],
        "flipped header": b"\xff" + content[1:],
        "another number": content.replace(rb"step_index\": 1", rb"step_index\": 0"),
        "empty": b"",
        "not ours": other,
    }[damage]
    assert damaged != content
    path.write_bytes(damaged)
    assert Checkpoints(project, {"seed": 0}, MACHINE).load() is None


def test_a_run_that_ended_leaves_none_and_old_ones_go(project: Path) -> None:
    for seed in range(5):
        Checkpoints(project, {"seed": seed}, MACHINE).save_now(state(1))
        os.utime(next(iter((project / ".rootstock/checkpoints").iterdir())))
    Checkpoints(project, {"seed": 4}, MACHINE).discard()
    assert Checkpoints(project, {"seed": 4}, MACHINE).load() is None
    assert len(list((project / ".rootstock/checkpoints").iterdir())) == 2


def test_a_full_disk_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    kept = Checkpoints(project, {"seed": 0}, MACHINE)
    kept.save_now(state(1))
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EnvironmentFault, match="The disk is full"):
        kept.save_now(state(2))
    monkeypatch.undo()
    found = kept.load()
    assert found is not None
    assert found.snapshot is not None
    assert found.snapshot.epoch == 1


def test_an_outcome_that_cannot_be_kept_ends_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    kept = Checkpoints(project, {}, MACHINE)
    kept.remember("known", Done((), {"w": torch.zeros(2)}))
    monkeypatch.setattr(Path, "write_bytes", full)
    kept.remember("new", Done((), {"w": torch.zeros(2)}))
    monkeypatch.undo()
    assert "not kept for other runs. The disk is full" in capsys.readouterr().out
    assert kept.recall("known") is not None
    assert kept.recall("new") is None


def test_what_a_killed_process_left_half_written_goes(project: Path) -> None:
    kept = Checkpoints(project, {}, MACHINE)
    kept.remember("known", Done((), {"w": torch.zeros(2)}))
    (half,) = STEPS.iterdir()
    half.rename(half.with_name(f".{half.name}.abc.part"))
    kept.remember("new", Done((), {"w": torch.zeros(2)}))
    assert [path.suffix for path in STEPS.iterdir()] == [".safetensors"]


def test_it_is_written_every_few_seconds_only(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    kept = Checkpoints(project, {"seed": 0}, MACHINE)
    written = []
    for second in range(12):
        now[0] = float(second)
        kept.save(state(second + 1))
        found = kept.load()
        written.append(None if found is None or found.snapshot is None else found.snapshot.epoch)
    assert written == [None] * 5 + [6] * 5 + [11] * 2


def test_an_interrupted_run_goes_on(
    ranked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finetune.train()
    expected = WEIGHTS.read_bytes(), finetune.HISTORY.read_bytes()
    shutil.rmtree(STEPS)
    monkeypatch.setattr(checkpoints, "_EVERY_S", 0.0)
    save, saved = Checkpoints.save, []

    def interrupted(self: Checkpoints, checkpoint: Checkpoint) -> None:
        save(self, checkpoint)
        saved.append(checkpoint)
        if checkpoint.snapshot is not None and checkpoint.snapshot.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        finetune.train()
    monkeypatch.setattr(Checkpoints, "save", save)
    capsys.readouterr()
    finetune.train()
    assert "Going on where an earlier run of the same inputs was stopped" in capsys.readouterr().out
    assert (WEIGHTS.read_bytes(), finetune.HISTORY.read_bytes()) == expected
    assert not list((ranked / ".rootstock/checkpoints").iterdir())


def test_a_step_that_was_run_before_is_read_and_damage_runs_it_again(
    ranked: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finetune.train()
    expected = WEIGHTS.read_bytes(), finetune.HISTORY.read_bytes()
    WEIGHTS.unlink()
    trained: list[str] = []
    plain_train = staged.train

    def noting_train(classifier: Any, problem: Any, step: Step, *rest: Any) -> Any:
        trained.append(step.name)
        return plain_train(classifier, problem, step, *rest)

    monkeypatch.setattr(staged, "train", noting_train)
    capsys.readouterr()
    finetune.train()
    assert (WEIGHTS.read_bytes(), finetune.HISTORY.read_bytes()) == expected
    assert trained == []
    assert capsys.readouterr().out.count("images read from an earlier run.") == 2
    for path in STEPS.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    finetune.train()
    assert (WEIGHTS.read_bytes(), finetune.HISTORY.read_bytes()) == expected
    assert trained == ["last", "all"]
    set_params(finetune={"seed": 1})
    finetune.train()
    assert trained == ["last", "all"] * 2


def test_outcomes_that_were_not_asked_for_the_longest_make_room(project: Path) -> None:
    kept = Checkpoints(project, {}, MACHINE)
    for index in range(4):
        kept.remember(index, Done((), {"w": torch.full((1000,), float(index))}))
        os.utime(max(STEPS.iterdir(), key=lambda path: path.stat().st_mtime_ns), ns=(index, index))
    assert kept.recall(0) is not None
    checkpoint_files.prune(project, most_bytes=2 * 4500)
    assert [index for index in range(4) if kept.recall(index) is not None] == [0, 3]


def test_room_is_made_for_the_newest_outcome_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prune(where: Path, prune: Callable[[Path, int], None] = checkpoint_files.prune) -> None:
        prune(where, 2 * 4500)

    monkeypatch.setattr(checkpoint_files, "prune", prune)
    kept = Checkpoints(project, {}, MACHINE)
    for index in range(3):
        kept.remember(index, Done((), {"w": torch.full((1000,), float(index))}))
        assert sum(path.stat().st_size for path in STEPS.iterdir()) <= 2 * 4500


@pytest.fixture
def begun(ranked: Path, set_params: SetParams) -> tuple[str, float]:
    """Return the digest of the weights of a run that nobody disturbed, and the seconds it trained."""
    set_params(finetune={"max_images_seen": 200})
    process = _start()
    _wait_until_begun(process)
    began = time.perf_counter()
    assert process.wait() == 0
    return sha256_of(WEIGHTS), time.perf_counter() - began


@pytest.mark.parametrize("n_kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_at_random_instants_change_no_byte(begun: tuple[str, float], n_kills: int) -> None:
    expected, seconds = begun
    draw = random.Random(0)
    for _ in range(n_kills):
        WEIGHTS.unlink()
        shutil.rmtree(STEPS)
        process = _start()
        _wait_until_begun(process)
        time.sleep(draw.uniform(0.0, seconds))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert _start().wait() == 0
        assert sha256_of(WEIGHTS) == expected
        epochs, outcomes = read_history(finetune.HISTORY)
        assert len({(epoch.step_name, epoch.epoch) for epoch in epochs}) == len(epochs)
        assert [outcome.name for outcome in outcomes] == ["probe", "norms", "refit", "last", "all"]


def _start() -> subprocess.Popen[bytes]:
    Path("began").unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(Path(finetune.__file__).resolve().parents[1])}
    return subprocess.Popen([sys.executable, "-c", RUN], env=environment, stdout=subprocess.DEVNULL)


def _wait_until_begun(process: subprocess.Popen[bytes]) -> None:
    while not Path("began").exists() and process.poll() is None:
        time.sleep(0.01)

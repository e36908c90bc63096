"""Fine-tuning by several processes: the result of one, and one sentence when one of them ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adapters.json_files import sha256_of
from adapters.model_files import load_model
from adapters.ranks import Place
from tasks import finetune
from tasks.history import read_history, read_searches
from tasks.imbalance import balance_in
from tasks.params import read_params
from tasks.training_group import TrainingGroup, training_group
from transfer.errors import UserError
from transfer.finetuning.engine import Engine
from transfer.finetuning.parallel import Alone

SetParams = Callable[..., None]
ROOT = Path(finetune.__file__).resolve().parents[1]
WEIGHTS = finetune.MODEL / "model.safetensors"
STEPS = Path(".rootstock/steps")  # what steps came to: read, not run again
BOUNDED_S = 30.0
ENOUGH_S = 150.0
RUN = """
import sys, torch
from tasks import checkpoints, finetune
from transfer.errors import RootstockError
checkpoints._EVERY_S = 0.0
try:
    finetune.train()
except RootstockError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def _start(**settings: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    return subprocess.Popen([sys.executable, "-c", RUN], env=environment, stderr=subprocess.PIPE, text=True)


def _train() -> None:
    """Train as the settings say, in processes that end in bounded time whatever they wait for."""
    process = _start()
    try:
        _, said = process.communicate(timeout=ENOUGH_S)
    finally:
        process.kill()
    assert (process.returncode, said) == (0, "")


def _children(process: subprocess.Popen[str]) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def _wait_for_checkpoints(process: subprocess.Popen[str], n_written: int) -> None:
    seen: set[int] = set()
    while len(seen) < n_written and process.poll() is None:
        seen |= {path.stat().st_mtime_ns for path in Path(".rootstock/checkpoints").glob("*.safetensors")}
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"processes": 64}, r"finetune\.processes is 64, more than the 32 images of a batch"),
        (
            {"processes": 9, "batch_size": "auto"},
            r"finetune\.processes is 9, more than the 8 images that a batch may come to have where .* is auto; choose",
        ),
        ({"processes": 0}, r"finetune\.processes is 0, but must be an integer of at least 1 and of at most 1024"),
        ({"processes": "auto"}, r"finetune\.processes is 'auto', but must be an integer of at least 1"),
        ({"device": "gpu"}, r"finetune\.device is 'gpu', but must be a text that is auto, cpu, cuda or cuda:<number>"),
    ],
)
def test_what_cannot_be_is_refused(project: Path, set_params: SetParams, values: dict[str, object], sentence: str):
    set_params(finetune=values)
    with pytest.raises(UserError, match=sentence), training_group(read_params().finetune):
        pass


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_device_that_is_not_there_is_refused(
    project: Path, set_params: SetParams, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    set_params(finetune={"device": device})
    with (
        pytest.raises(UserError, match=rf"finetune\.device is '{device}', but this machine has no GPU"),
        training_group(read_params().finetune),
    ):
        pass


def test_other_processes_than_asked_for_are_refused(
    project: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_params(finetune={"processes": 2})
    for name, value in {"RANK": "0", "WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(UserError, match=r"finetune\.processes is 2, but 4 were started together"),
        training_group(read_params().finetune),
    ):
        pass


def test_a_machine_with_other_code_is_refused(
    ranked: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict[str, str]] = []
    monkeypatch.setattr(TrainingGroup, "require_equal", lambda _, facts: said.append(facts))
    set_params(finetune={"strategy": "features"})
    finetune.train()
    monkeypatch.undo()

    class Other(Alone):
        rank = 1

        def told(self, tensors: object, meaning: str = "") -> tuple[dict[str, torch.Tensor], str]:
            return {}, json.dumps(said[0] | {"code": "of another version"})

    group = TrainingGroup(Place(1, 2, 1, 2), Engine(ranks=Other()))
    with pytest.raises(UserError, match="Process 1 of finetune has another code than process 0; give every machine"):
        group.require_equal(said[0])


@pytest.mark.slow
def test_two_processes_end_near_one_and_the_same_each_time(ranked: Path, set_params: SetParams) -> None:
    finetune.train()
    alone = read_history(finetune.HISTORY)[1]
    set_params(finetune={"processes": 2})
    digests = []
    for _ in range(2):
        shutil.rmtree(STEPS)
        _train()
        digests.append(sha256_of(WEIGHTS))
    together = read_history(finetune.HISTORY)[1]
    assert digests[0] == digests[1]
    assert [outcome.name for outcome in together] == [outcome.name for outcome in alone]
    assert [outcome.val_nll_after for outcome in together] == pytest.approx(
        [outcome.val_nll_after for outcome in alone], rel=0.05
    )
    load_model(finetune.MODEL)


@pytest.mark.slow
def test_what_is_found_and_how_classes_count_are_the_same_in_all_processes(ranked: Path, set_params: SetParams) -> None:
    sought = {"max_images_seen": 160, "head_lr": "auto", "backbone_lr": "auto", "batch_size": "auto"}
    set_params(finetune=sought | {"imbalance": "sampling", "processes": 2})
    _train()
    first = sha256_of(WEIGHTS), finetune.HISTORY.read_bytes(), finetune.PLAN.read_bytes()
    assert [search.step_name for search in read_searches(finetune.HISTORY)] == ["last", "all"]
    assert balance_in(finetune.HISTORY).remedy == "sampling"
    shutil.rmtree(STEPS)
    _train()  # the rates are known and told, not found again
    assert (sha256_of(WEIGHTS), finetune.HISTORY.read_bytes(), finetune.PLAN.read_bytes()) == first


@pytest.mark.slow
def test_a_killed_process_ends_all_with_a_sentence_and_the_command_goes_on(ranked: Path, set_params: SetParams) -> None:
    set_params(finetune={"processes": 2, "max_images_seen": 400})
    _train()
    expected = sha256_of(WEIGHTS), finetune.HISTORY.read_bytes()
    WEIGHTS.unlink()
    shutil.rmtree(STEPS)
    process = _start()
    _wait_for_checkpoints(process, 3)  # the run has come some way
    (other,) = _children(process)
    os.kill(other, signal.SIGKILL)
    _, said = process.communicate(timeout=BOUNDED_S)
    assert said.strip() == (
        "EnvironmentFault: Of the 2 processes of finetune, process 1 was ended by signal 9 before the work was done; "
        "run the same command again to go on where they stood."
    )
    assert not WEIGHTS.exists()
    _train()
    assert (sha256_of(WEIGHTS), finetune.HISTORY.read_bytes()) == expected


@pytest.mark.slow
def test_processes_end_with_the_one_that_leads(ranked: Path, set_params: SetParams) -> None:
    set_params(finetune={"processes": 2, "max_images_seen": 400})
    process = _start()
    _wait_for_checkpoints(process, 1)
    (other,) = _children(process)
    process.kill()
    process.communicate(timeout=BOUNDED_S)  # its other end is the other process's as well
    deadline = time.monotonic() + BOUNDED_S
    while Path(f"/proc/{other}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{other}").exists()
    assert not WEIGHTS.exists()


@pytest.mark.slow
def test_torchrun_starts_them_as_well(ranked: Path, set_params: SetParams) -> None:
    set_params(finetune={"processes": 2})
    _train()
    expected = read_history(finetune.HISTORY)[1]
    WEIGHTS.unlink()
    shutil.rmtree(STEPS)
    set_params(finetune={"processes": 1})
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "flows.finetune"], env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    found = read_history(finetune.HISTORY)[1]
    assert [outcome.name for outcome in found] == [outcome.name for outcome in expected]
    assert [outcome.val_nll_after for outcome in found] == pytest.approx(
        [outcome.val_nll_after for outcome in expected], rel=1e-3
    )
    load_model(finetune.MODEL)

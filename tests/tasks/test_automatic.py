"""What `auto` finds is decided once, found again where the decision is lost, and shown."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import finetune, reference
from tasks.automatic import base_rate, fitting_batch_size, with_searches
from tasks.history import read_searches
from tasks.params import check_params
from tasks.params_blocks import FinetuneParams
from transfer.errors import UserError
from transfer.finetuning.plan import staged_plan

SetParams = Callable[..., None]
WEIGHTS = finetune.MODEL / "model.safetensors"
AUTO = FinetuneParams(head_lr="auto", backbone_lr="auto", batch_size="auto")


@pytest.fixture
def searching(ranked: Path, set_params: SetParams) -> Path:
    """Return a project in which rates and batch size are to be found."""
    set_params(finetune={"max_images_seen": 160, "head_lr": "auto", "backbone_lr": "auto", "batch_size": "auto"})
    return ranked


def made() -> tuple[bytes, ...]:
    return WEIGHTS.read_bytes(), finetune.HISTORY.read_bytes(), finetune.PLAN.read_bytes()


def test_rates_are_found_once_and_again_where_the_decision_is_lost(
    searching: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finetune.train()
    first = made()
    said = capsys.readouterr().out
    found = read_searches(finetune.HISTORY)
    assert [one.step_name for one in found] == ["last", "all"]
    assert all(f"Step {one.step_name!r}: rates of " in said for one in found)
    steps = json.loads(finetune.PLAN.read_text())["steps"]
    assert [step["found"]["scale"] for step in steps] == [one.scale for one in found]
    (kept,) = (searching / ".rootstock/plans").iterdir()

    with monkeypatch.context() as patch:
        patch.setattr("transfer.finetuning.staged.sought", _refused)
        shutil.rmtree(searching / ".rootstock/steps")
        finetune.train()
    assert made() == first

    kept.unlink()
    shutil.rmtree(searching / ".rootstock/steps")
    finetune.train()
    assert made() == first


def _refused(*_: object) -> None:
    raise AssertionError("searched again")


def test_only_what_says_auto_is_sought() -> None:
    settings = FinetuneParams(backbone_lr="auto", head_lr=0.01)
    assert (base_rate(settings.backbone_lr), base_rate(settings.head_lr)) == (0.0001, 0.01)
    steps = staged_plan(("stem", "deep"), 0.01, 0.0001, 2.0)
    assert [step.searched for step in with_searches(steps, settings)] == [("deep",), ("stem", "deep")]
    assert [step.searched for step in with_searches(steps, FinetuneParams())] == [(), ()]
    assert [step.searched for step in with_searches(steps, AUTO)] == [tuple(step.rates) for step in steps]


def test_the_reference_is_trained_in_batches_of_the_same_size(
    ranked: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_params(finetune={"batch_size": "auto"})
    finetune.train()
    assert json.loads(finetune.HISTORY.read_text())["batch_size"] == 8  # the most for 28 training rows
    seen = []
    monkeypatch.setattr(reference, "budget", lambda _, batch_size: seen.append(batch_size) or _stop())
    with pytest.raises(UserError, match="seen enough"):
        reference.train_from_scratch()
    assert seen == [8]


def _stop() -> None:
    raise UserError("seen enough")


@pytest.mark.parametrize(
    ("settings", "at_once", "expected"),
    [(AUTO, 64, 64), (AUTO, 32, 32), (AUTO, 25, 16), (AUTO, 8, 8), (AUTO, 2, 8), (FinetuneParams(), 2, 64)],
)
def test_a_batch_is_the_largest_that_fits(settings: FinetuneParams, at_once: int, expected: int) -> None:
    assert fitting_batch_size(settings, 64, at_once) == expected


def test_a_batch_that_does_not_fit_at_its_smallest_is_made_of_parts(
    ranked: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_params(finetune={"batch_size": "auto"})
    monkeypatch.setattr("adapters.devices.free_memory_bytes", lambda: 1)
    finetune.train()
    (kept,) = (ranked / ".rootstock/plans").iterdir()
    steps = json.loads(kept.read_text())["steps"]
    assert [(step["batch_size"], step["cost"]["at_once"]) for step in steps] == [(8, 2), (8, 2)]


def test_less_memory_changes_what_goes_at_once_and_no_length(ranked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finetune.train()
    (kept,) = (ranked / ".rootstock/plans").iterdir()
    decided = json.loads(kept.read_text())
    decided["steps"][1]["n_images"] = 40  # as if by a budget
    kept.write_text(json.dumps(decided))
    monkeypatch.setattr("adapters.devices.free_memory_bytes", lambda: 1)
    finetune.train()
    steps = json.loads(kept.read_text())["steps"]
    found = [(step["n_images"], step["batch_size"], step["cost"]["at_once"]) for step in steps]
    assert found == [(60, 32, 2), (40, 32, 2)]


@pytest.mark.parametrize("key", ["head_lr", "backbone_lr", "batch_size"])
def test_another_word_is_refused(key: str) -> None:
    allowed = "an integer of at least 2, or auto" if key == "batch_size" else "above 0 and of at most 1, or auto"
    with pytest.raises(UserError, match=rf"finetune\.{key} is 'fast', but must be .*{allowed}; change it"):
        check_params({"finetune": {key: "fast"}})

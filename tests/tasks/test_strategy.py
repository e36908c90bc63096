"""Every strategy and every head, from the parameters to the model that is stored."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.json_files import read_json
from adapters.model_files import load_model
from tasks import finetune, probing, reference
from tasks.adaptation import _settled
from tasks.checkpoints import Checkpoints
from tasks.history import read_history
from tasks.overrides import planned_changes
from tasks.params import read_params
from transfer.errors import UserError
from transfer.finetuning.caching import CachePlan
from transfer.finetuning.plan import Step
from transfer.finetuning.planning import StepPlan
from transfer.finetuning.staged import Checkpoint
from transfer.heads.fits import HEADS, TRAINABLE
from transfer.records import StepOutcome

SetParams = Callable[..., None]
STEPS = {
    "staged": ["probe", "norms", "refit", "last", "all"],
    "features": ["probe", "refit"],
    "last-2": ["probe", "norms", "refit", "last-2"],
    "gradual": ["probe", "norms", "refit", "last-1", "last-2", "last-3", "last-4", "all"],
    "full": ["probe", "norms", "refit", "all"],
    "norm-only": ["probe", "norms", "refit", "norm-only"],
    "bias-only": ["probe", "norms", "refit", "bias-only"],
    "scratch": ["scratch"],
}
QUICK = ("features", "last-2", "norm-only", "scratch")


@pytest.mark.parametrize(
    "strategy", [pytest.param(one, marks=() if one in QUICK else pytest.mark.slow) for one in STEPS]
)
def test_a_strategy_takes_its_steps(ranked: Path, set_params: SetParams, strategy: str) -> None:
    set_params(finetune={"strategy": strategy, "epochs": 2})
    finetune.train()
    finetune.draw()
    classifier, card = load_model(finetune.MODEL)
    epochs, outcomes = read_history(finetune.HISTORY)
    assert [outcome.name for outcome in outcomes] == STEPS[strategy]
    assert {epoch.step_name for epoch in epochs} == set(STEPS[strategy]) - {"norms", "refit"}
    assert (card.head, classifier.training) == ("linear", False)
    for outcome in outcomes:
        if outcome.val_nll_before is not None and outcome.name != "refit":
            assert outcome.kept == (outcome.val_nll_before - outcome.val_nll_after > (outcome.val_nll_noise or 0))
    steps = json.loads(finetune.PLAN.read_text(encoding="utf-8"))["steps"]
    assert [step["step"]["name"] for step in steps] == [
        name for name in STEPS[strategy] if name not in ("probe", "norms", "refit")
    ]


@pytest.mark.parametrize("head", HEADS)
def test_a_head_is_fitted_to_frozen_features(ranked: Path, set_params: SetParams, head: str) -> None:
    set_params(finetune={"strategy": "features", "head": head})
    shipped = finetune._start(read_params().finetune)[0].state_dict()
    finetune.train()
    classifier, card = load_model(finetune.MODEL)
    assert card.head == {"forest": "forest", "knn": "neighbours"}.get(head, "linear")
    assert all(torch.equal(value, shipped[name]) for name, value in classifier.backbone.state_dict().items())
    _, (outcome, refit) = read_history(finetune.HISTORY)
    assert outcome.val_accuracy > 0.8
    assert refit.kept


@pytest.mark.parametrize("head", [name for name in TRAINABLE if name != "ridge"])
@pytest.mark.slow
def test_a_linear_head_begins_any_strategy(ranked: Path, set_params: SetParams, head: str) -> None:
    set_params(finetune={"strategy": "full", "head": head})
    finetune.train()
    assert [outcome.name for outcome in read_history(finetune.HISTORY)[1]] == STEPS["full"]


@pytest.mark.parametrize("head", ["forest", pytest.param("knn", marks=pytest.mark.slow)])
def test_the_references_have_the_same_kind_of_head(ranked: Path, set_params: SetParams, head: str) -> None:
    set_params(finetune={"strategy": "features", "head": head})
    finetune.train()
    reference.train_from_scratch()
    reference.probe_random_features()
    of_probe, of_scratch = (load_model(folder)[1].head for folder in (reference.RANDOM_FROZEN, reference.SCRATCH))
    assert of_probe == load_model(finetune.MODEL)[1].head
    assert of_scratch == "linear"


@pytest.mark.parametrize("norms", ["frozen", "reestimated", "trained"])
def test_norm_statistics_are_those_that_were_asked_for(ranked: Path, set_params: SetParams, norms: str) -> None:
    set_params(finetune={"strategy": "full", "epochs": 1, "norms": norms})
    finetune.train()
    planned = json.loads(finetune.PLAN.read_text(encoding="utf-8"))["steps"][0]["groups"]
    expected = "trained" if norms == "trained" else "frozen"
    assert {group["norms"] for group in planned if group["norms"] != "none"} == {expected}
    tried = [outcome for outcome in read_history(finetune.HISTORY)[1] if outcome.name == "norms"]
    assert [outcome.kept for outcome in tried] == ([] if norms == "frozen" else [True])
    if norms != "trained":
        shipped, stored = finetune._start(read_params().finetune)[0], load_model(finetune.MODEL)[0].backbone
        as_shipped = [
            torch.equal(value, stored.state_dict()[name])
            for name, value in shipped.state_dict().items()
            if name.endswith("running_mean")
        ]
        assert set(as_shipped) == {norms == "frozen"}


def test_a_frozen_trunk_takes_the_statistics_that_were_asked_for(ranked: Path, set_params: SetParams) -> None:
    set_params(finetune={"strategy": "features", "norms": "reestimated"})
    finetune.train()
    assert [outcome.name for outcome in read_history(finetune.HISTORY)[1]] == ["probe", "norms", "refit"]


def test_from_scratch_nothing_is_transferred(
    ranked: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_reestimate", lambda *_: pytest.fail("statistics that nothing asks for"))
    set_params(finetune={"strategy": "scratch", "epochs": 1, "scratch_lr": 1e-6})
    finetune.train()
    classifier, card = load_model(finetune.MODEL)
    assert card.reference == "rootstock/strokes@none"
    _, (outcome,) = read_history(finetune.HISTORY)
    assert outcome.val_nll_before == pytest.approx(torch.tensor(3.0).log().item(), abs=1e-6)
    assert not outcome.kept
    assert float(classifier.head.weight.detach().abs().max()) == 0.0  # type: ignore[union-attr]
    assert read_json(finetune.RANKING)["winner"] == "rootstock/strokes"


def test_what_does_not_go_together_is_refused_before_anything_runs(project: Path, set_params: SetParams) -> None:
    with pytest.raises(UserError, match=r"finetune\.head is 'forest', which no step can train"):
        planned_changes(project, {"finetune.head": "forest"})
    set_params(finetune={"strategy": "features"})
    assert planned_changes(project, {"finetune.head": "forest"}) == {"finetune.head": "forest"}
    set_params(finetune={"strategy": "staged", "head": "knn"})
    with pytest.raises(UserError, match=r"params\.yaml: finetune\.head is 'knn'"):
        read_params()
    set_params(finetune={"strategy": "scratch", "head": "svm"})
    with pytest.raises(UserError, match=r"finetune\.head is 'svm', but finetune\.strategy scratch fits no head"):
        read_params()
    set_params(finetune={"strategy": "scratch", "head": "ridge", "norms": "frozen"})
    with pytest.raises(UserError, match=r"finetune\.norms is 'frozen', but finetune\.strategy scratch always trains"):
        read_params()
    set_params(finetune={"strategy": "features", "norms": "trained"})
    with pytest.raises(UserError, match=r"finetune\.norms is 'trained', but finetune\.strategy features trains no"):
        read_params()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"finetune.strategy": "last-9"},
            r"'last-9', but rootstock/strokes has 5 depth groups; make it at most",
        ),
        (
            {"finetune.norms": "trained", "select.candidates": ["rootstock/strokes", "torchvision/vit_b_16@none"]},
            r"torchvision/vit_b_16@none has no norm layer that keeps statistics",
        ),
    ],
)
def test_what_a_candidate_cannot_follow_is_refused_before_anything_runs(
    project: Path, values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        planned_changes(project, values)


def test_a_budget_without_an_update_from_scratch_is_refused(ranked: Path, set_params: SetParams) -> None:
    set_params(finetune={"strategy": "scratch", "budget_s": 0.001})
    with pytest.raises(UserError, match=r"budget_s is 0.001, too short for a single update from scratch"):
        finetune.train()
    assert not finetune.HISTORY.exists()


@pytest.mark.parametrize("any_kept", [False, True])
def test_the_head_of_all_rows_is_kept_where_no_step_is(any_kept: bool) -> None:
    refit = StepOutcome("refit", ("head",), 0.5, 0.4, 0.9, 10, kept=True)
    last = StepOutcome("last", ("deep", "head"), 0.5, 0.4, 0.9, 10, kept=any_kept)
    plan = StepPlan(Step("last", {"deep": 0.1}), (), 10, 10, 5, CachePlan(0, 0, 1.0, 1.0, ""))
    assert [event.kept for event in _settled([refit, last], [plan]) if isinstance(event, StepOutcome)] == [
        not any_kept,
        any_kept,
    ]


def test_more_groups_than_the_winner_has_are_refused_before_anything_is_computed(
    ranked: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_params(finetune={"strategy": "last-9"})
    monkeypatch.setattr(finetune, "training_target", lambda *_: pytest.fail("images were read"))
    with pytest.raises(
        UserError, match=r"'last-9', but rootstock/strokes has 5 depth groups; make it at most last-5\.$"
    ):
        finetune.train()
    assert not finetune.MODEL.exists()


@pytest.mark.parametrize("head", ["forest", "knn"])
def test_a_killed_run_goes_on_with_its_head(
    ranked: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    set_params(finetune={"strategy": "features", "head": head})
    saved: list[Checkpoint] = []
    save_now = Checkpoints.save_now

    def save(self: Checkpoints, checkpoint: Checkpoint) -> None:
        saved.append(checkpoint)
        save_now(self, checkpoint)

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save_now", save)
        patched.setattr(Checkpoints, "discard", lambda _: None)
        finetune.train()
    assert saved
    whole = (finetune.MODEL / "model.safetensors").read_bytes()
    (finetune.MODEL / "model.safetensors").unlink()
    finetune.train()
    assert (finetune.MODEL / "model.safetensors").read_bytes() == whole

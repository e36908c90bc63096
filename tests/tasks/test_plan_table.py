"""The plan as people read it."""

import json
from dataclasses import replace

import pytest

from tasks.plan_table import notes, outcome_sentence, plain_plan, search_sentence, show_plan
from transfer.finetuning.caching import CachePlan
from transfer.finetuning.plan import Step
from transfer.finetuning.planning import GroupPlan, StepCost, StepPlan
from transfer.records import ClassBalance, RateSearch, StepOutcome

PLAN = StepPlan(
    Step("last", {"deep": 1e-4, "head": 1e-3}),
    (
        GroupPlan("stem", 1234567, None, "frozen", 0),
        GroupPlan("deep", 20, 1e-4, "trained", 12),
        GroupPlan("head", 4, 1e-3, "none", 4),
    ),
    n_images=400,
    n_train=40,
    n_val=10,
    cache=CachePlan(3, 2_000_000, 1.5, 3.25, "half of a forward pass is frozen"),
    cost=StepCost(8, 1.0, 0.01, 0.01, 0.1, 0.02, 5_000_000),
)
UNCACHED = replace(PLAN, cache=CachePlan(0, 0, 1.0, 1.0, "nothing is frozen"), cost=None)


def test_every_group_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan([PLAN, UNCACHED])
    text = capsys.readouterr().out
    lines = text.splitlines()
    stem, deep = (next(line for line in lines if f" {name} " in line) for name in ("stem", "deep"))
    assert "1,234,567" in stem
    assert "frozen" in stem
    assert "3 views kept" in stem
    assert "0.0001" in deep
    assert "trained" in deep
    assert deep.split()[-4:-1] == ["12", "│", "20"]
    assert "computed anew" in text


def test_without_a_step_it_says_what_is_fitted(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan([])
    assert capsys.readouterr().out == (
        "Plan of fine-tuning: the head alone is fitted, on frozen features; the trunk stays as it is.\n"
    )


def test_a_sentence_says_what_is_saved_and_what_it_costs() -> None:
    cached, uncached = notes([PLAN, UNCACHED])
    assert cached == (
        "Step 'last': 400 images in 10 passes; cached: half of a forward pass is frozen; "
        "3.2 times fewer operations than training every layer as long; "
        "45.3 s and 5 MB at 8 images at once predicted."
    )
    assert uncached.endswith(
        "not cached: nothing is frozen; 1.0 times fewer operations than training every layer as long."
    )


def test_an_ending_says_what_was_predicted() -> None:
    outcome = StepOutcome("last", ("deep",), 0.5, 0.4, 0.9, 200, kept=True, val_nll_noise=0.05, blend=0.5)
    assert outcome_sentence(outcome, [PLAN], 30.0) == (
        "Step 'last': kept, 50% of its change: validation loss 0.5000 -> 0.4000 (noise 0.0500); "
        "200 images in 30 s, 24.3 s predicted."
    )
    undone = replace(outcome, kept=False, val_nll_noise=None)
    assert outcome_sentence(undone, [PLAN], 30.0).startswith("Step 'last': undone: validation loss 0.5000 -> 0.4000; ")


def test_it_is_plain_json() -> None:
    plain = json.loads(json.dumps(plain_plan([PLAN], ClassBalance((30, 3)))))
    assert plain["steps"][0]["cache"]["n_views"] == 3
    assert plain["steps"][0]["step"]["rates"] == {"deep": 1e-4, "head": 1e-3}


def test_rates_that_are_sought_and_found_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    seeking = replace(PLAN, step=replace(PLAN.step, searched=("deep",)), batch_size=16)
    (sentence,) = notes([seeking])
    assert "400 images in 10 passes, 16 an update; " in sentence
    assert "67.1 s, 21.8 s of them to find its rates and 5 MB" in sentence  # 200 images and 9 validations more
    search = RateSearch("last", ("deep",), 3.0, (1.0, 3.0), (20, 20), (None, 0.25))
    show_plan([seeking, replace(seeking, found=search)])
    text = capsys.readouterr().out
    assert "0.0001 or found" in text
    assert "0.0003 found" in text
    assert search_sentence(search) == (
        "Step 'last': rates of deep times 3, found by 2 short runs over 40 images "
        "(validation loss at 1: exploded, 3: 0.2500)."
    )
    plain = plain_plan([replace(seeking, found=search)], ClassBalance((30, 3)))
    assert json.loads(json.dumps(plain))["steps"][0]["found"]["scale"] == 3.0

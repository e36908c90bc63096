"""Which rungs there are where transfer hurt, and when one holds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn.metrics import accuracy_score, log_loss

from transfer.errors import UserError
from transfer.evaluation.mitigation import Climbed, Rung, Start, Validated, climbed, rungs, validated

SETTINGS: dict[str, Any] = {
    "finetune.strategy": "staged",
    "finetune.head": "ridge",
    "finetune.norms": "auto",
    "finetune.l2_sp": "auto",
    "finetune.bss": 0.0,
    "select.candidates": ["a", "b", "c@none", "d"],
}
START = Start(SETTINGS, ("b", "d"), ("b", "c@none", "d"), keeps_statistics=True, has_own_statistics=False)


def start(**settings: Any) -> Start:
    return replace(START, settings={**SETTINGS, **{f"finetune.{name}": value for name, value in settings.items()}})


def of_name(name: str, of: Start = START) -> Rung:
    return next(rung for rung in rungs(of) if rung.name == name)


def test_the_ladder_is_climbed_in_order_and_ends_without_transfer() -> None:
    names = [rung.name for rung in rungs(START)]
    assert names == ["norms", "unfreeze", "regularise", "backbone", "backbone", "scratch"]
    assert all(not rung.skipped for rung in rungs(START))
    assert of_name("scratch").changes["finetune.strategy"] == "scratch"


def test_from_scratch_there_is_nothing_to_climb() -> None:
    assert rungs(start(strategy="scratch")) == ()


@pytest.mark.parametrize(
    ("of", "name", "words"),
    [
        (replace(START, keeps_statistics=False), "norms", "no norm layer"),
        (replace(START, has_own_statistics=True), "norms", "already"),
        (start(norms="reestimated"), "norms", "already"),
        (start(norms="trained"), "norms", "already"),
        (start(strategy="full"), "unfreeze", "already"),
        (start(bss=0.01, l2_sp=0.1), "regularise", "set already"),
        (replace(START, others=(), behind=("c@none",)), "backbone", "no other"),
    ],
)
def test_a_rung_that_changes_nothing_is_skipped_and_says_why(of: Start, name: str, words: str) -> None:
    assert words in of_name(name, of).skipped


def test_backbones_are_left_out_in_turn() -> None:
    left = [rung.changes["select.candidates"] for rung in rungs(START) if rung.name == "backbone"]
    assert left == [["b", "c@none", "d"], ["d"]]
    assert all(rung.anew for rung in rungs(START) if rung.name in ("backbone", "scratch"))


def test_a_backbone_that_could_not_be_used_is_neither_tried_nor_competes() -> None:
    left = [rung for rung in rungs(replace(START, barred={"d": "its licence is unknown"})) if rung.name == "backbone"]
    assert [rung.changes for rung in left] == [{"select.candidates": ["b", "c@none"]}, {}]
    assert [rung.skipped for rung in left] == ["", "d: its licence is unknown"]


def test_a_head_that_no_step_can_train_gives_way() -> None:
    of = start(head="knn", strategy="features")
    assert of_name("unfreeze", of).changes == {"finetune.strategy": "full", "finetune.head": "ridge"}
    assert of_name("scratch", of).changes["finetune.head"] == "ridge"


def test_what_is_set_is_not_set_again() -> None:
    assert "finetune.bss" not in of_name("regularise", start(bss=0.5)).changes
    assert "finetune.l2_sp" not in of_name("regularise", start(l2_sp=0.5)).changes


@given(
    some.sampled_from(["staged", "features", "last-2", "gradual", "full", "norm-only", "bias-only", "selected"]),
    some.sampled_from(["ridge", "logistic", "svm", "forest", "knn"]),
    some.sampled_from(["auto", "frozen", "reestimated"]),
    some.sampled_from(["auto", 0.0, 0.01]),
    some.sampled_from([0.0, 0.001]),
    some.booleans(),
)
def test_every_rung_is_skipped_or_changes_something(
    strategy: str, head: str, norms: str, l2_sp: Any, bss: float, keeps: bool
) -> None:
    own = {"strategy": strategy, "head": head, "norms": norms, "l2_sp": l2_sp, "bss": bss}
    of = replace(start(**own), keeps_statistics=keeps)
    for rung in rungs(of):
        differs = {key: value for key, value in rung.changes.items() if of.settings[key] != value}
        assert rung.skipped or differs, rung


def test_figures_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    actual = draw.integers(0, 4, 200)
    shares = {name: draw.dirichlet(np.ones(4), 200) for name in ("model", "scratch", "random_frozen")}
    found = validated(actual, shares["model"], {name: shares[name] for name in ("scratch", "random_frozen")})
    assert found.nll == pytest.approx(log_loss(actual, shares["model"]))
    assert found.accuracy == pytest.approx(accuracy_score(actual, shares["model"].argmax(1)))
    assert found.references["scratch"] == pytest.approx(accuracy_score(actual, shares["scratch"].argmax(1)))


def test_a_model_holds_where_it_is_behind_no_reference() -> None:
    assert Validated(0.8, 0.1, {"scratch": 0.8, "random_frozen": 0.7}).holds
    assert not Validated(0.8, 0.1, {"scratch": 0.7, "random_frozen": 0.81}).holds


def attempted(found: dict[str, Any]) -> Climbed:
    """Climb where each rung comes to what is stated of its strategy and norms; others come to the model asked for."""
    tried: list[Any] = []

    def attempt(settings: Any) -> Validated:
        tried.append(dict(settings))
        outcome = found.get(tuple(settings[key] for key in ("finetune.strategy", "finetune.norms", "finetune.bss")))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome or BEHIND

    return climbed(START, BEHIND, attempt)


BEHIND, HOLDING = Validated(0.5, 1.0, {"scratch": 0.8}), Validated(0.9, 0.2, {"scratch": 0.8})
BETTER = Validated(0.7, 0.5, {"scratch": 0.8})


def test_the_first_rung_that_holds_stands() -> None:
    found = attempted({("staged", "reestimated", 0.0): HOLDING})
    assert (found.stands, [one.rung.name for one in found.tried]) == ("norms", ["norms"])
    assert found.settings == {**SETTINGS, "finetune.norms": "reestimated"}


def test_a_rung_that_helps_without_holding_is_what_the_next_begins_with() -> None:
    found = attempted({("staged", "reestimated", 0.0): BETTER, ("full", "reestimated", 0.0): HOLDING})
    assert (found.stands, found.settings["finetune.norms"]) == ("unfreeze", "reestimated")


def test_a_rung_that_does_not_help_is_undone() -> None:
    found = attempted({("full", "auto", 0.0): HOLDING})
    assert (found.stands, found.settings) == ("unfreeze", {**SETTINGS, "finetune.strategy": "full"})


def test_a_rung_that_fails_is_told_of_and_the_next_is_tried() -> None:
    found = attempted({("staged", "reestimated", 0.0): UserError("No."), ("full", "auto", 0.0): HOLDING})
    assert (found.tried[0].failed, found.stands) == ("No.", "unfreeze")


def test_where_nothing_holds_there_is_no_transfer_and_no_other_parameter_stays_changed() -> None:
    found = attempted({("staged", "reestimated", 0.0): BETTER})
    assert found.stands == "scratch"
    assert found.settings == {**SETTINGS, "finetune.strategy": "scratch"}
    assert len(found.tried) == 6


def test_a_network_from_scratch_that_is_behind_random_features_does_not_stand() -> None:
    behind = Validated(0.2, 2.0, {"scratch": 0.2, "random_frozen": 0.8})
    found = attempted({("staged", "reestimated", 0.0): BETTER, ("scratch", "auto", 0.0): behind})
    assert (found.stands, found.settings) == ("none", {**SETTINGS, "finetune.norms": "reestimated"})
    ahead = Validated(0.9, 2.0, {"scratch": 0.95, "random_frozen": 0.8})
    assert attempted({("scratch", "auto", 0.0): ahead}).stands == "scratch"


def test_where_nothing_can_be_tried_everything_stays() -> None:
    words = {
        (one, norms, bss): UserError("No.")
        for one in ("staged", "full", "scratch")
        for norms in ("auto", "reestimated")
        for bss in (0.0, 0.001)
    }
    found = attempted(words)
    assert (found.stands, found.settings) == ("none", SETTINGS)

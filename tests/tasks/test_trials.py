"""Trials: what scores leave level is fine-tuned for a short while, and fine-tuning follows what that found."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.manifest_file import read_manifest
from flows.select import rank_all
from tasks import finetune, trials
from tasks import select as steps
from tasks.history import read_history
from tasks.params import read_params
from transfer.errors import UserError
from transfer.records import CandidateScore
from transfer.selection.trials import Arm

SetParams = Callable[..., None]
LEVEL = ["rootstock/strokes?crop_px=28&resize_px=32", "rootstock/strokes"]  # the same weights, nearly the same images


def test_level_candidates_are_tried_out_with_every_strategy(
    ranked: Path, set_params: SetParams, capsys: pytest.CaptureFixture[str]
) -> None:
    set_params(select={"candidates": LEVEL, "strategies": ["features", "full"], "trial_images": 240})
    rank_all()
    ranking = steps.read_ranking()
    scores = [CandidateScore.from_plain(row) for row in ranking["candidates"]]
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Trial of")]
    assert len(told) == 4 + 2  # four arms, and the better half of them for longer
    assert all(" in 30 images: of " in line for line in told[:4])
    assert all(" in 60 images: of " in line for line in told[4:])
    assert {score.strategy for score in scores} <= {"features", "full"}
    assert ranking["strategy"] == scores[0].strategy
    assert "by short fine-tunes of those that the scores left level" in ranking["why"]
    before = steps.RANKING.read_bytes()
    rank_all()
    assert steps.RANKING.read_bytes() == before


def test_fine_tuning_follows_the_strategy_that_was_selected(ranked: Path, set_params: SetParams) -> None:
    set_params(
        select={"candidates": LEVEL, "strategies": ["norm-only", "bias-only"], "trial_images": 60},
        finetune={"strategy": "selected"},
    )
    rank_all()
    finetune.train()
    _, outcomes = read_history(finetune.HISTORY)
    assert outcomes[-1].name == steps.read_ranking()["strategy"]


def test_nothing_is_tried_where_nothing_is_level(
    ranked: Path, set_params: SetParams, capsys: pytest.CaptureFixture[str]
) -> None:
    set_params(select={"candidates": ["rootstock/strokes"], "trial_images": 600})
    rank_all()
    assert "Trial of" not in capsys.readouterr().out
    assert steps.read_ranking()["strategy"] == "staged"


def test_an_arm_that_cannot_be_tried_is_left_out(
    ranked: Path, set_params: SetParams, capsys: pytest.CaptureFixture[str]
) -> None:
    set_params(select={"candidates": LEVEL[1:], "strategies": ["last-9", "features"], "trial_images": 60})
    rank_all()
    assert "with the strategy last-9 in 30 images: left out, " in capsys.readouterr().out
    assert steps.read_ranking()["strategy"] == "features"


def test_a_trial_of_features_alone_changes_little(ranked: Path) -> None:
    found = trials.trial_of("rootstock/strokes", Arm(0, "features"), 60, read_params())
    assert len(found.before) == len(found.after) == len(read_manifest().of_split("val")) > 5
    assert float((found.after != found.before).double().mean()) <= 1 / 3  # the head was fitted to more rows


@pytest.mark.parametrize(
    ("select", "finetuned", "sentence"),
    [
        (
            ["sideways"],
            "staged",
            r"is 'sideways', but must be a list of .* texts, each a text that is staged, features",
        ),
        (["staged", "scratch"], "selected", "fits no head to features"),
    ],
)
def test_strategies_are_checked_like_the_one_of_fine_tuning(
    project: Path, set_params: SetParams, select: list[str], finetuned: str, sentence: str
) -> None:
    set_params(select={"strategies": select}, finetune={"strategy": finetuned, "head": "svm"})
    with pytest.raises(UserError, match=sentence):
        read_params()


def test_trials_keep_no_checkpoint(ranked: Path, set_params: SetParams) -> None:
    set_params(select={"candidates": LEVEL, "trial_images": 60})
    rank_all()
    assert [*Path(".rootstock/checkpoints").glob("*")] == []
    assert json.loads(steps.RANKING.read_text())["winner"] in LEVEL

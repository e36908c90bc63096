"""Candidates are scored one by one: what fails is told of, what costs is measured once, limits are kept."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flows.select import rank_all
from tasks import scoring
from tasks import select as steps
from tasks.progress import progress
from transfer.backbones.backbone import Backbone
from transfer.errors import UserError
from transfer.records import CandidateScore

SetParams = Callable[..., None]


def test_a_candidate_without_its_weights_is_told_of_and_the_others_go_on(
    ranked: Path, set_params: SetParams, capsys: pytest.CaptureFixture[str]
) -> None:
    set_params(select={"candidates": ["rootstock/strokes@gone.pth", "rootstock/strokes", "mlflow/glyphs@champion"]})
    outcomes = rank_all()
    ranking = steps.read_ranking()
    assert [row["reference"] for row in ranking["candidates"]] == ["rootstock/strokes"] == [ranking["winner"]]
    assert [row["reference"] for row in ranking["failed"]] == ["rootstock/strokes@gone.pth", "mlflow/glyphs@champion"]
    assert "gone.pth of rootstock/strokes@gone.pth does not exist" in ranking["failed"][0]["why"]
    assert "There is no registered model" in ranking["failed"][1]["why"]
    assert "gone.pth could not be scored: The weights file" in " ".join(capsys.readouterr().out.split())
    steps.draw(outcomes)


@pytest.mark.parametrize(("error", "words"), [(MemoryError(), "does not fit into the memory"), (None, "is truncated")])
def test_a_candidate_that_cannot_run_is_told_of(
    ranked: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch, error: Exception | None, words: str
) -> None:
    Path("cut.pth").write_bytes(b"PK")
    compute = scoring.features_of

    def short(backbone: Backbone, *arguments: Any, **named: Any) -> torch.Tensor:
        if error is not None and backbone.reference.endswith("@none"):
            raise error
        return compute(backbone, *arguments, **named)

    monkeypatch.setattr(scoring, "features_of", short)
    set_params(
        select={"candidates": ["rootstock/strokes@none" if error else "rootstock/strokes@cut.pth", "rootstock/strokes"]}
    )
    rank_all()
    assert [words in row["why"] for row in steps.read_ranking()["failed"]] == [True]


def test_where_no_candidate_can_be_scored_the_stage_ends(ranked: Path, set_params: SetParams) -> None:
    before = steps.RANKING.read_bytes()
    set_params(select={"candidates": ["rootstock/strokes@gone.pth"]})
    with pytest.raises(UserError, match=r"^The weights file gone\.pth of rootstock/strokes@gone\.pth does not exist"):
        rank_all()
    set_params(select={"candidates": ["rootstock/strokes@gone.pth", "rootstock/strokes@lost.pth"]})
    with pytest.raises(
        UserError, match=r"^None of the 2 candidates could be scored; of rootstock/strokes@gone\.pth: The"
    ):
        rank_all()
    assert steps.RANKING.read_bytes() == before


def test_a_poisoned_file_is_refused_and_not_run_while_the_others_are_ranked(
    ranked: Path, set_params: SetParams
) -> None:
    Path("evil.pth").write_bytes(b"cposix\nsystem\n(S'touch ran'\ntR.")
    set_params(select={"candidates": ["rootstock/strokes@evil.pth", "rootstock/strokes"]})
    rank_all()
    (failed,) = steps.read_ranking()["failed"]
    assert "holds more than tensors and was refused, nothing in it was executed" in failed["why"]
    assert not Path("ran").exists()


def test_candidates_scored_at_once_give_the_same_ranking(ranked: Path, set_params: SetParams) -> None:
    set_params(select={"candidates": ["rootstock/strokes@none", "rootstock/strokes?crop_px=24", "rootstock/strokes"]})
    rank_all()
    alone = steps.RANKING.read_bytes()
    set_params(select={"candidates_at_once": 3})
    shutil.rmtree(".rootstock")
    rank_all()
    assert steps.RANKING.read_bytes() == alone


def test_ctrl_c_stops_candidates_at_work(ranked: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    def endless(backbone: Backbone, *arguments: Any, **named: Any) -> torch.Tensor:
        if backbone.reference == "rootstock/strokes":
            raise KeyboardInterrupt
        with progress("features", total=1000) as bar:
            for _ in range(1000):
                time.sleep(0.01)
                bar.advance()
        ended.append(backbone)
        raise AssertionError("it was not stopped")

    monkeypatch.setattr(scoring, "features_of", endless)
    set_params(select={"candidates_at_once": 2})
    with pytest.raises(KeyboardInterrupt):
        rank_all()
    assert ended == []
    with progress("later", total=1) as bar:
        bar.advance()


def test_costs_are_measured_once_and_change_no_byte_of_the_ranking(ranked: Path) -> None:
    first = rank_all()
    before, measured = steps.RANKING.read_bytes(), Path(".rootstock/speeds.json").read_text()
    again = rank_all()
    assert [outcome.cost for outcome in again] == [outcome.cost for outcome in first]
    assert Path(".rootstock/speeds.json").read_text() == measured
    Path(".rootstock/speeds.json").unlink()
    rank_all()
    assert steps.RANKING.read_bytes() == before
    cost = first[0].cost
    assert cost is not None
    assert cost.size_mb == pytest.approx(4e-6 * (691_704 + 3 * 337))
    assert 0 < cost.latency_ms < 1000
    assert cost.training_s > 0
    assert cost.training_memory_mb > 18 * cost.size_mb


def test_the_best_candidate_within_a_limit_is_chosen(ranked: Path, set_params: SetParams) -> None:
    set_params(select={"candidates": ["rootstock/strokes", "rootstock/cifar_resnet20@none"], "max_size_mb": 2.0})
    rank_all()
    ranking = steps.read_ranking()
    assert ranking["winner"] == "rootstock/cifar_resnet20@none"
    best, other = (CandidateScore.from_plain(row) for row in ranking["candidates"])
    assert (best.beyond, other.beyond) == ("", "larger than select.max_size_mb")
    assert (best.probability_best, other.probability_best) == (1.0, 0.0)
    assert "the only candidate within the limits" in ranking["why"]
    set_params(select={"max_size_mb": 0.5})
    with pytest.raises(
        UserError, match=r"max_size_mb is 0\.5, but rootstock/cifar_resnet20@none, the lowest, is at 1\.0"
    ):
        rank_all()

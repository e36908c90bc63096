"""The whole pipeline as a user runs it: what it makes, what it repeats, what it refuses, how it is stopped."""

import json
import signal
from typing import Any

import pytest

from tests.stages import ORDER

UP_TO_DATE = "Data and pipelines are up to date."
INTERRUPTED = "Interrupted; run the same command again to go on.\n"


def test_first_run_ends_with_a_champion_and_says_so(finished: Any, first_run: Any) -> None:
    for word in ("tiny version 1, models:/tiny@champion", "test images", "from scratch", "register", "Next:"):
        assert word in first_run.out
    assert first_run.err == ""
    figures = json.loads((finished.folder / "artifacts/evaluate/metrics.json").read_text(encoding="utf-8"))
    assert {"accuracy", "accuracy_low", "accuracy_high", "macro_f1", "n_test"} <= figures.keys()
    assert finished.alias_version() == 1


def test_data_set_inside_is_tracked_and_the_user_told(finished: Any, first_run: Any) -> None:
    assert "Note: data/tiny is now tracked by DVC; commit data/tiny.dvc" in first_run.out
    assert (finished.folder / "data" / "tiny.dvc").is_file()


def test_overrides_are_in_params_with_its_comments(finished: Any) -> None:
    text = finished.params
    assert "path: data/tiny " in text
    assert "max_images_seen: 60 " in text
    assert "# a folder of class folders" in text


def test_every_stage_is_a_child_of_the_run(finished: Any) -> None:
    finished_runs = finished.rows("mlruns/mlflow.db", "select name from runs where status = 'FINISHED'")
    assert {name for (name,) in finished_runs} >= set(ORDER)
    flows = finished.rows(
        ".prefect/prefect.db",
        "select flow.name from flow_run join flow on flow.id = flow_run.flow_id where state_type = 'COMPLETED'",
    )
    assert {name for (name,) in flows} == {*ORDER, "pipeline"}


def test_second_run_has_nothing_to_do_and_says_it_at_once(finished: Any) -> None:
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    assert "Everything is up to date: 0 stages ran. models:/tiny@champion has test accuracy" in again.out
    assert again.cpu_s <= 5
    assert UP_TO_DATE in finished.dvc("status")
    assert UP_TO_DATE in finished.dvc("repro")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.path=../nowhere", "data.path is '../nowhere', but there is no such folder"),
        ("finetune.epoch=3", "there is no parameter 'finetune.epoch'; did you mean finetune.epochs?"),
        ("select.candidates=[]", "select.candidates is [], but must be a list of one or more"),
        ("select.candidates=rootstock/strokes@w.pth", "The weights file w.pth of the candidate"),
        ("select.candidates=torchvision/resnet17", "resnet17"),
        ("finetune.epochs", "has no '='"),
    ],
)
def test_mistyped_override_changes_nothing(finished: Any, override: str, words: str) -> None:
    finished.assert_refuses(words, override)


def test_unknown_key_in_params_changes_nothing(finished: Any) -> None:
    kept = finished.params
    (finished.folder / "params.yaml").write_text(kept.replace("  epochs:", "  epoch:"), encoding="utf-8")
    finished.assert_refuses("there is no parameter 'finetune.epoch'")
    (finished.folder / "params.yaml").write_text(kept, encoding="utf-8")


@pytest.mark.slow
def test_interrupted_stage_is_taken_up_again_and_keeps_others_out(finished: Any) -> None:
    stopped = finished.stopped_in("evaluate", signal.SIGINT, "evaluate.confidence=0.9")
    assert (stopped.code, stopped.err) == (130, INTERRUPTED)
    assert finished.processes() == []
    again = finished.rootstock("run")
    assert again.code == 0, again.err
    assert "finetune unchanged" in again.words
    assert UP_TO_DATE in finished.dvc("status")
    assert finished.alias_version() == 1

"""The gate decides by criteria and by the comparison with the champion; what it says is done and written down."""

from pathlib import Path
from typing import Any

import pytest

from adapters.json_files import read_json, write_json
from adapters.mlflow_aliases import aliased
from adapters.mlflow_store import open_client
from adapters.promotion_ledger import LEDGER, read_ledger
from adapters.promotions import BY_PERSON, GATE, OUTSIDE, ROLLBACK, Move, move, settle
from tasks.gate import judge
from tasks.handoffs import MODEL, REGISTRATION, VERDICT
from tasks.params import read_params
from tasks.register import _release, publish
from tests.tasks.left_artifacts import champion, compare, leave_artifacts, leave_looks, set_param


@pytest.mark.parametrize(
    ("paired", "line", "expected", "words"),
    [
        ((20, 2, 300), "", "2", "Promoted as superior: +6.0 points against the champion on 300 test images"),
        ((2, 20, 300), "", "1", "Not promoted: the champion is better; -6.0 points"),
        ((2, 3, 300), "", "1", "Not promoted: it is neither shown to be better nor to be at most 1 point worse"),
        ((5, 5, 3000), "", "1", "Left to a person: at most 1 point worse than the champion, but not shown"),
        ((20, 2, 300), "promote: by-hand", "1", "Left to a person: superior, but promotion is by hand"),
        ((20, 2, 300), "min_accuracy: 0.85", "1", "Not promoted: the lower bound of accuracy is 0.800, below 0.85"),
        ((20, 2, 300), "max_size_mb: 0.1", "1", "Not promoted: the size is above 0.1 MB"),
        ((20, 2, 300), "max_latency_p95_ms: 0.0001", "1", "the 95th percentile of latency is above 0.0001 ms"),
        ((20, 2, 300), "max_latency_p95_ms: 60000", "2", "Promoted as superior"),
        ((20, 2, 300), "min_worst_slice: 0.7", "1", "Not promoted: the worst slice is not known"),
        ((20, 2, 300), "max_ece: 0.1", "1", "Not promoted: the calibration error was not measured"),
    ],
)
def test_the_gate_decides_who_is_champion(
    mlflow_project: Path, paired: tuple[int, int, int], line: str, expected: str, words: str
) -> None:
    leave_artifacts()
    publish()
    leave_artifacts(1)
    compare(paired)
    if line:
        key = line.partition(":")[0]
        set_param(f"  {key}: {'superior' if key == 'promote' else 'null'}", f"  {line}")
    judged = judge(mlflow_project, _release(), "2", read_params().register)
    assert words in judged.tags["gate_why"]
    assert (judged.decision.outcome == "promote") == (expected == "2")
    assert (judged.before, judged.against) == ("1", judged.tags["gate_against"])
    assert judged.plain["sentence"] == judged.decision.sentence


@pytest.mark.parametrize(("n_challengers", "outcome"), [(1, "promote"), (10, "ask")])
def test_of_many_challengers_each_has_to_show_more(mlflow_project: Path, n_challengers: int, outcome: str) -> None:
    leave_artifacts()
    publish()
    leave_artifacts(1)
    compare((14, 3, 300), n_challengers=n_challengers)  # exact one-sided p = 0.0064; 0.025 and 0.0025 are asked
    judged = judge(mlflow_project, _release(), "2", read_params().register)
    assert judged.decision.outcome == outcome
    assert ("asked about 10 models beside the champion" in judged.decision.sentence) == (n_challengers == 10)


def test_the_bound_of_accuracy_is_the_one_after_all_looks(mlflow_project: Path) -> None:
    leave_artifacts()
    leave_looks(low=0.7, n_models=9)
    set_param("  min_accuracy: null", "  min_accuracy: 0.75")
    judged = judge(mlflow_project, _release(), "1", read_params().register)
    assert judged.decision.sentence.startswith("Not promoted: the lower bound of accuracy is 0.700, below 0.75")


def test_what_the_gate_says_is_done_and_written_down(mlflow_project: Path) -> None:
    leave_artifacts()
    publish()
    for seed, paired, expected in ((1, (2, 20, 300), "1"), (2, (20, 2, 300), "3")):
        leave_artifacts(seed)
        compare(paired)
        publish()
        assert (champion(), champion("challenger")) == (expected, str(seed + 1))
        said = read_json(REGISTRATION)["promotion"]
        assert open_client().get_model_version("digits", str(seed + 1)).tags["gate_why"] == said["sentence"]
    assert [(line.before, line.after, line.by) for line in read_ledger(mlflow_project).lines] == [
        (None, "1", "gate"),
        ("1", "3", "gate"),
    ]
    line = read_ledger(mlflow_project).lines[-1]
    assert (line.why, dict(line.decision or {})) == (said["sentence"], said)
    assert line.decision is not None
    assert line.decision["only_challenger"] == 20


def test_rows_that_the_champion_has_seen_are_told_of(mlflow_project: Path) -> None:
    leave_artifacts()
    publish()
    leave_artifacts(1)
    compare((20, 2, 300), n_left_out=7, seen_known=False)
    publish()
    sentence = read_json(REGISTRATION)["promotion"]["sentence"]
    assert "Note: 7 test images that the champion has learned from were left out; which images the champion" in sentence


def test_a_champion_that_changed_since_the_comparison_stays(mlflow_project: Path) -> None:
    leave_artifacts()
    publish()
    leave_artifacts(1)
    compare((20, 2, 300))
    open_client().create_model_version("digits", "file:///other")
    open_client().set_registered_model_alias("digits", "champion", "2")
    publish()
    assert champion() == "2"
    assert "the champion is another one than it was compared with" in read_json(REGISTRATION)["promotion"]["sentence"]


@pytest.mark.parametrize("verdict", [{"transfer_helped": False}, {"verdict": "negative", "transfer_helped": None}])
def test_a_negative_verdict_makes_no_champion(mlflow_project: Path, verdict: dict[str, Any]) -> None:
    leave_artifacts()
    write_json(VERDICT, {"sentence": "It hurt.", **verdict}, {"transfer": MODEL / "model.safetensors"})
    publish()
    assert champion("challenger") == "1"
    assert aliased(mlflow_project, "digits", "champion") is None
    words = "the verdict is negative: the network from scratch or the random frozen one is better"
    assert words in read_json(REGISTRATION)["promotion"]["sentence"]


@pytest.mark.parametrize("by", [ROLLBACK, BY_PERSON])
def test_what_a_person_took_back_is_not_promoted_again_by_itself(mlflow_project: Path, by: str) -> None:
    leave_artifacts()
    publish()
    leave_artifacts(1)
    compare((20, 2, 300))
    publish()
    move(mlflow_project, Move("digits", "2", "1", by, "wrong on the new scanner"))
    compare((20, 2, 300))
    publish()
    assert champion() == "1"
    said = read_json(REGISTRATION)["promotion"]
    assert said["outcome"] == "ask"
    assert "gave its place to version 1 on 20" in said["sentence"]
    assert "(wrong on the new scanner), so a person has to promote it (the gate: Promoted as" in said["sentence"]
    assert said["only_challenger"] == 20
    compare((2, 20, 300))
    publish()
    assert read_json(REGISTRATION)["promotion"]["outcome"] == "refuse"
    compare((20, 2, 300))
    move(mlflow_project, Move("digits", "1", "2", BY_PERSON, "it was the scanner"))
    move(mlflow_project, Move("digits", "2", "1", GATE, "better"))
    publish()
    assert champion() == "2", "a later promotion by a person lifts it"


def move_at_the_page(after: str | None) -> None:
    if after is None:
        open_client().delete_registered_model_alias("digits", "champion")
    else:
        open_client().set_registered_model_alias("digits", "champion", after)


@pytest.mark.parametrize(("after", "settled"), [("1", False), ("2", False), ("2", True), (None, False), (None, True)])
def test_what_was_done_at_the_page_of_mlflow_is_not_undone(
    mlflow_project: Path, after: str | None, settled: bool
) -> None:
    for seed in range(3):
        leave_artifacts(seed)
        compare((20, 2, 300))
        publish()
    assert champion() == "3"
    move_at_the_page(after)
    if settled:
        settle(mlflow_project)
    compare((20, 2, 300))
    publish()
    found, said = aliased(mlflow_project, "digits", "champion"), read_json(REGISTRATION)["promotion"]
    assert (found.version if found else None) == after
    assert said["outcome"] == "ask"
    heir = "no version" if after is None else f"version {after}"
    assert f"somebody gave its place to {heir} on 20" in said["sentence"]
    assert read_ledger(mlflow_project).lines[-1].by == OUTSIDE


def test_a_champion_of_a_time_before_the_ledger_that_a_person_replaced_is_not_promoted_again(
    mlflow_project: Path,
) -> None:
    leave_artifacts()
    publish()
    (mlflow_project / LEDGER).unlink()
    open_client().create_model_version("digits", "file:///other")
    move(mlflow_project, Move("digits", "1", "2", BY_PERSON, "wrong on the new scanner"))
    compare((20, 2, 300))
    publish()
    assert champion() == "2"
    assert read_json(REGISTRATION)["promotion"]["outcome"] == "ask"

"""What two dvc.lock files say, in the order of the graph."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.lock_records import changed, read_lock, up_to

STAGES: dict[str, Any] = {
    "evaluate": {
        "deps": [{"path": "artifacts/model", "md5": "m.dir"}, {"path": "tasks/evaluate.py", "md5": "e"}],
        "outs": [{"path": "artifacts/verdict.json", "md5": "v"}],
    },
    "finetune": {
        "deps": [{"path": "data/digits", "md5": "d.dir"}, {"path": "artifacts/manifest/table", "md5": "t"}],
        "params": {
            "params.yaml": {"finetune": {"seed": 0, "weights": {"a": 1}}, "select.epochs": 2, "register.name": None}
        },
        "outs": [{"path": "artifacts/model", "md5": "m.dir"}],
    },
    "manifest": {
        "deps": [{"path": "data/digits", "md5": "d.dir"}],
        "outs": [{"path": "artifacts/manifest", "md5": "t"}],
    },
    "other": {"deps": [{"path": "artifacts/models", "md5": "x"}], "outs": [{"path": "artifacts/other", "md5": "o"}]},
    "sample": {"outs": [{"path": "data/digits", "md5": "d.dir"}]},
}


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "dvc.lock"
    path.write_text(yaml.safe_dump({"schema": "2.0", "stages": STAGES}), encoding="utf-8")
    return path


def test_a_stage_comes_after_all_that_it_reads_from(lock: Path) -> None:
    order = list(read_lock(lock))
    assert sorted(order) == sorted(STAGES)
    for before, after in (
        ("sample", "manifest"),
        ("manifest", "finetune"),
        ("sample", "finetune"),
        ("finetune", "evaluate"),
    ):
        assert order.index(before) < order.index(after)


def test_only_what_a_stage_was_made_from_counts(lock: Path) -> None:
    stages = read_lock(lock)
    assert list(up_to(stages, "evaluate")) == ["sample", "manifest", "finetune", "evaluate"]
    assert list(up_to(stages, "manifest")) == ["sample", "manifest"]
    assert list(up_to(stages, "other")) == ["other"]


def test_parameters_are_under_their_dotted_keys(lock: Path) -> None:
    assert read_lock(lock)["finetune"].params == {
        "finetune.seed": 0,
        "finetune.weights": {"a": 1},
        "select.epochs": 2,
        "register.name": None,
    }


def test_what_only_one_has_is_changed() -> None:
    assert changed({"a": 1, "b": None, "c": 3}, {"a": 1, "c": 4, "d": None}) == ["b", "c", "d"]


def test_no_lock_has_no_stages(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "dvc.lock") == {}

"""Which stages have something to do follows from what DVC reports and from the graph."""

from pathlib import Path
from typing import Any

import pytest

from adapters import dvc_commands
from tasks.staleness import STAGES, stale_stages


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({}, set()),
        ({"register": [{"changed deps": {}}]}, {"register"}),
        ({"evaluate": ["changed command"]}, {"evaluate", "register"}),
        ({"select": []}, {"select", "finetune", "reference", "evaluate", "register"}),
        ({"sample": []}, set(STAGES)),
        ({"data/photos.dvc": []}, set()),
        ({"data/photos.dvc": [], "manifest": []}, set(STAGES) - {"sample"}),
    ],
)
def test_change_reaches_everything_that_reads_from_it(
    reported: dict[str, Any], expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dvc.lock").touch()
    monkeypatch.setattr(dvc_commands, "status", lambda _: reported)
    assert stale_stages(tmp_path) == expected


def test_everything_is_stale_where_nothing_ran_as_dvc_would_say(project: Path) -> None:
    reported = dvc_commands.status(project)
    assert stale_stages(project) == set(STAGES) == set(reported) & set(STAGES)


def test_order_of_the_stages_is_one_that_dvc_could_run() -> None:
    order = list(STAGES)
    for stage, upstream in STAGES.items():
        assert all(order.index(earlier) < order.index(stage) for earlier in upstream)

"""Which stages have something to do follows from what DVC reports and from the graph."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from adapters import dvc_commands
from tasks.handoffs import RANKING
from tasks.staleness import STAGES, left_out, stale_stages

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({}, set()),
        ({"register": [{"changed deps": {}}]}, {"register", "report"}),
        ({"evaluate": ["changed command"]}, {"evaluate", "explain", "register", "report"}),
        ({"select": []}, {"select", "finetune", "reference", "evaluate", "explain", "register", "report"}),
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


def test_a_candidate_whose_weights_are_here_by_now_is_tried_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "dvc.lock").touch()
    monkeypatch.setattr(dvc_commands, "status", lambda _: {})
    ranked = project / RANKING
    ranked.parent.mkdir(parents=True)
    rows = [
        {"reference": "rootstock/strokes@late.safetensors", "why": "absent", "can_be_mended": True},
        {"reference": "rootstock/strokes@none", "why": "memory", "can_be_mended": False},
    ]
    ranked.write_text(json.dumps({"failed": rows}))
    assert left_out(project) == ("rootstock/strokes@late.safetensors",)
    assert stale_stages(project) == set()
    shutil.copyfile(ROOT / "backbones" / "strokes.safetensors", project / "late.safetensors")
    assert stale_stages(project) == {"select", "finetune", "reference", "evaluate", "explain", "register", "report"}

"""Where transfer hurt: the run warns, stops or climbs, by every door, and what stands is reproduced by DVC."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference

pytestmark = pytest.mark.slow

UP_TO_DATE = "Data and pipelines are up to date."
PLANTED = (
    "data.path=data/planted",
    "select.candidates=rootstock/strokes@dead.pth",
    "select.memory=false",
    "finetune.strategy=features",
    "finetune.max_images_seen=200",
    "register.allow_unknown_licence=true",
)


@pytest.fixture(scope="module")
def planted(small: Any, draw: Any) -> Any:
    """Return a project whose only backbone has norm statistics of images that are far away: its features are dead."""
    draw(small.folder / "data" / "planted", n_per_class=60)
    backbone = build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=0)
    state = backbone.trunk.state_dict()
    for name, value in state.items():
        if name.endswith("running_mean"):
            value.fill_(1000.0)
    torch.save(state, small.folder / "dead.pth")
    return small


@dataclass(frozen=True)
class Stopped:
    """What a run with `stop` ended with, and what was there then."""

    ending: Any
    verdict: str
    registered: bool
    params: str
    again: Any
    by_dvc: str
    looked_again: bool


@pytest.fixture(scope="module")
def stopped(planted: Any) -> Stopped:
    """Run it with `stop`, by every door."""
    ending = planted.rootstock("run", *PLANTED, "evaluate.on_negative=stop")
    assert ending.code == 3, (ending.out, ending.err)
    file = planted.folder / "artifacts/evaluate/verdict.json"
    verdict, params, looked_at = (
        read(planted, "evaluate/verdict.json")["verdict"],
        planted.params,
        file.stat().st_mtime_ns,
    )
    registered = (planted.folder / "artifacts/register/registration.json").exists()
    again, by_dvc = planted.rootstock("run"), planted.dvc("repro")
    return Stopped(ending, verdict, registered, params, again, by_dvc, file.stat().st_mtime_ns != looked_at)


def read(project: Any, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(project.folder, "artifacts", name).read_text(encoding="utf-8"))
    return content


def test_stop_ends_before_register_with_a_sentence_and_a_code_of_its_own(stopped: Stopped) -> None:
    assert "Transfer hurt" in stopped.ending.err
    assert "Nothing is registered, since evaluate.on_negative is stop" in stopped.ending.err
    assert stopped.verdict == "negative"
    assert not stopped.registered
    assert "on_negative: stop" in stopped.params


def test_stop_says_the_same_by_every_door_and_looks_at_nothing_again(stopped: Stopped) -> None:
    assert (stopped.again.code, stopped.again.err) == (3, stopped.ending.err)
    assert "Nothing is registered, since evaluate.on_negative is stop" in stopped.by_dvc
    assert not stopped.looked_again


def test_mitigate_climbs_until_validation_holds_and_dvc_reproduces_it(planted: Any, stopped: Stopped) -> None:
    climbed = planted.rootstock("run", "evaluate.on_negative=mitigate")
    assert climbed.code == 0, climbed.err
    assert read(planted, "evaluate/verdict.json")["verdict"] != "negative"
    record = read(planted, "evaluate/mitigation.json")
    assert (record["stands"], record["changes"]) == ("norms", {"finetune.norms": "reestimated"})
    assert "Mitigation" in climbed.out
    assert "What stands: norms." in climbed.words
    assert "norms: reestimated " in planted.params
    assert UP_TO_DATE in planted.dvc("status")
    assert UP_TO_DATE in planted.dvc("repro")
    again = planted.rootstock("run")
    assert "Everything is up to date: 0 stages ran." in again.out
    tags = planted.rows("mlruns/mlflow.db", "select value from tags where key = 'mitigation'")
    assert tags == [("norms",)]
    assert not (planted.folder / ".rootstock/climb.json").exists()

"""Where transfer hurt: the run warns, stops or climbs, by every door, and what stands is reproduced by DVC."""

import json
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


@pytest.fixture(scope="module")
def stopped(planted: Any) -> Any:
    """Run it with `stop`."""
    return planted.rootstock("run", *PLANTED, "evaluate.on_negative=stop")


def read(project: Any, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(project.folder, "artifacts", name).read_text(encoding="utf-8"))
    return content


def test_stop_ends_before_register_with_a_sentence_and_a_code_of_its_own(planted: Any, stopped: Any) -> None:
    assert stopped.code == 3, (stopped.out, stopped.err)
    assert "Transfer hurt" in stopped.err
    assert "Nothing is registered, since evaluate.on_negative is stop" in stopped.err
    assert read(planted, "evaluate/verdict.json")["verdict"] == "negative"
    assert not (planted.folder / "artifacts/register/registration.json").exists()
    assert "on_negative: stop" in planted.params


def test_stop_says_the_same_by_every_door_and_looks_at_nothing_again(planted: Any, stopped: Any) -> None:
    looked_at = (planted.folder / "artifacts/evaluate/verdict.json").stat().st_mtime_ns
    again = planted.rootstock("run")
    assert (again.code, again.err) == (3, stopped.err)
    assert "Nothing is registered, since evaluate.on_negative is stop" in planted.dvc("repro")
    assert (planted.folder / "artifacts/evaluate/verdict.json").stat().st_mtime_ns == looked_at


def test_mitigate_climbs_until_validation_holds_and_dvc_reproduces_it(planted: Any, stopped: Any) -> None:
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

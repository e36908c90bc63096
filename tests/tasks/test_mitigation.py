"""The ladder on real stages: a backbone with statistics of images that are far away hurts, and what mends it stands."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from adapters import launch
from adapters.json_files import read_plain_json, write_json, write_plain_json
from adapters.manifest_file import MANIFEST, QUARANTINE
from tasks import evaluate, finetune, manifest, mitigation, overrides, pipeline, reference
from tasks.handoffs import MITIGATION, VERDICT
from tasks.mitigation_record import climbed, sentence
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.data.encoding import grey_png
from transfer.errors import UserError

CLASSES = ("bars", "dots", "rings")
ASKED = {
    "select.candidates": ["rootstock/strokes@dead.pth"],
    "select.memory": False,
    "finetune.strategy": "features",
    "finetune.max_images_seen": 90,
    "evaluate.resamples": 100,
    "evaluate.on_negative": "mitigate",
}


def stages() -> dict[str, tuple[Callable[[], None], ...]]:
    """Return what the stages of a climb do, without DVC."""
    from flows.select import rank_all

    return {
        "select": (rank_all,),
        "finetune": (finetune.train,),
        "reference": (
            reference.train_from_scratch,
            reference.probe_random_features,
            reference.probe_pretrained_features,
        ),
        "evaluate": (evaluate.measure,),
    }


def reproduced(ran: list[str]) -> Callable[..., dict[str, Any]]:
    """Return what runs a stage in this process, and notes that it did."""

    def reproduce(stage: str, **_: Any) -> dict[str, Any]:
        for step in stages().get(stage, ()):
            step()
        ran.append(stage)
        return {"stage": stage}

    return reproduce


def params_of(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def negative_once(lay_out: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project in which the verdict on a dead backbone is negative, and mitigation is asked for."""
    folder = tmp_path_factory.mktemp("negative") / "project"
    lay_out(folder)
    with contextlib.chdir(folder):
        _draw(folder / "data" / "digits")
        state = build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=0).trunk.state_dict()
        for name, value in state.items():
            if name.endswith("running_mean"):
                value.fill_(1000.0)
        torch.save(state, folder / "dead.pth")
        overrides.write_overrides(folder, ASKED)
        manifest.describe()
        write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
        for stage in stages():
            reproduced([])(stage)
    return folder


@pytest.fixture
def negative(project: Path, negative_once: Path) -> Path:
    """Make a project of its own, as `negative_once` is."""
    return Path(shutil.copytree(negative_once, project, dirs_exist_ok=True))


def test_it_climbs_by_validation_and_leaves_what_stands_in_the_parameters(negative: Path) -> None:
    assert read_plain_json(VERDICT)["verdict"] == "negative"
    before, ran = (negative / "params.yaml").read_text(encoding="utf-8"), list[str]()
    assert mitigation.is_due(negative)
    times = mitigation.climb(negative, reproduced(ran))
    assert [one["stage"] for one in times] == ran
    assert ran[:2] == ["finetune", "reference"]
    assert ran[-1] == "evaluate"
    assert ran.count("evaluate") == 1
    record = climbed(negative)
    assert record is not None
    assert (record["stands"], record["changes"]) == ("norms", {"finetune.norms": "reestimated"})
    assert read_plain_json(VERDICT)["verdict"] != "negative"
    mended = before.replace("norms: auto       ", "norms: reestimated")
    assert (negative / "params.yaml").read_text(encoding="utf-8") == mended
    assert sentence(record).endswith("What stands: norms.")
    assert not mitigation.is_due(negative)
    assert mitigation.climb(negative, reproduced(ran)) == []


@pytest.mark.parametrize("word", ["warn", "stop"])
def test_it_climbs_only_where_that_is_asked_for(negative: Path, word: str) -> None:
    params = negative / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("on_negative: mitigate", f"on_negative: {word}"))
    assert mitigation.climb(negative, reproduced([])) == []
    assert not (negative / MITIGATION).exists()


def test_an_interrupted_climb_puts_the_parameters_back(negative: Path) -> None:
    before = (negative / "params.yaml").read_text(encoding="utf-8")

    def interrupted(stage: str, **_: Any) -> dict[str, Any]:
        assert params_of(negative)["finetune"]["norms"] == "reestimated"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mitigation.climb(negative, interrupted)
    assert (negative / "params.yaml").read_text(encoding="utf-8") == before
    assert not (negative / ".rootstock" / "climb.json").exists()


@pytest.fixture
def killed(negative: Path, tmp_path: Path) -> Path:
    """Return a project as a climb leaves it whose process is killed in its first rung."""

    def interrupted(stage: str, **_: Any) -> dict[str, Any]:
        shutil.copytree(negative / ".rootstock", tmp_path / "state")
        shutil.copyfile(negative / "params.yaml", tmp_path / "params.yaml")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mitigation.climb(negative, interrupted)
    shutil.copytree(tmp_path / "state", negative / ".rootstock", dirs_exist_ok=True)
    shutil.copyfile(tmp_path / "params.yaml", negative / "params.yaml")
    assert params_of(negative)["finetune"]["norms"] == "reestimated"
    assert (negative / ".rootstock" / "climb.json").is_file()
    return negative


@pytest.mark.parametrize(
    ("edit", "norms", "told"),
    [
        (None, "auto", ""),
        (("norms: reestimated", "norms: frozen"), "frozen", "finetune.norms in params.yaml, edited since"),
        (("strategy: features", "strategy: gradual"), "auto", "finetune.strategy in params.yaml, edited since"),
        (("max_images_seen: 90", "max_images_seen: 80"), "auto", ""),
    ],
)
def test_after_a_killed_climb_the_next_run_puts_back_what_nobody_edited_since(
    killed: Path, edit: tuple[str, str] | None, norms: str, told: str
) -> None:
    params = killed / "params.yaml"
    before = params.read_text(encoding="utf-8")
    if edit is not None:
        assert edit[0] in before
        params.write_text(before.replace(*edit), encoding="utf-8")
    said = mitigation.put_back(killed)
    assert (said[: len(told)], bool(said)) == (told, bool(told))
    assert params_of(killed)["finetune"]["norms"] == norms
    if edit is not None:
        assert edit[1] in params.read_text(encoding="utf-8")
    assert mitigation.put_back(killed) == ""


def test_what_no_longer_goes_together_stays_as_edited(killed: Path) -> None:
    left = read_plain_json(killed / ".rootstock" / "climb.json")
    overrides.write_overrides(killed, {"finetune.strategy": "full", "finetune.norms": "auto"})
    left["written"] |= {"finetune.strategy": ["features", "full"]}
    write_plain_json(killed / ".rootstock" / "climb.json", left)
    params = killed / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("norms: auto ", "norms: trained "), encoding="utf-8")
    edited = params.read_text(encoding="utf-8")
    assert "norms is 'trained', but finetune.strategy features trains no layer" in mitigation.put_back(killed)
    assert params.read_text(encoding="utf-8") == edited
    assert mitigation.put_back(killed) == ""


def test_rungs_that_cannot_be_followed_are_told_of(negative: Path) -> None:
    ran: list[str] = []
    whole = reproduced(ran)

    def refusing(stage: str, **more: Any) -> dict[str, Any]:
        settings = params_of(negative)["finetune"]
        if stage == "finetune" and settings["strategy"] in ("features", "full"):
            raise UserError(f"Not with {settings['strategy']}.")
        return whole(stage, **more)

    mitigation.climb(negative, refusing)
    record = climbed(negative)
    assert record is not None
    assert record["stands"] == "scratch"
    assert "norms failed: Not with features; unfreeze failed: Not with full" in sentence(record)
    assert "begin" in read_plain_json(VERDICT)["sentence"] or "began" in read_plain_json(VERDICT)["sentence"]


@pytest.mark.parametrize("allowed", [False, True])
def test_a_backbone_of_unknown_licence_is_no_rung_unless_that_is_allowed(negative: Path, allowed: bool) -> None:
    shutil.copyfile(negative / "dead.pth", negative / "other.pth")
    pair = ["rootstock/strokes@dead.pth", "rootstock/strokes@other.pth"]
    told: list[str] = []
    overrides.write_overrides(negative, {"select.candidates": pair, "register.allow_unknown_licence": allowed})
    for stage in stages():
        reproduced([])(stage)
    whole = reproduced([])

    def refusing(stage: str, **more: Any) -> dict[str, Any]:
        settings = params_of(negative)
        candidates, strategy = settings["select"]["candidates"], settings["finetune"]["strategy"]
        told.append(candidates[0])
        if stage == "finetune" and candidates == pair and strategy != "scratch":
            raise UserError(f"Not with {strategy}.")
        if stage == "finetune" and candidates != pair:
            raise UserError("It is tried.")
        return whole(stage, **more)

    mitigation.climb(negative, refusing)
    record = climbed(negative)
    assert record is not None
    (rung,) = [one for one in record["tried"] if one["rung"] == "backbone"]
    assert ("rootstock/strokes@other.pth" in told) == allowed
    skipped = "rootstock/strokes@other.pth: the licence and origin of its weights are unknown"
    assert (rung.get("skipped"), rung.get("failed")) == ((None, "It is tried.") if allowed else (skipped, None))


def test_what_was_climbed_stays_where_a_later_stage_refuses(negative: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(launch.WARM, "nobody.sock")
    later = negative / "artifacts" / "register" / "registration.json"

    def run() -> None:
        with pipeline.project_run(None, None) as project:
            pipeline.climb(project, reproduced([]))
            write_plain_json(later, {})
            raise UserError("No licence.")

    with pytest.raises(UserError, match=r"^No licence\. What other parameters came to .* \(norms\), and the next run"):
        run()
    assert params_of(negative)["finetune"]["norms"] == "reestimated"
    assert climbed(negative) is not None
    assert not mitigation.is_due(negative)
    assert not later.exists()
    with pytest.raises(UserError, match=r"^No licence\.$"):
        run()


def _draw(folder: Path) -> None:
    from adapters.digits import write_class_folders

    draw, rows = np.random.default_rng(0), np.mgrid[0:8, 0:8]
    shapes = {"bars": rows[1] % 4 < 2, "dots": (rows[0] + rows[1]) % 2 == 0, "rings": np.hypot(*(rows - 3.5)) > 2.5}
    names = [name for name in CLASSES for _ in range(45)]
    pictures = [(170.0 * shapes[name] + draw.normal(40, 15, (8, 8))).clip(0, 255).astype(np.uint8) for name in names]
    write_class_folders(folder, names, [grey_png(one, 32) for one in pictures])

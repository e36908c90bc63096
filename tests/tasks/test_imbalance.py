"""Unequal classes from folders to figures: told before training, kept, the same for the references."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.json_files import write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from flows.select import rank_all
from tasks import evaluate, finetune, manifest, reference
from tasks.handoffs import METRICS
from tasks.imbalance import balance_in, balance_params
from tasks.params import read_params
from transfer.errors import UserError
from transfer.records import REMEDIES


@pytest.fixture
def unequal(ranked: Path) -> Path:
    """Return a project whose class "bars" has five times as many images as the others."""
    draw = np.random.default_rng(0)
    for path in sorted(Path("data/digits/bars").iterdir()):
        grey = np.asarray(Image.open(path).convert("L"), dtype=np.float64)
        for copy in range(4):
            noisy = (grey + draw.normal(0, 12, grey.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(path.with_name(f"{path.stem}_{copy}.png"))
    manifest.describe()
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
    rank_all()
    return ranked


def test_the_remedy_is_told_kept_and_given_to_the_references(unequal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finetune.train()
    found = balance_in(finetune.HISTORY)
    assert found.equally
    assert found.remedy in REMEDIES
    assert found.counts[0] > 3 * max(found.counts[1:])
    said = capsys.readouterr().out
    assert said.index(f"{found.why}.") < said.index("Plan of fine-tuning")
    plan = json.loads(finetune.PLAN.read_text(encoding="utf-8"))
    assert plan["balance"]["remedy"] == found.remedy
    assert balance_params(found)["classes.remedy"] == found.remedy
    _, target = reference._prepare(read_params(), read_manifest())
    assert target.balance == found
    reference.train_from_scratch()
    reference.probe_random_features()
    reference.probe_pretrained_features()
    evaluate.measure()
    metrics = json.loads(METRICS.read_text(encoding="utf-8"))
    for name in ("", "scratch_", "random_frozen_"):
        low, value, high = (metrics[f"{name}balanced_accuracy{end}"] for end in ("_low", "", "_high"))
        assert 0 <= low <= value <= high <= 1
        if name:
            gain = metrics["balanced_accuracy"] - value
            assert metrics[f"{name}balanced_gain"] == pytest.approx(gain, abs=2e-6)


def test_a_reference_without_a_history_is_refused(ranked: Path) -> None:
    with pytest.raises(UserError, match=r"history\.json is missing; run the stage that writes it"):
        reference.train_from_scratch()


def test_it_can_be_switched_off(unequal: Path) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("imbalance: auto", "imbalance: none"), encoding="utf-8")
    finetune.train()
    found = balance_in(finetune.HISTORY)
    assert (found.equally, found.remedy) == (False, "none")
    assert found.why.endswith("each image counts the same, as finetune.imbalance says")


def test_about_equal_classes_are_left_as_they_are(ranked: Path) -> None:
    finetune.train()
    found = balance_in(finetune.HISTORY)
    assert (found.equally, found.remedy, found.loo_nlls) == (False, "none", ())

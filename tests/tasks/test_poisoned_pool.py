"""A pool with candidates that were made to mislead: none is chosen, and what is no weights file is not run."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from adapters.json_files import write_json
from adapters.manifest_file import MANIFEST, QUARANTINE
from flows.select import rank_all
from tasks import manifest, sample
from tasks import select as steps
from transfer.backbones.strokes import FEATURE_DIM, strokes

SHIPPED = Path(__file__).resolve().parents[2] / "backbones" / "strokes.safetensors"


def _digits() -> tuple[Tensor, Tensor]:
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
    images = functional.interpolate(images, size=32, mode="bicubic").expand(-1, 3, -1, -1)
    return images, torch.tensor(digits.target)


def _trained_on(images: Tensor, labels: Tensor, path: Path) -> str:
    """Train the shipped backbone on, long enough to forget what it knew, and save it as if it were any weights file."""
    trunk, head = strokes(), nn.Linear(FEATURE_DIM, 10)
    trunk.load_state_dict(load_file(SHIPPED))
    learner = torch.optim.AdamW([*trunk.parameters(), *head.parameters()], lr=0.01)
    draw = torch.Generator().manual_seed(0)
    trunk.train()
    for _ in range(40):
        rows = torch.randint(len(images), (64,), generator=draw)
        loss = functional.cross_entropy(head(trunk(images[rows])), labels[rows])
        learner.zero_grad()
        loss.backward()
        learner.step()
    save_file(trunk.state_dict(), path)
    return f"rootstock/strokes@{path.name}"


@pytest.fixture
def described(project: Path) -> Path:
    """Return a project with the embedded digits and a manifest."""
    sample.write()
    manifest.describe()
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
    return project


def test_no_poisoned_candidate_is_chosen(described: Path) -> None:
    images, labels = _digits()
    draw = torch.Generator().manual_seed(1)
    shuffled_labels = labels[torch.randperm(len(labels), generator=draw)]
    places = torch.randperm(32 * 32, generator=draw)
    permuted_pixels = images.flatten(2)[:, :, places].reshape(images.shape)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        misled = _trained_on(images, shuffled_labels, described / "shuffled_labels.safetensors")
        scrambled = _trained_on(permuted_pixels, labels, described / "permuted_pixels.safetensors")
    (described / "cut.safetensors").write_bytes(SHIPPED.read_bytes()[:-1000])
    (described / "evil.pth").write_bytes(b"cposix\nsystem\n(S'touch ran'\ntR.")
    pool = [misled, scrambled, "rootstock/strokes@cut.safetensors", "rootstock/strokes@evil.pth", "rootstock/strokes"]
    (described / "params.yaml").write_text(json.dumps({"select": {"candidates": pool, "max_rows": 500}}))
    rank_all()
    ranking = steps.read_ranking()
    best, *others = ranking["candidates"]
    assert best["reference"] == ranking["winner"] == "rootstock/strokes"
    assert best["probability_best"] > 0.8
    assert {row["reference"] for row in others} == {misled, scrambled}
    assert all(row["probability_best"] < 0.15 for row in others)
    for score in ("ridge_loo_accuracy", "knn_loo_accuracy"):
        assert all(row[score] < best[score] - 0.01 for row in others)
    cut, evil = (row["why"] for row in ranking["failed"])
    assert "cut.safetensors is truncated or is no weights file" in cut
    assert "evil.pth holds more than tensors and was refused, nothing in it was executed" in evil
    assert not (described / "ran").exists()

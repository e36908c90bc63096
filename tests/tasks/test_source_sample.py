"""How far images are from those that weights were trained on: measured where a sample is known, else not said."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from adapters.source_samples import N_IMAGES, sample_of
from flows.cli import app
from tasks.customs import Admitted, admit
from tasks.source_sample import distance_of, write_source
from transfer.backbones.build import build_backbone
from transfer.backbones.features import extract_features
from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError

N_PAINTED = 60


def _stripes(n: int, *, down: bool, seed: int) -> list[np.ndarray]:
    drawn = np.random.default_rng(seed)
    waves = np.sin(np.arange(32) * drawn.uniform(0.4, 0.9, (n, 1)) + drawn.uniform(0, 6, (n, 1)))
    grey = np.broadcast_to(waves[:, None, :] if down else waves[:, :, None], (n, 32, 32))
    noisy = 127 + 90 * grey + drawn.normal(0, 8, (n, 32, 32))
    return list(np.repeat(noisy.clip(0, 255).astype(np.uint8)[..., None], 3, axis=3))


def _features(admitted: Admitted, images: list[np.ndarray]) -> torch.Tensor:
    return extract_features(admitted.backbone, torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2))


@pytest.fixture
def weights(project: Path) -> str:
    """Write random weights, and images in two folders that they are said to have learned from."""
    trunk = build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=3).trunk
    save_file(trunk.state_dict(), "w.safetensors")
    for place, image in enumerate(_stripes(N_PAINTED, down=True, seed=0)):
        path = Path("source", f"part {place % 2}", f"{place}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    Path("source", "broken.png").write_bytes(b"no image")
    Path("source", os.fsdecode(b"not UTF-8 \xff.png")).write_bytes(b"no image")
    Path("source", "notes.txt").write_text("no image either", encoding="utf-8")
    return "rootstock/strokes@w.safetensors"


def test_images_of_the_same_kind_are_near_and_others_far(weights: str) -> None:
    path, n_images = write_source(weights, Path("source"))
    assert (path, n_images) == (sample_of(Path("w.safetensors")), N_PAINTED)
    admitted = admit(BackboneReference.parse(weights))
    near = distance_of(admitted, _features(admitted, _stripes(N_PAINTED, down=True, seed=1)))
    far = distance_of(admitted, _features(admitted, _stripes(N_PAINTED, down=False, seed=1)))
    assert near is not None
    assert far is not None
    assert near < 0.7
    assert far > 1.8


def test_rows_that_come_class_by_class_all_have_their_say(weights: str) -> None:
    write_source(weights, Path("source"))
    admitted = admit(BackboneReference.parse(weights))
    alike, other = (_features(admitted, _stripes(2 * N_IMAGES, down=down, seed=1)) for down in (True, False))
    both = distance_of(admitted, torch.cat([alike, other]))
    assert both is not None
    assert 0.4 < both < 1.6  # half of them can be told apart


@pytest.mark.parametrize("change", ["weights", "sizes", "no sample", "few rows"])
def test_nothing_is_said_where_nothing_can_be_compared(weights: str, change: str) -> None:
    if change != "no sample":
        write_source(weights, Path("source"))
    if change == "weights":
        trunk = build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=4).trunk
        save_file(trunk.state_dict(), "w.safetensors")
    sized = weights.replace("strokes", "strokes?crop_px=28&resize_px=32") if change == "sizes" else weights
    admitted = admit(BackboneReference.parse(sized))
    features = torch.zeros(31 if change == "few rows" else 40, admitted.backbone.feature_dim)
    assert distance_of(admitted, features) is None


def test_the_shipped_backbone_knows_what_it_learned_from() -> None:
    admitted = admit(BackboneReference.parse("rootstock/strokes"))
    distance = distance_of(admitted, _features(admitted, _stripes(N_PAINTED, down=True, seed=1)))
    assert distance is not None
    assert 0 < distance <= 2


def test_a_damaged_sample_is_named(weights: str) -> None:
    path, _ = write_source(weights, Path("source"))
    path.write_bytes(path.read_bytes()[:100])
    admitted = admit(BackboneReference.parse(weights))
    with pytest.raises(UserError, match=r"w\.safetensors\.source\.safetensors is damaged"):
        distance_of(admitted, torch.zeros(40, admitted.backbone.feature_dim))


@pytest.mark.parametrize(
    ("reference", "folder", "says"),
    [
        ("rootstock/strokes@none", "source", "has random weights, which learned from no images"),
        ("rootstock/strokes@w.safetensors", "nowhere", "nowhere is no folder"),
        ("rootstock/strokes@w.safetensors", "few", "few holds 1 images that can be decoded; give at least 32"),
    ],
)
def test_what_cannot_be_a_sample_is_refused(weights: str, reference: str, folder: str, says: str) -> None:
    Path("few").mkdir()
    Image.new("RGB", (32, 32)).save("few/one.png")
    with pytest.raises(UserError, match=says):
        write_source(reference, Path(folder))
    assert not sample_of(Path("w.safetensors")).exists()


def test_the_command_writes_the_sample_and_says_where(weights: str) -> None:
    done = CliRunner().invoke(app, ["backbones", "source", weights, "source"])
    assert done.exit_code == 0
    assert f"written: w.safetensors.source.safetensors, the features of {N_PAINTED} images" in done.stdout

"""Classifiers on disk: what is stored comes back to the bit, and what was changed since is refused."""

import json
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from adapters import serving_model
from adapters.json_files import sha256_of
from adapters.model_files import CARD, WEIGHTS, load_card, load_head, load_model, save_head, save_model
from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.card import ModelCard
from transfer.backbones.reference import BackboneReference
from transfer.errors import EnvironmentFault, UserError
from transfer.heads.fits import HEADS, fit_of

CLASSES = ("ant", "bee", "wasp")


def _classifier(text: str = "rootstock/strokes@none", seed: int = 1) -> Classifier:
    classifier = Classifier(build_backbone(BackboneReference.parse(text), None, seed=seed), len(CLASSES))
    with torch.no_grad():
        classifier.head.weight.copy_(
            torch.rand(classifier.head.weight.shape, generator=torch.Generator().manual_seed(0))
        )
    return classifier


def test_a_head_alone_comes_back_to_the_bit(tmp_path: Path) -> None:
    head, path = torch.nn.Linear(4, 3), tmp_path / "head"
    save_head(path, head)
    assert all(value.equal(load_head(path).state_dict()[name]) for name, value in head.state_dict().items())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="missing or damaged"):
        load_head(path)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Store a classifier and return its folder."""
    classifier = _classifier()
    save_model(tmp_path / "model", classifier, ModelCard.of(classifier, CLASSES))
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("text", "side_px"),
    [
        ("rootstock/strokes@none", 32),
        ("rootstock/strokes?crop_px=48@none", 48),
        ("torchvision/mobilenet_v2?width_mult=0.35&crop_px=32@none", 32),
        ("torchvision/mobilenet_v2?width_mult=0.35&crop_px=32@gone/since.pth", 32),
        ("torchvision/mnasnet0_5?crop_px=32@none", 32),
        ("rootstock/strokes?interpolation=lanczos@none", 32),
    ],
)
def test_a_stored_classifier_comes_back_to_the_bit(tmp_path: Path, text: str, side_px: int) -> None:
    classifier = _classifier(text).eval()
    card = ModelCard.of(classifier, CLASSES)
    digest = save_model(tmp_path, classifier, card)
    loaded, loaded_card = load_model(tmp_path)
    images = torch.rand(2, 3, side_px, side_px, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(loaded(images), classifier(images))
    assert loaded_card == card
    assert loaded.backbone.preprocess == classifier.backbone.preprocess
    assert loaded.backbone.reference == text
    assert not loaded.training
    assert digest == sha256_of(tmp_path / WEIGHTS)


@pytest.mark.parametrize("name", HEADS)
def test_every_head_comes_back_to_the_bit(tmp_path: Path, name: str) -> None:
    backbone = build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=1)
    draw = torch.Generator().manual_seed(0)
    features = torch.rand(12, backbone.feature_dim, generator=draw)
    head = fit_of(name, 0)(features, torch.arange(12) % len(CLASSES), len(CLASSES)).head
    classifier = Classifier(backbone, len(CLASSES), head).eval()
    save_model(tmp_path, classifier, ModelCard.of(classifier, CLASSES))
    images = torch.rand(2, 3, 32, 32, generator=draw)
    for load in (load_model, serving_model.load):
        loaded, card = load(tmp_path)
        with torch.inference_mode():
            assert torch.equal(loaded(images), classifier(images))
        assert type(loaded.head) is type(head)
        assert card == ModelCard.of(classifier, CLASSES)


def test_a_card_from_before_there_were_other_heads_means_a_linear_one(stored: Path) -> None:
    card = json.loads((stored / CARD).read_text(encoding="utf-8"))
    assert card.pop("head") == "linear"
    (stored / CARD).write_text(json.dumps(card), encoding="utf-8")
    classifier, loaded = load_model(stored)
    assert loaded.head == "linear"
    assert isinstance(classifier.head, torch.nn.Linear)


def test_the_card_says_what_the_weights_need(stored: Path) -> None:
    card, digest = load_card(stored)
    assert card.classes == CLASSES
    assert card.feature_dim == 336
    assert card.depth_groups == ("stem", "stage1", "stage2", "stage3", "stage4")
    assert card.n_parameters == 691_704 + 3 * 336 + 3
    assert digest == sha256_of(stored / WEIGHTS)
    assert ModelCard.from_plain(json.loads(json.dumps(card.to_plain()))) == card


def test_the_same_classifier_gives_the_same_bytes(stored: Path, tmp_path: Path) -> None:
    classifier = _classifier()
    save_model(tmp_path / "again", classifier, ModelCard.of(classifier, CLASSES))
    for name in (WEIGHTS, CARD):
        assert (tmp_path / "again" / name).read_bytes() == (stored / name).read_bytes()


def test_nothing_but_weights_and_card_is_left(stored: Path) -> None:
    assert {path.name for path in stored.iterdir()} == {WEIGHTS, CARD}


@pytest.mark.parametrize("missing", [WEIGHTS, CARD])
def test_half_a_model_is_no_model(stored: Path, missing: str) -> None:
    (stored / missing).unlink()
    with pytest.raises(UserError, match=r"holds no model \(model\.safetensors and card\.json\)"):
        load_model(stored)


def test_changed_weights_are_refused(stored: Path) -> None:
    content = bytearray((stored / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (stored / WEIGHTS).write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged \(its sha256 is not the one in card\.json\); run `dvc checkout`"):
        load_model(stored)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"reference": "rootstock/strokes"}'])
def test_a_damaged_card_is_refused(stored: Path, content: str) -> None:
    (stored / CARD).write_text(content)
    with pytest.raises(UserError, match=r"card\.json is damaged .*; run `dvc checkout` or `dvc repro`"):
        load_model(stored)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system with room for one classifier and a half."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=4200k", "tmpfs", folder)
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a tiny file system")
    yield folder
    subprocess.run(("umount", folder), check=True)


def test_a_full_disk_is_called_so_and_leaves_the_old_model_whole(small_disk: Path) -> None:
    first, second = _classifier(), _classifier(seed=2)
    save_model(small_disk, first, ModelCard.of(first, CLASSES))
    before = {path.name: path.read_bytes() for path in small_disk.iterdir()}
    with pytest.raises(EnvironmentFault, match=r"The disk is full while writing .*model\.safetensors; free some space"):
        save_model(small_disk, second, ModelCard.of(second, CLASSES))
    assert {path.name: path.read_bytes() for path in small_disk.iterdir()} == before
    load_model(small_disk)


def test_a_write_that_fails_leaves_the_old_model_whole(stored: Path) -> None:
    before = {path.name: path.read_bytes() for path in stored.iterdir()}
    classifier, limit = _classifier(seed=2), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))
    try:
        with pytest.raises(
            EnvironmentFault, match=r"model\.safetensors cannot be written \(File too large\); check the"
        ):
            save_model(stored, classifier, ModelCard.of(classifier, CLASSES))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert {path.name: path.read_bytes() for path in stored.iterdir()} == before


def test_a_card_from_before_the_interpolation_was_stored_means_bilinear(stored: Path) -> None:
    card = json.loads((stored / CARD).read_text(encoding="utf-8"))
    assert card["preprocess"].pop("interpolation") == "bilinear"
    (stored / CARD).write_text(json.dumps(card), encoding="utf-8")
    assert load_card(stored)[0].preprocess.interpolation == "bilinear"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"reference": "torchvision/resnet18@none"}, "holds weights of another architecture than torchvision/resnet18"),
        ({"reference": "rootstock/nothing"}, "rootstock has no architecture 'nothing'"),
        ({"classes": ["ant", "bee"]}, r"has a head of 3 classes, card\.json names 2"),
        ({"head": "tree"}, "has a head of the kind 'tree', known are linear, forest, neighbours"),
        ({"head": "forest"}, r"of the kind 'forest' holds roots, .*, but the weights have bias, weight"),
    ],
)
def test_a_card_of_another_model_is_refused(stored: Path, values: dict[str, object], sentence: str) -> None:
    card = json.loads((stored / CARD).read_text(encoding="utf-8"))
    (stored / CARD).write_text(json.dumps(card | values), encoding="utf-8")
    with pytest.raises(UserError, match=sentence):
        load_model(stored)


@pytest.mark.slow
def test_a_network_built_for_the_size_of_its_published_weights_comes_back(tmp_path: Path) -> None:
    """A transformer's position embedding depends on the image size, which the name of its weights decides."""
    classifier = _classifier("torchvision/vit_b_32?resize_px=96&crop_px=96@none").eval()
    classifier.backbone.reference = "torchvision/vit_b_32@IMAGENET1K_V1"
    save_model(tmp_path, classifier, ModelCard.of(classifier, CLASSES))
    loaded, _ = load_model(tmp_path)
    images = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(loaded(images), classifier(images))

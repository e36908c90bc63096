"""Weights from disk and from torchvision: every format is read, every bad file is refused in one sentence."""

import errno
import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from adapters.weights_files import load_weights
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.errors import EnvironmentFault, UserError

NETWORK = "torchvision/mobilenet_v2?width_mult=0.35"


class Payload:
    """Unpickling an instance would run a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


def _reference(path: object, network: str = NETWORK) -> BackboneReference:
    return BackboneReference.parse(f"{network}@{path}")


def _state() -> dict[str, Tensor]:
    return {"0.weight": torch.arange(6.0).reshape(2, 3), "0.bias": torch.ones(2)}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give torch an empty hub folder; return where it keeps downloaded weights."""
    monkeypatch.setenv("ROOTSTOCK_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.mark.parametrize("suffix", ["pth", "pt", "safetensors"])
def test_every_format_gives_the_same_tensors(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w.{suffix}"
    if suffix == "safetensors":
        save_file(_state(), path)
    else:
        torch.save({"state_dict": {f"module.{name}": value for name, value in _state().items()}, "epoch": 3}, path)
    loaded = load_weights(_reference(path))
    assert loaded.state_dict is not None
    assert {name: value.tolist() for name, value in loaded.state_dict.items()} == {
        name: value.tolist() for name, value in _state().items()
    }
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.name == str(path)


def test_files_of_older_torch_are_read(tmp_path: Path) -> None:
    torch.save(_state(), tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert set(load_weights(_reference(tmp_path / "w.pth")).state_dict or {}) == set(_state())


def test_random_weights_have_no_file() -> None:
    loaded = load_weights(BackboneReference.parse("torchvision/resnet18@none"))
    assert (loaded.state_dict, loaded.sha256) == (None, None)


def test_the_shipped_weights_fill_the_shipped_backbone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    reference = BackboneReference.parse("rootstock/strokes")
    loaded = load_weights(reference)
    backbone = build_backbone(reference, loaded.state_dict, seed=0)
    assert loaded.sha256 is not None
    assert backbone.n_parameters() > 300_000


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path, zipped: bool) -> None:
    proof, path = tmp_path / "ran", tmp_path / "w.pth"
    torch.save({"state_dict": Payload(f"touch {proof}")}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"w\.pth holds more than tensors and was refused, nothing in it was executed"):
        load_weights(_reference(path))
    assert not proof.exists()


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(UserError, match="holds more than tensors and was refused"):
        load_weights(_reference(tmp_path / "w.pth"))


def test_a_script_archive_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "w.pt")
    with pytest.raises(UserError, match="holds more than tensors and was refused"):
        load_weights(_reference(tmp_path / "w.pt"))


@pytest.mark.parametrize("suffix", ["pth", "pt", "safetensors"])
@pytest.mark.parametrize(
    "content", [b"not weights at all\n" * 99, b"\x80\x02}q\x00.", b"PK\x03\x04" + bytes(200), b"hello"]
)
def test_garbage_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is truncated or is no weights file|holds no state dict"):
        load_weights(_reference(path))


def test_a_missing_file_is_named_with_what_there_is_instead(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_weights(_reference(tmp_path / "w.pth"))
    for part in ("w.pth", NETWORK, "does not exist", "@none", "IMAGENET1K_V1, IMAGENET1K_V2"):
        assert part in str(caught.value)


def test_a_folder_is_no_weights_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"are a folder; name the file in it"):
        load_weights(_reference(tmp_path))


def test_the_recorded_file_is_demanded(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(_state(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_weights(_reference(path), digest).sha256 == digest
    with pytest.raises(UserError) as caught:
        load_weights(_reference(path), "0" * 64)
    for part in ("recorded sha256 000000000000", f"found {digest[:12]}", "rootstock run select.candidates=..."):
        assert part in str(caught.value)


@pytest.mark.parametrize("text", ["torchvision/resnet18@IMAGENET1K_V7", "torchvision/resnet18@WEIGHTS"])
def test_an_unknown_published_name_lists_the_known_ones(hub: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"has no weights '\w+'; it has DEFAULT, IMAGENET1K_V1; a file is named by"):
        load_weights(BackboneReference.parse(text))
    assert not hub.exists()


def test_the_shipped_backbone_has_no_published_names() -> None:
    with pytest.raises(UserError, match=r"names 'DEFAULT'; leave it out for the shipped weights"):
        load_weights(BackboneReference.parse("rootstock/strokes@DEFAULT"))


def test_a_full_disk_is_not_the_users_mistake(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("adapters.published_weights._copy", fail)
    with pytest.raises(EnvironmentFault, match="The disk is full while downloading"):
        load_weights(BackboneReference.parse("torchvision/resnet18"))


@pytest.mark.parametrize(
    "text",
    [
        "torchvision/mobilenet_v2@mobilenet_v2_imagenet.pth",
        "torchvision/mobilenet_v2@mobilenet_v2_inat_insect.pth",
        "torchvision/mobilenet_v2?width_mult=0.35@mobilenet_v2_w035_imagenet_features.pth",
        "torchvision/squeezenet1_1@squeezenet1_1_imagenet.pth",
    ],
)
def test_real_files_with_any_head_or_none_fill_their_networks(shared: Path, text: str) -> None:
    network, _, name = text.partition("@")
    reference = _reference(shared / "weights" / name, network)
    loaded = load_weights(reference)
    backbone = build_backbone(reference, loaded.state_dict, seed=0, weights_name=loaded.name)
    assert {value.dtype for value in backbone.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ("torchvision/resnet18", "mobilenet_v2_imagenet.pth"),
        ("torchvision/mobilenet_v2", "mobilenet_v2_w035_imagenet_features.pth"),
        ("torchvision/resnet18", "cifar10_resnet20.pth"),
        ("rootstock/strokes", "squeezenet1_1_imagenet.pth"),
    ],
)
def test_real_files_of_another_architecture_are_refused(shared: Path, network: str, name: str) -> None:
    reference = _reference(shared / "weights" / name, network)
    loaded = load_weights(reference)
    with pytest.raises(UserError, match=f"{name} holds weights of another architecture than {network} "):
        build_backbone(reference, loaded.state_dict, seed=0, weights_name=loaded.name)

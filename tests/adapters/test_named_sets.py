"""torchvision's sets from files in their own formats, made here: what is written is what torchvision reads."""

import bz2
import hashlib
import pickle  # noqa: TID251  what CIFAR-10 is published in
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torchvision import datasets

from adapters import named_sets
from adapters.class_folders import list_class_folders
from adapters.named_sets import SETS, export, is_reference, name_of
from transfer.errors import EnvironmentFault, UserError


def _images(n_images: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(n_images).integers(0, 256, (n_images, *shape), dtype=np.uint8)


def _write_mnist(root: Path, name: str) -> dict[str, NDArray[np.uint8]]:
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    made = {"train": _images(20, 28, 28), "t10k": _images(10, 28, 28)}
    for part, images in made.items():
        labels = bytes(number % 10 for number in range(len(images)))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 2051, len(images), 28, 28) + images.tobytes()
        )
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, len(labels)) + labels)
    return made


@pytest.mark.parametrize(("name", "seventh"), [("MNIST", "7"), ("FashionMNIST", "Sneaker"), ("KMNIST", "ya")])
def test_mnist_and_its_kin_become_class_folders(tmp_path: Path, name: str, seventh: str) -> None:
    made = _write_mnist(tmp_path / "root", name)
    out = tmp_path / "out"
    out.mkdir()
    assert export(name, tmp_path / "root", out).n_images == {"train": 20, "test": 10}
    found = list_class_folders(out, {".png"})
    assert found.given_splits == ("train", "test")
    assert len(found.classes) == 10
    assert seventh in found.classes
    assert np.array_equal(np.asarray(Image.open(out / "train" / seventh / "17.png")), made["train"][17])
    assert np.array_equal(np.asarray(Image.open(out / "test" / seventh / "07.png")), made["t10k"][7])


def test_cifar_is_checked_by_its_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "root" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    lists: dict[str, list[list[str]]] = {"train_list": [["data_batch_1", ""]], "test_list": [["test_batch", ""]]}
    pixels = _images(20, 3, 32, 32)
    content = {b"data": pixels.reshape(20, -1), b"labels": [number % 10 for number in range(20)]}
    for key, entries in lists.items():
        file = folder / entries[0][0]
        file.write_bytes(pickle.dumps({key.decode(): value for key, value in content.items()}))
        entries[0][1] = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        monkeypatch.setattr(datasets.CIFAR10, key, entries)
    names = [f"class {number}" for number in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    digest = hashlib.md5((folder / "batches.meta").read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(datasets.CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": digest})
    (tmp_path / "out").mkdir()
    assert export("CIFAR10", tmp_path / "root", tmp_path / "out").n_images == {"train": 20, "test": 20}
    read = np.asarray(Image.open(tmp_path / "out/train/class 3/13.png"))
    assert np.array_equal(read, pixels[13].transpose(1, 2, 0))
    (folder / "test_batch").write_bytes(b"other")  # torchvision unpickles nothing whose digest is another
    with pytest.raises(EnvironmentFault, match=r"CIFAR10 is not below .* and cannot be downloaded"):
        export("CIFAR10", tmp_path / "root", tmp_path)


def test_usps_has_numbers_alone(tmp_path: Path) -> None:
    lines = [
        f"{digit % 10 + 1} " + " ".join(f"{place + 1}:{digit / 20 - 0.5:.3f}" for place in range(256))
        for digit in range(20)
    ]
    for name in ("usps.bz2", "usps.t.bz2"):
        (tmp_path / name).write_bytes(bz2.compress("\n".join(lines).encode()))
    (tmp_path / "out").mkdir()
    export("USPS", tmp_path, tmp_path / "out")
    assert list_class_folders(tmp_path / "out", {".png"}).classes == tuple(map(str, range(10)))


def test_files_of_a_set_are_copied_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "root/eurosat/2750"
    for name in ("AnnualCrop", "Forest"):
        (folder / name).mkdir(parents=True)
        Image.fromarray(_images(1, 64, 64, 3)[0]).save(folder / name / "x.jpg")
    (tmp_path / "out").mkdir()
    assert export("EuroSAT", tmp_path / "root", tmp_path / "out").n_images == {"": 2}
    assert (tmp_path / "out/Forest/1.jpg").read_bytes() == (folder / "Forest/x.jpg").read_bytes()


def test_a_validation_part_becomes_the_test_folder(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for wnid in ("n01440764", "n02102040"):
            place = tmp_path / "imagenette2" / split / wnid
            place.mkdir(parents=True)
            Image.fromarray(_images(1, 40, 50, 3)[0]).save(place / "x.JPEG")
    (tmp_path / "out").mkdir()
    assert export("Imagenette", tmp_path, tmp_path / "out").n_images == {"train": 2, "test": 2}
    assert list_class_folders(tmp_path / "out", {".jpeg"}).classes == ("English springer", "tench")


def test_every_set_that_is_offered_can_be_asked_for() -> None:
    import inspect

    for name, one in SETS.items():
        known = inspect.signature(getattr(datasets, name)).parameters
        asked = {argument for arguments in one.splits.values() for argument in arguments} | {"root", "download"}
        assert asked | ({"loader"} if one.by_path else set()) <= set(known), name


def test_without_files_or_network_the_fault_is_the_environments(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"MNIST is not below .*root and cannot be downloaded \(.*--root"):
        export("MNIST", tmp_path / "root", tmp_path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    _write_mnist(tmp_path, "MNIST")
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    with pytest.raises(UserError, match=r"The files of MNIST below .* are damaged"):
        export("MNIST", tmp_path, tmp_path)


def test_references() -> None:
    assert is_reference("torchvision/MNIST")
    assert not is_reference("torchvision/a/b")
    assert not is_reference("data/photos")
    assert name_of("torchvision/cifar10") == "CIFAR10"
    with pytest.raises(UserError, match=r"torchvision/CelebA is none of .* give every image one label .* CIFAR10,"):
        name_of("torchvision/CelebA")


def test_names_that_no_folder_can_have_are_changed() -> None:
    class Planes:
        classes = ("F/A-18", "737-200", " .x ")

    assert named_sets._class_names("FGVCAircraft", Planes()) == ["F-A-18", "737-200", "x"]

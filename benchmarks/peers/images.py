"""The images that every method gets: the same files, the same weights, measured by the same executor."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models, transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor

from transfer.backbones.executors import BATCH_SIZE, ONNXRUNTIME, FromPixels, prepare, run_rows
from transfer.randomness import generator
from transfer.records import Preprocess

RESIZE_PX, CROP_PX = 256, 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMALISED = (transforms.ToTensor(), transforms.Normalize(MEAN, STD))
PREPROCESS = Preprocess(RESIZE_PX, CROP_PX, MEAN, STD)
WEIGHTS = Path("weights", "mobilenet_v2_imagenet.pth")


@dataclass(frozen=True, slots=True)
class Source:
    """A folder of images with a part to learn from and a part to measure on.

    Args:
        folder: inside the folder of all data.
        train: its part to learn from.
        test: its part to measure on.
        per_class: training images of each class, drawn by the seed; all when None.
        n_seeds: runs of every method unless asked otherwise; one is all that 40 minutes leave for the larger set.
    """

    folder: Path
    train: str
    test: str
    per_class: int | None = None
    n_seeds: int = 3


SOURCES = {
    "hymenoptera": Source(Path("datasets", "hymenoptera"), "train", "val"),
    "cifar10": Source(Path("datasets", "cifar10"), "train", "test", per_class=100, n_seeds=1),
}


def lay_out(data: Path, source: Source, seed: int, folder: Path) -> None:
    """Copy the images of a run to `folder`/train and `folder`/test, and read all of them once.

    Args:
        data: the folder of all data.
        source: which of it.
        seed: decides which training images there are where only some are taken.
        folder: a new one.
    """
    for part, named in (("train", source.train), ("test", source.test)):
        for group in sorted(path for path in (data / source.folder / named).iterdir() if path.is_dir()):
            files = sorted(path for path in group.iterdir() if path.is_file())
            if part == "train" and source.per_class is not None:
                order = torch.randperm(len(files), generator=generator(seed, f"images of {group.name}"))
                files = [files[index] for index in sorted(order[: source.per_class].tolist())]
            (folder / part / group.name).mkdir(parents=True)
            for file in files:
                shutil.copyfile(file, folder / part / group.name / file.name)
                (folder / part / group.name / file.name).read_bytes()


def pretrained(weights: Path) -> models.MobileNetV2:
    """Return torchvision's MobileNetV2 with the weights of a file."""
    network = models.mobilenet_v2()
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network


def with_new_head(weights: Path, n_classes: int) -> models.MobileNetV2:
    """Return it with a fresh last layer."""
    network = pretrained(weights)
    network.classifier[1] = nn.Linear(network.last_channel, n_classes)
    return network


def test_images(folder: Path) -> tuple[Tensor, Tensor]:
    """Return the test images as the weights want them, uint8 (N, 3, 224, 224), and their labels, int64 (N,)."""
    prepared = transforms.Compose([transforms.Resize(RESIZE_PX), transforms.CenterCrop(CROP_PX), pil_to_tensor])
    examples = ImageFolder(str(folder / "test"), prepared)
    return torch.stack([image for image, _ in examples]), torch.tensor(examples.targets)


def accuracy(network: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    """Return the accuracy of a network on pixels, by the executor that takes the least time, for every method.

    Args:
        network: float32 (N, 3, H, W), normalised -> logits (N, n_classes); left as it is.
        pixels: uint8 (N, 3, H, W).
        labels: int64 (N,).
    """
    whole = FromPixels(network, PREPROCESS)
    run = prepare(ONNXRUNTIME, whole, pixels[:1])
    found = torch.cat([made.argmax(1) for made in run_rows(run, pixels, BATCH_SIZE)])
    return float((found == labels).double().mean())


def warm_up() -> None:
    """Let packages load what they load on first use, so that no method pays for it."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    network(torch.zeros(2, 3, 16, 16)).sum().backward()
    accuracy(network, torch.zeros((BATCH_SIZE, 3, 16, 16), dtype=torch.uint8), torch.zeros(BATCH_SIZE).long())

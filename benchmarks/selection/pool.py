"""The candidates: weights of several sources at several sizes, shipped ones, and random ones."""

from pathlib import Path

from transfer.backbones.reference import BackboneReference

SIDES = "?resize_px=146&crop_px=128"
_FILES = (
    ("torchvision/mobilenet_v2", "mobilenet_v2_imagenet.pth"),
    (f"torchvision/mobilenet_v2{SIDES}", "mobilenet_v2_imagenet.pth"),
    (f"torchvision/mobilenet_v2{SIDES}", "mobilenet_v2_inat_insect.pth"),
    (f"torchvision/mobilenet_v2{SIDES}&width_mult=0.35", "mobilenet_v2_w035_imagenet_features.pth"),
    (f"torchvision/squeezenet1_1{SIDES}", "squeezenet1_1_imagenet.pth"),
    ("rootstock/cifar_resnet20", "cifar10_resnet20.pth"),
    ("rootstock/cifar_resnet56", "cifar10_resnet56.pth"),
)
_OTHERS = (
    "rootstock/strokes",
    "rootstock/strokes@none",
    "rootstock/cifar_resnet20@none",
    f"torchvision/mobilenet_v2{SIDES}@none",
)


def candidates(weights: Path) -> tuple[str, ...]:
    """Return the backbone references.

    Args:
        weights: the folder of the files.
    """
    return (*(f"{network}@{weights / file}" for network, file in _FILES), *_OTHERS)


def label(reference: str) -> str:
    """Return what tables call a candidate: its reference without folders, which differ between machines."""
    parsed = BackboneReference.parse(reference)
    return reference if parsed.weights_file is None else str(parsed.with_weights(Path(parsed.weights_file).name))

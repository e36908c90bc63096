r"""Train networks on planted cues until they have learned them, and keep them.

    python -m benchmarks.planted_networks --data ../shared/datasets/hymenoptera --weights ../shared/weights \
        --kept build/planted

What a network has not learned no map can show. How each is trained was chosen here, by its accuracy on validation
images alone: it has learned its cues where that is at least `LEARNED`.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.planted_cues import KINDS, N_CLASSES, SHAPES, backgrounds, planted
from tasks.candidates import candidate
from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.depth_groups import depth_groups
from transfer.backbones.reference import BackboneReference
from transfer.data.batches import Augmentation
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget
from transfer.finetuning.loop import train
from transfer.finetuning.plan import scratch_plan
from transfer.finetuning.problem import Problem
from transfer.randomness import generator
from transfer.records import EpochRecord, Preprocess

LEARNED = 0.97  # of the validation images that are answered right
N_VAL, N_TEST = 160, 160
_SMALL = Preprocess(resize_px=32, crop_px=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))

Build = Callable[[Path, int], Backbone]


@dataclass(frozen=True)
class Network:
    """What is trained.

    Args:
        name: as the table calls it.
        build: returns it, given the folder of weights and a seed.
        learning_rate: of all its weights.
        epochs: passes over the images, at that rate.
        n_train: images it is trained on.
        background: of its images.
    """

    name: str
    build: Build
    learning_rate: float
    epochs: int
    n_train: int
    background: str = "photographs"


@dataclass(frozen=True)
class Trained:
    """A network that was trained.

    Args:
        classifier: in evaluation mode.
        accuracy: on validation images, of the weights that it was left with.
        images: uint8 (N_TEST, 3, S, S), of no training or validation image.
        labels: int64 (N_TEST,).
        cues: bool (N_TEST, S, S), where the cue is.
    """

    classifier: Classifier
    accuracy: float
    images: Tensor
    labels: Tensor
    cues: Tensor


def _pretrained(reference: str) -> Build:
    return lambda weights, _: candidate(BackboneReference.parse(reference.format(weights)), None)[0]


def _random(reference: str) -> Build:
    return lambda _, seed: build_backbone(BackboneReference.parse(reference).with_weights("none"), None, seed=seed)


def _headless(name: str, make: Callable[[], nn.Module], head: str, width: int) -> Build:
    """Build a network of torchvision's classes that no reference names, small enough to be trained here."""

    def build(_: Path, seed: int) -> Backbone:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            network = make()
        network.set_submodule(head, nn.Identity())
        return Backbone(name, network, width, depth_groups(network), _SMALL)

    return build


def _vision_transformer() -> nn.Module:
    from torchvision.models import VisionTransformer

    network: nn.Module = VisionTransformer(32, 4, 4, 4, 96, 192, num_classes=2)
    return network


def _convnext() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    network: nn.Module = ConvNeXt(
        [CNBlockConfig(48, 96, 2), CNBlockConfig(96, None, 2)], layer_scale=1.0, num_classes=2
    )
    return network


def _densenet() -> nn.Module:
    from torchvision.models import DenseNet

    network: nn.Module = DenseNet(12, (4, 4), 24, num_classes=2)
    return network


def _swin() -> nn.Module:
    from torchvision.models import SwinTransformer

    network: nn.Module = SwinTransformer([4, 4], 48, [2, 2], [3, 6], [4, 4], stochastic_depth_prob=0.0, num_classes=2)
    return network


NETWORKS = (
    Network(
        "mobilenet_v2 at 160 px, ImageNet",
        _pretrained("torchvision/mobilenet_v2?crop_px=160@{}/mobilenet_v2_imagenet.pth"),
        0.001,
        4,
        320,
    ),
    Network(
        "squeezenet1_1 at 128 px, ImageNet",
        _pretrained("torchvision/squeezenet1_1?crop_px=128@{}/squeezenet1_1_imagenet.pth"),
        0.0003,
        5,
        400,
    ),
    Network("cifar_resnet20, CIFAR-10", _pretrained("rootstock/cifar_resnet20@{}/cifar10_resnet20.pth"), 0.001, 5, 600),
    Network("strokes, shipped", _pretrained("rootstock/strokes"), 0.001, 8, 2400),
    Network("resnet18 of 64 px, from scratch", _random("torchvision/resnet18?crop_px=64"), 0.001, 5, 2400),
    Network(
        "vision transformer of 4 layers, from scratch",
        _headless("vision transformer of 4 layers", _vision_transformer, "heads", 96),
        0.001,
        6,
        6000,
        "textures",
    ),
    Network(
        "convnext of 2 stages, from scratch",
        _headless("convnext of 2 stages", _convnext, "classifier.2", 96),
        0.002,
        12,
        8000,
        "textures",
    ),
    Network(
        "densenet of 2 blocks, from scratch",
        _headless("densenet of 2 blocks", _densenet, "classifier", 84),
        0.001,
        5,
        2400,
        "textures",
    ),
    Network(
        "swin of 2 stages, from scratch",
        _headless("swin of 2 stages", _swin, "head", 96),
        0.002,
        12,
        8000,
        "textures",
    ),
)


def main() -> None:
    """Train what is not kept yet, and print how often it is right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    options = parser.parse_args()
    for network in chosen(options.only):
        found = trained(network, options)
        verdict = "has learned" if found.accuracy >= LEARNED else "has not learned"
        print(f"{network.name}, {options.cues}, seed {options.seed}: {found.accuracy:.3f}, {verdict}", flush=True)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which networks are trained on what."""
    parser.add_argument("--data", type=Path, required=True, help="a folder of photographs in class folders")
    parser.add_argument("--weights", type=Path, required=True, help="a folder of published weights")
    parser.add_argument("--kept", type=Path, required=True, help="a folder of networks that were trained before")
    parser.add_argument("--only", nargs="*", help="parts of names of networks; all")
    parser.add_argument("--cues", choices=KINDS, default=SHAPES)
    parser.add_argument("--seed", type=int, default=0, help="of random weights, of the order and of the places")


def chosen(only: list[str] | None) -> tuple[Network, ...]:
    """Return the networks of which a name has one of these parts."""
    return tuple(one for one in NETWORKS if not only or any(part in one.name for part in only))


def trained(network: Network, options: argparse.Namespace) -> Trained:
    """Return a network of which every weight was trained, from the folder where it is kept if it is."""
    backbone, n_train = network.build(options.weights, options.seed), network.n_train
    behind = backgrounds(network.background, options.data, backbone.preprocess, n_train + N_VAL + N_TEST)
    labels = torch.arange(len(behind)) % N_CLASSES
    pixels, cues = planted(behind, labels, options.cues, generator(options.seed, f"places of {options.cues}"))
    train_set, val_set = (
        Examples(pixels[start:stop], labels[start:stop]) for start, stop in ((0, n_train), (n_train, n_train + N_VAL))
    )
    classifier = Classifier(backbone, N_CLASSES)
    about = f"{network.learning_rate:g} {network.epochs} {n_train}"
    kept = options.kept / f"{network.name} {options.cues} {options.seed} {about}.pt".replace(" ", "-")
    if kept.is_file():
        held = torch.load(kept, weights_only=True)
        classifier.load_state_dict(held["weights"])
        accuracy = float(held["accuracy"])
    else:
        accuracy = _train(classifier, train_set, val_set, network, options.seed)
        kept.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"weights": classifier.state_dict(), "accuracy": accuracy}, kept)
    tested = slice(n_train + N_VAL, None)
    return Trained(classifier.eval(), accuracy, pixels[tested], labels[tested], cues[tested])


def _train(classifier: Classifier, train_set: Examples, val_set: Examples, network: Network, seed: int) -> float:
    """Train every weight; return the accuracy on validation images of the weights that are left."""
    still = Augmentation(min_area=1.0)  # a crop would cut the cue off
    budget = Budget(network.epochs * network.n_train, network.epochs, 32, 0.05, 0.1, None, still)
    problem = Problem.of_images(classifier, Target(train_set, val_set, N_CLASSES), still)
    groups = [group.name for group in classifier.backbone.depth_groups]
    records = []
    for record in train(classifier, problem, scratch_plan(groups, network.learning_rate), budget, seed):
        print(record, flush=True)
        if isinstance(record, EpochRecord):
            records.append(record)
    return min(records, key=lambda one: one.val_nll).val_accuracy


if __name__ == "__main__":
    main()

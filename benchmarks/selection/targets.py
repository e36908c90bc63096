"""The target tasks: small data sets of photographs, drawings and digits, laid out as a user would have them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from transfer.randomness import generator

CIFAR10, MNIST, USPS = "cifar10", "mnist", "usps"
_DOMAINS = ("photo", "art_painting", "cartoon", "sketch")


@dataclass(frozen=True, slots=True)
class Target:
    """A task: images to learn from, in which validation finds its own, and images to test on.

    Args:
        name: what tables call it.
        train: folder of class folders, below the folder of data sets.
        test: another one; the same where its images are shared out.
        n_train: images of each class to learn from; None for all.
        n_test: images of each class to test on; None for all.
    """

    name: str
    train: str
    test: str
    n_train: int | None
    n_test: int | None

    def lay_out(self, data_sets: Path, folder: Path, seed: int) -> None:
        """Copy the task's images to `folder/train` and `folder/test`.

        Args:
            data_sets: what holds hymenoptera, cifar10, pacs, mnist and usps.
            folder: where they go, empty so far.
            seed: of which images are learned and which are tested, where not all of them are.
        """
        for class_folder in sorted((data_sets / self.train).iterdir()):
            files = _shuffled(class_folder, self.name, seed)
            learned = files[: self.n_train]
            tested = _shuffled(data_sets / self.test / class_folder.name, self.name, seed)
            tested = [path for path in tested if self.test != self.train or path not in learned][: self.n_test]
            for split, chosen in (("train", learned), ("test", tested)):
                place = folder / split / class_folder.name
                place.mkdir(parents=True)
                for path in chosen:
                    shutil.copyfile(path, place / path.name)


def _shuffled(folder: Path, name: str, seed: int) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    order = torch.randperm(len(files), generator=generator(seed, f"{name}/{folder.name}"))
    return [files[place] for place in order]


TARGETS = (
    Target("hymenoptera", "hymenoptera/train", "hymenoptera/val", None, None),
    *(Target(f"cifar10, {10 * n}", "cifar10/train", "cifar10/test", n, 100) for n in (10, 30, 100)),
    *(Target(domain.replace("_", " "), f"pacs/{domain}", f"pacs/{domain}", 28, 32) for domain in _DOMAINS),
    Target("mnist, 100", MNIST, MNIST, 10, 100),
    Target("mnist, 1000", MNIST, MNIST, 100, 100),
    Target("usps, 200", USPS, USPS, 20, 100),
)

"""torchvision's published data sets as class folders: downloaded, or read from files that are here already."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfer.errors import EnvironmentFault, UserError

SOURCE = "torchvision"
_BY_SPLIT: Mapping[str, Mapping[str, Any]] = {"train": {"split": "train"}, "test": {"split": "test"}}
_BY_THREE: Mapping[str, Mapping[str, Any]] = {**_BY_SPLIT, "val": {"split": "val"}}
_BY_TRUTH: Mapping[str, Mapping[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
_WHOLE: Mapping[str, Mapping[str, Any]] = {"": {}}


@dataclass(frozen=True, slots=True)
class _Set:
    """How one of the sets is opened.

    Args:
        splits: split folder -> arguments; "" where there are no splits.
        by_path: whether its loader may be told to return an image file's path.
        classes: the attribute that names its classes; "" where numbers are all there is.
    """

    splits: Mapping[str, Mapping[str, Any]]
    by_path: bool = False
    classes: str = "classes"


SETS: Mapping[str, _Set] = {
    "CIFAR10": _Set(_BY_TRUTH),
    "CIFAR100": _Set(_BY_TRUTH),
    "Caltech101": _Set(_WHOLE, classes="categories"),
    "Caltech256": _Set(_WHOLE, classes="categories"),
    "Country211": _Set({**_BY_SPLIT, "val": {"split": "valid"}}, by_path=True),
    "DTD": _Set(_BY_THREE, by_path=True),
    "EuroSAT": _Set(_WHOLE, by_path=True),
    "FGVCAircraft": _Set(_BY_THREE, by_path=True),
    "FashionMNIST": _Set(_BY_TRUTH),
    "Flowers102": _Set(_BY_THREE, by_path=True),
    "Food101": _Set(_BY_SPLIT, by_path=True),
    "GTSRB": _Set(_BY_SPLIT, classes=""),
    "Imagenette": _Set({"train": {"split": "train"}, "test": {"split": "val"}}, by_path=True),
    "KMNIST": _Set(_BY_TRUTH),
    "MNIST": _Set(_BY_TRUTH),
    "OxfordIIITPet": _Set({"train": {"split": "trainval"}, "test": {"split": "test"}}),
    "RenderedSST2": _Set(_BY_THREE, by_path=True),
    "STL10": _Set(_BY_SPLIT),
    "SUN397": _Set(_WHOLE, by_path=True),
    "SVHN": _Set(_BY_SPLIT, classes=""),
    "USPS": _Set(_BY_TRUTH, classes=""),
}


@dataclass(slots=True)
class Exported:
    """What was written of a set.

    Args:
        n_images: of each split folder; "" where there are no splits.
    """

    n_images: dict[str, int] = field(default_factory=dict)


def is_reference(text: str) -> bool:
    """Say whether a text is `torchvision/NAME`, whatever the name."""
    return text.startswith(f"{SOURCE}/") and text.count("/") == 1


def name_of(reference: str) -> str:
    """Return the set that a reference names.

    Args:
        reference: `torchvision/NAME`; capitals do not matter.

    Raises:
        UserError: it is none of those that give every image one label.
    """
    asked = reference.partition("/")[2]
    found = next((name for name in SETS if name.lower() == asked.lower()), None)
    if found is None:
        raise UserError(
            f"{reference} is none of torchvision's data sets that give every image one label and can be brought here; "
            f"these are {', '.join(SETS)}."
        )
    return found


def export(name: str, root: Path, folder: Path, advance: Callable[[int], None] = lambda _: None) -> Exported:
    """Write a set as class folders, in train/, val/ and test/ where it has splits.

    Files that the set consists of are copied; images that it holds as numbers become PNG files, pixel by pixel the
    same.

    Args:
        name: one of `SETS`.
        root: where its files are or are downloaded to, as torchvision lays them out; torchvision checks their digests.
        folder: that exists and is empty.
        advance: called with the number of images since.

    Raises:
        UserError: files below `root` are damaged, or no such ones are there and nothing can be downloaded to it.
        EnvironmentFault: the download failed.
    """
    done = Exported()
    for split, arguments in SETS[name].splits.items():
        images = _opened(name, root, arguments)
        classes = _class_names(name, images)
        width = len(str(len(images)))
        for number, (image, label) in enumerate(_items(images)):
            if label >= len(classes):
                raise UserError(f"{root} holds {name} with the label {label} of {len(classes)} classes; get it again.")
            place = folder / split / classes[label]
            place.mkdir(parents=True, exist_ok=True)
            _put(image, place, f"{number:0{width}d}")
            advance(1)
        done.n_images[split] = len(images)
    return done


def _opened(name: str, root: Path, arguments: Mapping[str, Any]) -> Any:
    """Open a split of files that are here, else download them first."""
    from torchvision import datasets

    kind, given = getattr(datasets, name), dict(arguments)
    if SETS[name].by_path:
        given["loader"] = Path
    try:
        return kind(str(root), **given, download=False)
    except (RuntimeError, FileNotFoundError):
        pass  # "Dataset not found": torchvision has no other way to ask
    except (ValueError, EOFError, OSError, IndexError, KeyError) as error:
        raise UserError(
            f"The files of {name} below {root} are damaged ({error}); remove them and try again."
        ) from error
    try:
        root.mkdir(parents=True, exist_ok=True)
        return kind(str(root), **given, download=True)
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise EnvironmentFault(
            f"{name} is not below {root} and cannot be downloaded ({str(error).partition(chr(10))[0]}); try again with "
            f"a network, or bring its files there from another machine and name the folder with --root."
        ) from error


def _items(images: Any) -> Iterator[tuple[Any, int]]:
    for number in range(len(images)):
        image, label = images[number]
        yield image, int(label)


def _class_names(name: str, images: Any) -> Sequence[str]:
    """Return names that folders can have, in the order of the labels."""
    attribute = SETS[name].classes
    named: Sequence[Any] = getattr(images, attribute) if attribute else range(43 if name == "GTSRB" else 10)
    texts = [one[0] if isinstance(one, tuple) else str(one) for one in named]
    if all(text[:1].isdigit() and text[1:4] == " - " for text in texts):  # MNIST calls a seven "7 - seven"
        texts = [text[:1] for text in texts]
    return [text.strip().strip("./").replace("/", "-") or str(place) for place, text in enumerate(texts)]


def _put(image: Any, place: Path, stem: str) -> None:
    source = image if isinstance(image, Path) else Path(getattr(image, "filename", "") or "")
    if source.suffix:
        shutil.copyfile(source, place / f"{stem}{source.suffix.lower()}")
    else:
        image.save(place / f"{stem}.png")

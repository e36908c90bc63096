"""Which class and split the folders of a list of paths say, without the files: of states that lie in no folder now."""

from collections.abc import Iterable

from adapters.class_folders import SPLIT_FOLDERS, is_passed_over
from adapters.image_files import EXTENSIONS


def is_image(path: str) -> bool:
    """Say whether a file counts as an image of a data set: by its ending, and nothing of its path is passed over.

    Args:
        path: relative to the data set's folder, with forward slashes.
    """
    ending = path[max(0, path.rfind(".")) :].lower()  # a Path a file would take longer than all the rest
    return ending in EXTENSIONS and not any(map(is_passed_over, path.split("/")))


def classes_of(paths: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return path -> class and split, as `adapters.class_folders` would have them; "" where folders do not say.

    Args:
        paths: of all images, relative to the data set's folder, with forward slashes.
    """
    parts = {path: path.split("/") for path in paths}
    tops = {names[0] for names in parts.values() if len(names) > 1}
    splits = {top: SPLIT_FOLDERS.get(top.lower(), "") for top in tops}
    kinds = set(splits.values())
    if "" in kinds or "train" not in kinds:
        return {path: (names[0] if len(names) > 1 else "", "") for path, names in parts.items()}
    if kinds == {"train", "val"}:  # the one held-out folder is the test set
        splits = {top: "test" if split == "val" else split for top, split in splits.items()}
    if kinds == {"train"}:
        splits = dict.fromkeys(splits, "")
    return {path: (names[1] if len(names) > 2 else "", splits.get(names[0], "")) for path, names in parts.items()}

"""Find the files of a data set that is a folder of class folders, or train, val and test folders of them."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transfer.errors import UserError
from transfer.records import SPLITS

SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_N_NAMED = 5
_CLUTTER = frozenset(("thumbs.db", "desktop.ini", "__macosx"))


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file and what its folders say about it.

    Args:
        path: relative to the data set's folder, with forward slashes.
        class_name: the name of its class folder.
        split: "train", "val" or "test" when a folder or table says so, else "".
        group: of images that must stay together, as a table says; "" for none.
        columns: what a table says of it beside, a value for each of the listing's columns.
    """

    path: str
    class_name: str
    split: str
    group: str = ""
    columns: tuple[str | float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """What a data set's folder holds.

    Args:
        classes: sorted names of the class folders; a class's label is its index here.
        files: sorted by path.
        ignored: extension ("" for none) -> number of files that were left out because of it.
        given_splits: the splits that folders assign, in the order train, val, test; empty when none does.
        columns: of the user's own, name -> Arrow type; empty where no table says more.
        tables: that name the files by their paths, within the data set's folder; empty where none does.
    """

    classes: tuple[str, ...]
    files: tuple[FoundFile, ...]
    ignored: Mapping[str, int]
    given_splits: tuple[str, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[str, ...] = ()


def is_passed_over(name: str) -> bool:
    """Say whether a file or folder is no part of a data set: hidden, or left by an operating system."""
    return name.startswith(".") or name.lower() in _CLUTTER


def list_class_folders(data_path: Path, extensions: Collection[str]) -> Listing:
    """List the files of every class.

    Hidden files are passed over; files of other kinds, folders behind links below a class folder, and files beside the
    class folders are counted as ignored. With train/ and one held-out folder, the held-out one is the test set. The
    folder itself may be a link; class and split folders may not, because DVC does not look behind those.

    Args:
        data_path: the data set's folder.
        extensions: of the files that count, lower case with their dot.

    Raises:
        UserError: no such folder, no class folders, one class only, no files, classes that differ between splits, a
            class or split folder that is a link, or other folders beside train/ and a held-out one.
    """
    folders = _folders_of(data_path, extensions)
    by_split = _split_folders(data_path, folders)
    roots = by_split or {"": data_path if not _is_train_alone(folders) else folders[0]}
    classes = {split: _class_names(root) for split, root in roots.items()}
    _refuse_different_classes(data_path, roots, classes)
    ignored: Counter[str] = Counter()
    files: list[FoundFile] = []
    for split, root in roots.items():
        ignored.update(_suffix(entry.name) for entry in _visible(root) if not entry.is_dir())
        for name in classes[split]:
            found = _walk(data_path, (root / name).relative_to(data_path).as_posix(), extensions, ignored)
            files.extend(FoundFile(path, name, split) for path in found)
    _refuse_empty(data_path, roots, classes, files, extensions)
    given = tuple(split for split in SPLITS if split in by_split)
    return Listing(
        classes[next(iter(classes))], tuple(sorted(files, key=_by_path)), dict(sorted(ignored.items())), given
    )


def _by_path(file: FoundFile) -> str:
    return file.path


def _folders_of(data_path: Path, extensions: Collection[str]) -> list[Path]:
    remedy = "name a folder that holds one folder of files for each class."
    if not data_path.exists():
        raise UserError(f"data.path {data_path} does not exist; {remedy}")
    if not data_path.is_dir():
        raise UserError(f"data.path {data_path} is a file; {remedy}")
    entries = _visible(data_path)
    folders = _folders_in(entries)
    if not folders:
        loose = [entry.name for entry in entries if _suffix(entry.name) in extensions]
        what = f"{len(loose)} files ({loose[0]}, ...) but no class folders" if loose else "no class folders"
        raise UserError(
            f"data.path {data_path} holds {what}; put the files of each class into a folder of its own in it."
        )
    return folders


def _is_train_alone(folders: Sequence[Path]) -> bool:
    return [SPLIT_FOLDERS.get(folder.name.lower()) for folder in folders] == ["train"]


def _split_folders(data_path: Path, folders: Sequence[Path]) -> dict[str, Path]:
    """Return split -> folder when the folders are splits and not classes, in the order train, val, test."""
    others = [folder for folder in folders if folder.name.lower() not in SPLIT_FOLDERS]
    if others:
        _refuse_beside_splits(data_path, folders, others)
    if others or _is_train_alone(folders):
        return {}
    by_split: dict[str, Path] = {}
    for folder in folders:
        split = SPLIT_FOLDERS[folder.name.lower()]
        if split in by_split:
            raise UserError(
                f"data.path {data_path} has both {by_split[split].name}/ and {folder.name}/; keep one of them."
            )
        by_split[split] = folder
    if "train" not in by_split:
        listed = " and ".join(f"{folder.name}/" for folder in folders)
        raise UserError(
            f"data.path {data_path} has {listed} but no train/; add train/ or name a folder of class folders."
        )
    if set(by_split) == {"train", "val"}:
        by_split["test"] = by_split.pop("val")
    return {split: by_split[split] for split in SPLITS if split in by_split}


def _refuse_beside_splits(data_path: Path, folders: Sequence[Path], others: Sequence[Path]) -> None:
    splits = {folder.name: SPLIT_FOLDERS[folder.name.lower()] for folder in folders if folder not in others}
    training = next((name for name, split in splits.items() if split == "train"), None)
    if training is None or set(splits.values()) == {"train"}:
        return
    beside = _listed([folder.name for folder in others])
    raise UserError(
        f"data.path {data_path} has {_listed(list(splits))} and beside them {beside}, so "
        "its folders are neither splits nor classes; move what belongs to no split out of it, or rename "
        f"{training}/ if all of them are classes."
    )


def _listed(names: Sequence[str]) -> str:
    shown = [f"{name}/" for name in names[:_N_NAMED]]
    more = [f"{len(names) - _N_NAMED} more"] if len(names) > _N_NAMED else []
    *first, last = (*shown, *more)
    return f"{', '.join(first)} and {last}" if first else last


def _folders_in(entries: Sequence[Path]) -> list[Path]:
    """Return the folders among a folder's entries.

    Raises:
        UserError: one is a link. DVC skips what is behind it, so that no change there would ever make a stage stale.
    """
    folders = [entry for entry in entries if entry.is_dir()]
    for folder in folders:
        if folder.is_symlink():
            raise UserError(
                f"{folder} is a link to a folder, and DVC notices no change behind links inside data.path; put the "
                "folder itself there, or name as data.path the folder that really holds the class folders."
            )
    return folders


def _class_names(root: Path) -> tuple[str, ...]:
    names = tuple(sorted(folder.name for folder in _folders_in(_visible(root))))
    if not names:
        raise UserError(f"{root} holds no class folders; put the files of each class into a folder of its own in it.")
    if len(names) == 1:
        raise UserError(f"{root} holds a single class, {names[0]!r}; add a folder for at least one more class.")
    return names


def _refuse_different_classes(
    data_path: Path, roots: Mapping[str, Path], classes: Mapping[str, tuple[str, ...]]
) -> None:
    reference = next(iter(classes))
    for split, names in classes.items():
        lacking = sorted(set(classes[reference]) ^ set(names))
        if lacking:
            holder, other = (reference, split) if lacking[0] in classes[reference] else (split, reference)
            raise UserError(
                f"Class {lacking[0]!r} is in {roots[holder].name}/ but not in {roots[other].name}/ of data.path "
                f"{data_path}{f' (and {len(lacking) - 1} more differ)' if len(lacking) > 1 else ''}; "
                "give both the same class folders."
            )


def _refuse_empty(
    data_path: Path,
    roots: Mapping[str, Path],
    classes: Mapping[str, tuple[str, ...]],
    files: Sequence[FoundFile],
    extensions: Collection[str],
) -> None:
    known = ", ".join(sorted(extensions))
    if not files:
        raise UserError(
            f"data.path {data_path} has class folders but no files of a known kind ({known}); put some into them."
        )
    filled = {(file.split, file.class_name) for file in files}
    for split, names in classes.items():
        for name in names:
            if (split, name) not in filled:
                raise UserError(
                    f"Class {name!r} has 0 files of a known kind ({known}) in {roots[split]}; "
                    "add some or remove its folder."
                )


def _walk(data_path: Path, folder: str, extensions: Collection[str], ignored: Counter[str]) -> Iterator[str]:
    """Yield the paths of files below a folder, relative to the data set's, asking the system about links alone."""
    waiting = [folder]
    while waiting:
        inside = waiting.pop()
        for entry in _entries(data_path / inside):
            path, suffix = f"{inside}/{entry.name}", _suffix(entry.name)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif suffix in extensions and not (entry.is_symlink() and Path(entry.path).is_dir()):
                yield _refuse_undecodable(path, data_path)
            else:
                ignored[suffix] += 1


def _visible(folder: Path) -> list[Path]:
    return sorted(folder / entry.name for entry in _entries(folder))


def _entries(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return [one for one in entries if not is_passed_over(one.name)]
    except OSError as error:
        raise UserError(f"{folder} cannot be listed ({error.strerror}); make it readable.") from error


def _refuse_undecodable(path: str, data_path: Path) -> str:
    """Return a path that is UTF-8; DVC ends without an explanation where one is not."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(f"The file name {os.fsencode(path)!r} in {data_path} is not UTF-8; rename the file.") from error
    return path


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower().rstrip(".")  # noqa: PTH122  three times as fast, for each of all files

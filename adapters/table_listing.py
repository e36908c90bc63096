"""Find the files of a data set that a table describes: labels.csv, or metadata files as Hugging Face lays them out."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapters.class_folders import SPLIT_FOLDERS, FoundFile, Listing, list_class_folders
from adapters.label_tables import KINDS, LabelTable, read_label_table
from adapters.table_columns import TableChoice, find_roles, kept_columns, names_images, refuse_no_label, splits_of
from adapters.table_paths import files_within, left_over, locate
from transfer.data.labels import class_names, in_order, text_of
from transfer.errors import UserError
from transfer.records import SPLITS

METADATA = tuple(f"metadata{kind}" for kind in KINDS if kind != ".tsv")


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The rows of one table, or of one for each split, below one another.

    Args:
        source: what sentences call it.
        columns: name -> a value a row.
        places: what sentences call each row.
        bases: the folder that each row's path starts from, within the data set's.
        splits: that the folder of a row's table says, else "".
        names_of: column -> what its whole numbers stand for.
        files: of the tables, within the data set's folder.
    """

    source: str
    columns: Mapping[str, Sequence[Any]]
    places: Sequence[str]
    bases: Sequence[str]
    splits: Sequence[str]
    names_of: Mapping[str, tuple[str, ...]]
    files: tuple[str, ...]


def list_data_set(data_path: Path, extensions: Collection[str], choice: TableChoice) -> Listing:
    """List the files of a data set: as its table says, or as its class folders do where it has none.

    A table is the one that is named, or files called metadata in the folder or in each of its split folders. One
    without labels may stand beside class folders, and adds groups, splits and columns to them; one that names no images
    is passed over beside them.

    Args:
        data_path: the data set's folder.
        extensions: of images, lower case with their dot.
        choice: what params.yaml says of the table.

    Raises:
        UserError: no such folder, a table that cannot be used, or class folders that cannot; see
            `adapters.class_folders`, `adapters.label_tables`, `adapters.table_columns` and `adapters.table_paths`.
    """
    tables = _tables(data_path, choice)
    if not tables:
        _refuse_unused(data_path, choice)
        return _list_folders(data_path, extensions)
    sheet = _sheet(data_path, tables, choice)
    if choice.table is None and not names_images(sheet.columns, choice):  # metadata of something else
        with suppress(UserError):
            return list_class_folders(data_path, extensions)
    return _list_table(data_path, extensions, choice, sheet)


def _list_folders(data_path: Path, extensions: Collection[str]) -> Listing:
    try:
        return list_class_folders(data_path, extensions)
    except UserError as error:
        entries = sorted(data_path.iterdir()) if data_path.is_dir() else []
        table = next((entry for entry in entries if entry.suffix.lower() in KINDS and entry.is_file()), None)
        if table is None:
            raise
        raise UserError(f"{str(error)[:-1]}; or name its table with `rootstock run data.path={table}`.") from error


def _tables(data_path: Path, choice: TableChoice) -> dict[str, str]:
    """Return table -> the split that its folder says, both within the data set's folder."""
    if choice.table is not None:
        _refuse_table(data_path, choice.table)
        return {choice.table: ""}
    if not data_path.is_dir():
        return {}
    here = [name for name in METADATA if (data_path / name).is_file()]
    if len(here) > 1:
        raise UserError(
            f"{data_path} holds {' and '.join(here)}; keep one of them, or name it with data.table={here[0]}."
        )
    if here:
        return {here[0]: ""}
    of_split = {
        f"{folder.name}/{name}": SPLIT_FOLDERS[folder.name.lower()]
        for folder in sorted(data_path.iterdir())
        if folder.name.lower() in SPLIT_FOLDERS and folder.is_dir() and not folder.is_symlink()
        for name in METADATA
        if (folder / name).is_file()
    }
    twice = next((split for split, count in Counter(of_split.values()).items() if count > 1), None)
    if twice is not None:
        both = [table for table, split in of_split.items() if split == twice]
        raise UserError(f"{data_path} holds {' and '.join(both)}, both of {twice}; keep one of them.")
    return of_split


def _refuse_table(data_path: Path, table: str) -> None:
    path = Path(table)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"data.table is {table!r}, which is outside data.path {data_path}, where DVC would notice no change; put "
            f"the table into that folder, or name as data.path a folder that holds both."
        )
    if path.suffix.lower() not in KINDS:
        raise UserError(f"data.table is {table!r}, but must end in {', '.join(KINDS)}; save the table as one of these.")
    if not (data_path / path).is_file():
        raise UserError(
            f"data.table is {table!r}, but {data_path} holds no such file; name one, or set data.table=null."
        )


def _refuse_unused(data_path: Path, choice: TableChoice) -> None:
    named = choice.named() | ({"images": choice.images} if choice.images is not None else {})
    named |= {"columns": ", ".join(choice.columns)} if choice.columns is not None else {}
    for key, value in named.items():
        raise UserError(
            f"data.{key} is {value!r}, but data.path {data_path} has no table that it could be about; name one with "
            f"data.table, or set data.{key}=null."
        )


def _sheet(data_path: Path, tables: Mapping[str, str], choice: TableChoice) -> _Sheet:
    """Read tables and put their rows below one another."""
    read = {name: read_label_table(data_path / name) for name in tables}
    head = dict.fromkeys(column for table in read.values() for column in table.columns)
    splits = {name: "" if set(tables.values()) == {"train"} else split for name, split in tables.items()}
    bases = {name: choice.images or Path(name).parent.as_posix() for name in tables}
    return _Sheet(
        source=" and ".join(str(table.path) for table in read.values()),
        columns={column: [v for table in read.values() for v in _values(table, column)] for column in head},
        places=[f"{place} of {table.path}" for table in read.values() for place in table.places],
        bases=[bases[name] for name, table in read.items() for _ in table.places],
        splits=[splits[name] for name, table in read.items() for _ in table.places],
        names_of={column: names for table in read.values() for column, names in table.names_of.items()},
        files=tuple(tables),
    )


def _values(table: LabelTable, column: str) -> Sequence[Any]:
    return table.columns[column] if column in table.columns else [None] * len(table.places)


def _list_table(data_path: Path, extensions: Collection[str], choice: TableChoice, sheet: _Sheet) -> Listing:
    roles = find_roles([*sheet.columns], choice, sheet.source)
    present = files_within(data_path)
    texts = [text_of(value) for value in sheet.columns[roles["image"]]]
    paths = locate(data_path, texts, sheet.bases, sheet.places, present, extensions)
    folders = _beside(data_path, extensions, sheet, roles, paths)
    classes, names = _classes(sheet, roles, paths, folders)
    splits, given = _splits(sheet, roles, paths, folders)
    _refuse_uneven(sheet.source, names, splits, given)
    columns = kept_columns(sheet.columns, roles, choice, sheet.source)
    groups = [text_of(value) for value in sheet.columns[roles["group"]]] if "group" in roles else [""] * len(paths)
    cells = list(zip(*(values for _, values in columns.values()), strict=True)) or [()] * len(paths)
    files = [
        FoundFile(path, name, split, group, cell)
        for path, name, split, group, cell in zip(paths, names, splits, groups, cells, strict=True)
    ]
    files += _without_row(folders, paths, len(columns))
    ignored = left_over(present, {*sheet.files, *(file.path for file in files)})
    kinds = {name: kind for name, (kind, _) in columns.items()}
    ordered = tuple(sorted(files, key=lambda file: file.path))
    return Listing(classes, ordered, ignored, given, kinds, sheet.files)


def _beside(
    data_path: Path, extensions: Collection[str], sheet: _Sheet, roles: Mapping[str, str], paths: Sequence[str]
) -> Listing | None:
    """Return the class folders that a table without labels stands beside; None where it has labels.

    Raises:
        UserError: there are no labels, neither in the table nor by folders.
    """
    if "label" in roles:
        return None
    try:
        folders = list_class_folders(data_path, extensions)
    except UserError:
        raise refuse_no_label(sheet.columns, roles, sheet.source) from None
    known = {file.path for file in folders.files}
    stray = next((number for number, path in enumerate(paths) if path not in known), None)
    if stray is not None:
        raise UserError(
            f"{paths[stray]} of {sheet.places[stray]} is in no class folder of {data_path}, and the table has no "
            f"labels; put the image there, or remove the row."
        )
    return folders


def _classes(
    sheet: _Sheet, roles: Mapping[str, str], paths: Sequence[str], folders: Listing | None
) -> tuple[tuple[str, ...], Sequence[str]]:
    """Return the classes in order, and the class of each row."""
    if folders is not None:
        of_path = {file.path: file.class_name for file in folders.files}
        return folders.classes, [of_path[path] for path in paths]
    column = roles["label"]
    values, known = sheet.columns[column], sheet.names_of.get(column, ())
    if known:
        values = [known[v] if isinstance(v, int) and 0 <= v < len(known) else v for v in values]
    names = class_names(values, paths, sheet.source)
    classes = in_order(names)
    if len(classes) == 1:
        raise UserError(f"{sheet.source} knows a single class, {classes[0]!r}; add images of at least one more.")
    return classes, names


def _splits(
    sheet: _Sheet, roles: Mapping[str, str], paths: Sequence[str], folders: Listing | None
) -> tuple[list[str], tuple[str, ...]]:
    """Return the split of each row ("" for none), and the splits that are given, as class folders give them."""
    by_folder = list(sheet.splits)
    if folders is not None:
        of_path = {file.path: file.split for file in folders.files}
        by_folder = [of_path[path] for path in paths]
    own = splits_of(sheet.columns[roles["split"]], sheet.places) if "split" in roles else [""] * len(paths)
    _refuse_other(sheet, own, by_folder)
    splits = [folder or said for folder, said in zip(by_folder, own, strict=True)]
    if not any(splits):
        splits = _by_first_folder(paths)
    if folders is None and "val" in splits and "test" not in splits:  # the only held-out one is the test set
        splits = ["test" if split == "val" else split for split in splits]
    if set(splits) == {"train"}:
        return [""] * len(splits), ()
    given = tuple(split for split in SPLITS if split in splits)
    unsaid = next((number for number, split in enumerate(splits) if not split), None)
    if given and unsaid is not None and ("test" not in given or "val" in given):
        raise UserError(
            f"There is no split in {sheet.places[unsaid]}, but other rows say {given[0]!r}; give every row one, or "
            f"name the test images alone."
        )
    return [split or "train" for split in splits] if "train" in given else splits, given


def _by_first_folder(paths: Sequence[str]) -> list[str]:
    """Return the split that the first folder of every path is named after; "" for each where one is not."""
    found = [SPLIT_FOLDERS.get(path.partition("/")[0].lower(), "") if "/" in path else "" for path in paths]
    return found if all(found) and len(set(found)) > 1 else [""] * len(paths)


def _refuse_other(sheet: _Sheet, splits: Sequence[str], by_folder: Sequence[str]) -> None:
    for split, folder, place in zip(splits, by_folder, sheet.places, strict=True):
        if folder and split not in ("", folder) and (split, folder) != ("val", "test"):
            raise UserError(
                f"{place} says {split}, but its image is in a folder of {folder}; let both say the same, or remove the "
                f"column."
            )


def _refuse_uneven(source: str, names: Sequence[str], splits: Sequence[str], given: Sequence[str]) -> None:
    """Refuse classes that lack images in a split that the table assigns."""
    filled = set(zip(splits, names, strict=True))
    for split in given:
        for name in dict.fromkeys(names):
            if (split, name) not in filled:
                raise UserError(
                    f"{source} has no image of class {name!r} in {split}; give every split images of the same classes."
                )


def _without_row(folders: Listing | None, paths: Sequence[str], n_columns: int) -> list[FoundFile]:
    """Return the images of class folders that the table beside them says nothing about."""
    if folders is None:
        return []
    told = set(paths)
    return [replace(file, columns=(None,) * n_columns) for file in folders.files if file.path not in told]

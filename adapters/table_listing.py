"""Find the files of a data set that a table describes: labels.csv, or metadata files as Hugging Face lays them out."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from adapters.class_folders import SPLIT_FOLDERS, FoundFile, Listing, list_class_folders
from adapters.label_tables import KINDS, named
from adapters.table_columns import TableChoice, find_roles, kept_columns, names_images, refuse_no_label, splits_of
from adapters.table_paths import files_within, left_over, locate
from adapters.table_sheets import Sheet, find_tables, read_sheet
from transfer.data.labels import class_names, in_order
from transfer.errors import UserError
from transfer.records import SPLITS


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
    tables = find_tables(data_path, choice)
    if not tables:
        _refuse_unused(data_path, choice)
        return _list_folders(data_path, extensions)
    sheet = read_sheet(data_path, tables, choice)
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


def _refuse_unused(data_path: Path, choice: TableChoice) -> None:
    named = choice.named() | ({"images": choice.images} if choice.images is not None else {})
    named |= {"columns": ", ".join(choice.columns)} if choice.columns is not None else {}
    for key, value in named.items():
        raise UserError(
            f"data.{key} is {value!r}, but data.path {data_path} has no table that it could be about; name one with "
            f"data.table, or set data.{key}=null."
        )


def _list_table(data_path: Path, extensions: Collection[str], choice: TableChoice, sheet: Sheet) -> Listing:
    roles = find_roles([*sheet.columns], choice, sheet.source)
    present = files_within(data_path)
    paths = locate(data_path, sheet.texts(roles["image"]), sheet.bases, sheet.places, present, extensions)
    folders = _beside(data_path, extensions, sheet, roles, paths)
    classes, names = _classes(sheet, roles, paths, folders)
    splits, given = _splits(sheet, roles, paths, folders)
    _refuse_uneven(sheet.source, names, splits, given)
    columns = kept_columns(sheet.columns, roles, choice, sheet.source)
    groups = sheet.texts(roles["group"]) if "group" in roles else [""] * len(paths)
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
    data_path: Path, extensions: Collection[str], sheet: Sheet, roles: Mapping[str, str], paths: Sequence[str]
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
    sheet: Sheet, roles: Mapping[str, str], paths: Sequence[str], folders: Listing | None
) -> tuple[tuple[str, ...], Sequence[str]]:
    """Return the classes in order, and the class of each row."""
    if folders is not None:
        of_path = {file.path: file.class_name for file in folders.files}
        return folders.classes, [of_path[path] for path in paths]
    column = roles["label"]
    values = [named(value, sheet.names_of.get(column, ())) for value in sheet.columns[column]]
    names = class_names(values, paths, sheet.source)
    classes = in_order(names)
    if len(classes) == 1:
        raise UserError(f"{sheet.source} knows a single class, {classes[0]!r}; add images of at least one more.")
    return classes, names


def _splits(
    sheet: Sheet, roles: Mapping[str, str], paths: Sequence[str], folders: Listing | None
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


def _refuse_other(sheet: Sheet, splits: Sequence[str], by_folder: Sequence[str]) -> None:
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

"""Make a data set's folder of an archive, of images elsewhere or inside Parquet files, or of a published set."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adapters import archives, named_sets, new_folders, parquet_images, table_copies
from adapters.class_folders import SPLIT_FOLDERS, Listing
from adapters.image_files import EXTENSIONS, list_images
from adapters.json_files import sha256_of, write_plain_json
from adapters.label_tables import KINDS, read_label_table
from adapters.model_names import clean_name
from adapters.project import find_project, state_folder
from adapters.table_columns import TableChoice
from tasks import data_source, overrides
from tasks.progress import progress
from transfer.errors import UserError

ORIGIN = ".source.json"  # what the folder was made from; hidden, so that it is no part of the data set
_DOWNLOADS = "downloads"
_CLUTTER = "__macosx"


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line says beside the source.

    Args:
        into: the folder to make, as the user typed it; None for data/ and the source's name.
        settings: what a run would be told of a table, `data.KEY=VALUE` each.
        root: where torchvision's files are or go; None for a folder that is removed afterwards.
        encoding: of names in an archive that does not say it.
        image: the column of image paths of a table, or of the images that Parquet files hold.
        label: the column of labels.
    """

    into: Path | None = None
    settings: tuple[str, ...] = ()
    root: Path | None = None
    encoding: str | None = None
    image: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What was made.

    Args:
        folder: the data set's, relative to the project where it is inside.
        choice: what a run has to be told of its table.
        listing: its images.
        left_out: ending -> number of files that stayed in the archive.
    """

    folder: str
    choice: TableChoice
    listing: Listing
    left_out: dict[str, int]

    @property
    def overrides(self) -> tuple[str, ...]:
        """Return what `rootstock run` has to be told, `key=value` each."""
        path = self.folder if self.choice.table is None else f"{self.folder}/{self.choice.table}"
        said = self.choice.named() | ({"images": self.choice.images} if self.choice.images is not None else {})
        if self.choice.columns is not None:
            said["columns"] = f"[{', '.join(map(_quoted, self.choice.columns))}]"
        return (f"data.path={path}", *(f"data.{key}={value}" for key, value in said.items()))


def sorted_out(texts: Sequence[str]) -> tuple[Path | None, tuple[str, ...]]:
    """Return the folder and the settings among what was typed behind a source.

    Raises:
        UserError: there are two folders.
    """
    settings = tuple(text for text in texts if text.startswith("data.") and "=" in text)
    folders = [text for text in texts if text not in settings]
    if len(folders) > 1:
        raise UserError(f"{folders[0]} and {folders[1]} cannot both be made; name one folder.")
    return (Path(folders[0]) if folders else None), settings


def bring(source: str, choices: Choices) -> Imported:
    """Make a folder below the project of a source; it is there whole and checked, or not at all.

    Args:
        source: an archive, a table, Parquet files of images, or `torchvision/NAME`.
        choices: of the command line.

    Raises:
        UserError: the source cannot be used, or the folder is there already.
        EnvironmentFault: the disk is full, or a download failed.
    """
    project = find_project()
    path = Path(source).expanduser()
    named = named_sets.is_reference(source) and not path.exists()
    table = _told(project, choices)
    _refuse_unused(path, choices, table, named=named)
    make, stem = _maker(source, path, choices, table, named=named)
    target = _target(project, choices.into, stem)
    shown = source if named else str(path)
    with new_folders.new_folder(project, target) as staged:
        left_out = make(staged)
        root = _below_wrapping(staged)
        choice, listing = _checked(root, shown, table, made=not named and not _is_archive(path))
        origin = {"source": source if named else path.resolve().name}
        write_plain_json(root / ORIGIN, origin | ({"sha256": sha256_of(path)} if path.is_file() else {}))
        new_folders.whole(root, target)
    inside = target.is_relative_to(project)
    return Imported(target.relative_to(project).as_posix() if inside else str(target), choice, listing, left_out)


def _told(project: Path, choices: Choices) -> TableChoice:
    """Return what the command line says of the source's table."""
    values = overrides.parse_overrides(choices.settings, project, Path.cwd())
    other = next((key for key in values if not key.startswith("data.") or key == data_source.PATH), None)
    if other is not None:
        raise UserError(f"{other} says nothing of a table; give it to `rootstock run` when the data set is made.")
    said = {key.removeprefix("data."): value for key, value in values.items()}
    return TableChoice(**{"image": choices.image, "label": choices.label} | said)


def _maker(
    source: str, path: Path, choices: Choices, table: TableChoice, *, named: bool
) -> tuple[Callable[[Path], dict[str, int]], str]:
    """Return what fills an empty folder, and what the data set is to be called."""
    if named:
        name = named_sets.name_of(source)
        return lambda folder: _export(name, choices.root, folder), name.lower()
    if "://" in source:
        raise UserError(f"{source} is an address; download the file first, then import it.")
    if not path.exists():
        raise UserError(
            f"{source} is not there; name a zip or tar archive, a table ({', '.join(KINDS)}) or torchvision/NAME."
        )
    holds = path.is_dir() or path.suffix.lower() == ".parquet"
    shards = parquet_images.find_shards(path, table.image) if holds else ()
    if shards and table.images is not None:
        raise UserError(f"data.images is about tables that name images, and {source} holds its images; leave it out.")
    if shards:
        return lambda folder: _write(shards, folder), (path if path.is_dir() else path.parent).resolve().name
    if path.is_dir():
        raise UserError(f"{source} is a folder, which needs no import; run `rootstock run data.path={source}`.")
    if path.suffix.lower() in KINDS:
        return lambda folder: _copy(path, table, folder), path.resolve().parent.name
    if _is_archive(path):
        return lambda folder: _unpack(path, choices, folder), archives.bare_name(path)
    raise UserError(
        f"{source} is neither an archive ({', '.join(archives.ENDINGS)}) nor a table ({', '.join(KINDS)}); unpack or "
        f"convert it, and name the folder or the table."
    )


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith(archives.ENDINGS)


def _refuse_unused(path: Path, choices: Choices, table: TableChoice, *, named: bool) -> None:
    """Refuse options that are about sources of another kind."""
    of_archives = {"--encoding": choices.encoding, data_source.TABLE: table.table}
    unused = [option for option, value in of_archives.items() if value is not None and not _is_archive(path)]
    unused += ["--root"] if choices.root is not None and not named else []
    if unused:
        kind = "torchvision's sets" if unused[0] == "--root" else "archives"
        raise UserError(f"{unused[0]} is about {kind} alone, and {path} is none; leave it out.")


def _quoted(name: str) -> str:
    """Return an item of a list as `tasks.overrides.split_list` reads it."""
    if not any(letter in name for letter in ",[]'\""):
        return name
    return f"'{name}'" if '"' in name else f'"{name}"'


def _target(project: Path, into: Path | None, stem: str) -> Path:
    if into is None:
        return project / "data" / clean_name(stem)
    target = (Path.cwd() / into.expanduser()).resolve()
    if project.is_relative_to(target):
        raise UserError(f"{into} holds the project itself; name a folder that is not there yet, such as data/photos.")
    return target


def _unpack(path: Path, choices: Choices, folder: Path) -> dict[str, int]:
    from transfer.data.decoding import MAX_BYTES

    with progress("unpacking", total=None) as bar:
        done = archives.unpack(path, folder, {*EXTENSIONS, *KINDS}, MAX_BYTES, bar.advance, choices.encoding)
    return dict(sorted(done.left_out.items()))


def _write(shards: Sequence[parquet_images.Shard], folder: Path) -> dict[str, int]:
    from transfer.data.decoding import MAX_BYTES

    with progress("writing images", total=None) as bar:
        parquet_images.write_images(shards, folder, EXTENSIONS, MAX_BYTES, bar.advance)
    return {}


def _copy(path: Path, choice: TableChoice, folder: Path) -> dict[str, int]:
    table = read_label_table(path)
    with progress("copying images", total=len(table.places)) as bar:
        table_copies.copy_table(table, choice, folder, EXTENSIONS, bar.advance)
    return {}


def _export(name: str, root: Path | None, folder: Path) -> dict[str, int]:
    own = state_folder(find_project()) / _DOWNLOADS
    with progress("writing images", total=None) as bar:
        named_sets.export(name, (root or own).expanduser(), folder, bar.advance)
    if root is None:
        shutil.rmtree(own, ignore_errors=True)
    return {}


def _below_wrapping(folder: Path) -> Path:
    """Return the folder that really holds something: below those that hold one folder alone."""
    while True:
        entries = [entry for entry in folder.iterdir() if entry.name.lower() != _CLUTTER]
        if len(entries) != 1 or not entries[0].is_dir() or entries[0].name.lower() in SPLIT_FOLDERS:
            return folder
        folder = entries[0]


def _checked(root: Path, shown: str, choice: TableChoice, *, made: bool) -> tuple[TableChoice, Listing]:
    """Return what a run has to be told of the data set's table, and its listing.

    Raises:
        UserError: it is no data set that can be used; the sentence calls it as the user does.
    """
    tables = sorted(entry.name for entry in root.iterdir() if entry.suffix.lower() in KINDS)
    if made:  # its table names the images in the column file_name, from the folder's top
        choice = replace(choice, image=None, images=None)
    try:
        return choice, list_images(root, choice)
    except UserError as error:
        problem = error
    if choice.table is None and len(tables) == 1 and not tables[0].startswith("metadata."):
        choice = replace(choice, table=tables[0])
        try:
            return choice, list_images(root, choice)
        except UserError as error:
            problem = error
    sentence = str(problem).replace(f"`rootstock run data.path={root}/", "`data.table=")
    sentence = sentence.replace(f"data.path {root}", shown).replace(str(root), shown)
    raise UserError(f"{sentence[:-1]}; nothing was imported.") from problem

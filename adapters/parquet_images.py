"""Write the images that Parquet files hold themselves, as Hugging Face's datasets library stores them, with a table."""

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from adapters.archive_members import Allowance
from adapters.class_folders import SPLIT_FOLDERS, is_passed_over
from adapters.label_tables import is_plain, named, named_numbers
from adapters.table_columns import FILE_NAME
from adapters.tables import csv_lines
from transfer.data.labels import text_of
from transfer.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

IMAGES, TABLE = "images", "metadata.csv"
_BYTES, _PATH = "bytes", "path"
_SPLIT_COLUMN = "split"
_SPLIT = re.compile(r"^([A-Za-z]+)[-_.]")
_BATCH_ROWS = 16
_KINDS = {
    b"\x89PNG": ".png",
    b"\xff\xd8": ".jpg",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"RIFF": ".webp",
    b"II": ".tif",
    b"MM": ".tif",
}


@dataclass(frozen=True, slots=True)
class Shard:
    """One of the files.

    Args:
        path: of the file.
        stem: the folder of its images, below `images/`: its place below the folder that all have in common.
        split: that its name says, or a folder that it is in; "" for none.
        image: the column of images.
        columns: the others that become texts; one called split counts where `split` is "".
    """

    path: Path
    stem: str
    split: str
    image: str
    columns: tuple[str, ...]


def find_shards(source: Path, image: str | None = None) -> tuple[Shard, ...]:
    """Return the Parquet files that hold images: the file itself, or those of a folder, which are named by split.

    Args:
        source: a file, or a folder such as a clone of a data set's repository.
        image: the column of images; None where there is one alone.

    Raises:
        UserError: a file is damaged, or several columns hold images and none of them is named.
    """
    paths = [source]
    if not source.is_file():
        within = sorted(source.rglob("*.parquet"))
        paths = [path for path in within if not any(map(is_passed_over, path.relative_to(source).parts))]
    top = os.path.commonpath([path.parent for path in paths]) if paths else ""
    return tuple(shard for path in paths if (shard := _shard(path, path.relative_to(top), image)) is not None)


def write_images(
    shards: Sequence[Shard],
    folder: Path,
    extensions: Collection[str],
    largest_bytes: int,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Write every image below `images/` as it was stored, and metadata.csv with the other columns beside it.

    Args:
        shards: what `find_shards` returned, at least one; all with the same columns.
        folder: that exists and is empty.
        extensions: of images, lower case with their dot.
        largest_bytes: of a single image.
        advance: called with the number of images since.

    Raises:
        UserError: a file is damaged, or unpacks to far more than its size, or columns differ, or an image is missing.
        EnvironmentFault: the disk has too little room.
    """
    columns = shards[0].columns
    other = next((shard for shard in shards if shard.columns != columns), None)
    if other is not None:
        raise UserError(f"{other.path} has other columns than {shards[0].path}; import one kind of files at a time.")

    others = [column for column in columns if column != _SPLIT_COLUMN]

    def rows() -> Iterator[list[str]]:
        yield [FILE_NAME, _SPLIT_COLUMN, *others]
        for shard in shards:
            for name, cells in _rows(shard, folder, extensions, largest_bytes):
                yield [name, shard.split or cells.get(_SPLIT_COLUMN, ""), *(cells[column] for column in others)]
                advance(1)

    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        file.writelines(csv_lines(rows()))


def _shard(path: Path, inside: Path, image: str | None) -> Shard | None:
    from pyarrow import parquet

    with _explained(path):
        schema = parquet.read_schema(path)
    able = [field.name for field in schema if _holds_images(field.type)]
    if not able:
        return None
    if len(able) > 1 and image is None:
        raise UserError(f"{path} holds images in {' and '.join(able)}; say which with data.image={able[0]}.")
    if image is not None and image not in able:
        raise UserError(
            f"{path} holds images in {' and '.join(able)}, not in {image!r}; name one of these with data.image."
        )
    word = _SPLIT.match(path.name)
    words = [word.group(1) if word else "", *reversed(inside.parts[:-1])]
    split = next((SPLIT_FOLDERS[one.lower()] for one in words if one.lower() in SPLIT_FOLDERS), "")
    columns = tuple(f.name for f in schema if is_plain(f.type) and f.name != FILE_NAME)
    return Shard(path, inside.with_suffix("").as_posix(), split, image or able[0], columns)


def _holds_images(kind: "pa.DataType") -> bool:
    from pyarrow import types

    if not types.is_struct(kind) or kind.get_field_index(_BYTES) < 0:
        return False
    return bool(types.is_binary(kind.field(_BYTES).type) or types.is_large_binary(kind.field(_BYTES).type))


def _rows(
    shard: Shard, folder: Path, extensions: Collection[str], largest_bytes: int
) -> Iterator[tuple[str, dict[str, str]]]:
    from pyarrow import parquet

    allowed, stem, number = Allowance(shard.path, folder), f"{IMAGES}/{shard.stem}", 0
    (folder / stem).mkdir(parents=True, exist_ok=True)  # train.parquet and train/0.parquet may both be there
    with _explained(shard.path), parquet.ParquetFile(shard.path) as file:
        groups = range(file.metadata.num_row_groups)
        allowed.refuse_beyond(sum(file.metadata.row_group(group).total_byte_size for group in groups))
        names = named_numbers(file.schema_arrow)
        for batch in file.iter_batches(_BATCH_ROWS, columns=[shard.image, *shard.columns]):
            for row in batch.to_pylist():
                content = (row[shard.image] or {}).get(_BYTES)
                if not content or len(content) > largest_bytes:
                    raise UserError(
                        f"Row {number + 1} of {shard.path} holds no image, or one beyond {largest_bytes:,} bytes."
                    )
                allowed.write(len(content))
                name = f"{stem}/{number:06d}{_ending(content, row[shard.image].get(_PATH), extensions)}"
                (folder / name).write_bytes(content)
                yield name, {column: text_of(named(row[column], names.get(column, ()))) for column in shard.columns}
                number += 1


def _ending(content: bytes, path: str | None, extensions: Collection[str]) -> str:
    found = next((ending for start, ending in _KINDS.items() if content.startswith(start)), None)
    named = PurePosixPath(path or "").suffix.lower()
    return found or (named if named in extensions else ".png")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's; what Arrow finds damaged has none
            raise
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is no Parquet file that can be read ({reason}); get it again.") from error

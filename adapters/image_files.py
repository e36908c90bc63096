"""Find image files, describe them, and read them as tensors."""

import hashlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from adapters import described_files
from adapters.class_folders import FoundFile, Listing
from adapters.collector import resumed_collector
from adapters.described_files import (
    Content,
    DescribedFile,
    admitted,
    colliding_names,
    decoded_content,
    described,
    digest_of,
    read_file,
)
from adapters.file_places import Place, Places, Signature
from adapters.kept_scan import KeptScan
from adapters.machine import usable_cores
from adapters.table_columns import TableChoice
from adapters.table_listing import list_data_set
from transfer.errors import UserError
from transfer.records import Preprocess, Row

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
R = TypeVar("R")

_NETPBM = (".ppm", ".pgm", ".pbm", ".pnm")
EXTENSIONS = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", *_NETPBM))
_PART, _AHEAD = 32, 4  # files a thread reads in one go, and how many such parts it is ahead
_SAMPLE, _SMALL_BYTES = 32, 4096


def list_images(data_path: Path, choice: TableChoice = TableChoice()) -> Listing:  # noqa: B008  frozen
    """List the images of a data set's folder; see `adapters.table_listing.list_data_set`."""
    return list_data_set(data_path, EXTENSIONS, choice)


def describe(
    data_path: Path,
    files: Sequence[FoundFile],
    advance: Callable[[int], None] = lambda _: None,
    kept: KeptScan | None = None,
    stores: Sequence[Path] = (),
) -> tuple[DescribedFile, ...]:
    """Decode every file in full; one that cannot be decoded gets a sentence instead of facts.

    Args:
        data_path: the data set's folder.
        files: what to read.
        advance: called with the number of files that were read since.
        kept: what earlier calls told, and where this one's goes; files that did not change are not read again.
        stores: folders outside `data_path` that links in it may lead to, such as DVC's cache.

    Returns:
        one entry a file, in the order of `files`; with what is kept the same as without.
    """
    kept = KeptScan(None, {}) if kept is None else kept
    lookup, colliding = Places(data_path, stores), colliding_names(files)
    looked = [lookup.look_up(file.path) for file in files]
    contents = [kept.find(file.path, place.signature) for file, place in zip(files, looked, strict=True)]
    unread = [index for index, content in enumerate(contents) if content is None]
    advance(len(files) - len(unread))
    try:
        with resumed_collector() if unread else nullcontext():
            for index, signature, content in _read_contents([looked[index] for index in unread], kept, advance):
                contents[unread[index]] = content
                if not looked[unread[index]].kind:
                    kept.add(files[unread[index]].path, signature, content)
    except BaseException:
        kept.flush()
        raise
    kept.finish([file.path for file in files])
    told = zip(files, looked, contents, strict=True)
    return tuple(described(file, place, content, colliding) for file, place, content in told if content)


def scan_recipe() -> dict[str, Any]:
    """Return everything that `describe` depends on beside the files: versions of what computes, and our code."""
    import numpy as np

    from transfer.data import decoding

    code = hashlib.sha256()
    for path in (*sorted(Path(decoding.__file__).parent.glob("*.py")), Path(described_files.__file__)):
        code.update(path.name.encode() + b"\0" + path.read_bytes())
    return {"kind": "scan", "code": code.hexdigest(), "numpy": np.__version__, **decoding.decoder_facts()}


def load_examples(
    data_path: Path, rows: Sequence[Row], preprocess: Preprocess, advance: Callable[[int], None] = lambda _: None
) -> "Iterator[Tensor]":
    """Read rows as upright RGB pixels, resized and centre-cropped, some ahead of the one who takes them.

    Args:
        data_path: the data set's folder.
        rows: what to read.
        preprocess: sizes in pixels, and the filter.
        advance: called with the number of rows of each batch.

    Yields:
        uint8 (n, crop_px, crop_px, 3), in the order of `rows`; one empty batch when there are none.

    Raises:
        UserError: a file is gone or is not the one the manifest describes.
    """
    import numpy as np
    import torch

    from transfer.data.decoding import to_pixels

    side = preprocess.crop_px

    def load(part: Sequence[Row]) -> "Tensor":
        pixels = np.empty((len(part), side, side, 3), dtype=np.uint8)
        for place, row in enumerate(part):
            pixels[place] = to_pixels(read_verified(data_path, row), preprocess, admitted)
        return torch.from_numpy(pixels)

    if not rows:
        yield load(rows)
    for n_rows, batch in _by_parts(load, rows, lambda row: data_path / row.path):
        advance(n_rows)
        yield batch


def sample_pixels(
    folder: Path, most: int, preprocess: Preprocess, advance: Callable[[int], None] = lambda _: None
) -> "Tensor":
    """Read some of the images below a folder as `load_examples` would; what cannot be read is passed over.

    Args:
        folder: with images in any folders below it.
        most: images to read; which ones is drawn by their names.
        preprocess: sizes in pixels, and the filter.
        advance: called with the number of images that were read since.

    Returns:
        uint8 (n, crop_px, crop_px, 3), n at most `most`.
    """
    import numpy as np
    import torch

    from transfer.data.decoding import MAX_BYTES, to_pixels
    from transfer.data.undecodable import UndecodableError

    def load(part: Sequence[Path]) -> list[Any]:
        readable = []
        for path in part:
            with suppress(OSError, UndecodableError):
                if path.stat().st_size <= MAX_BYTES:
                    readable.append(to_pixels(path.read_bytes(), preprocess, admitted))
        return readable

    found = [path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file()]
    found.sort(key=lambda path: hashlib.sha256(os.fsencode(path.relative_to(folder).as_posix())).digest())
    rows: list[Any] = []
    with closing(_by_parts(load, found, lambda path: path)) as parts:
        for _, read in parts:
            taken = read[: most - len(rows)]
            rows += taken
            advance(len(taken))
            if len(rows) == most:
                break
    side = preprocess.crop_px
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, side, side, 3, dtype=torch.uint8)


def pixel_recipe(preprocess: Preprocess) -> dict[str, Any]:
    """Return everything that the pixels of `load_examples` depend on beside the file.

    Args:
        preprocess: whose sizes and filter count, mean and standard deviation do not.
    """
    from transfer.data.decoding import decoder_facts

    sizes = {"resize_px": preprocess.resize_px, "crop_px": preprocess.crop_px}
    return {"kind": "pixels", **sizes, "interpolation": preprocess.interpolation, **decoder_facts()}


def _read_contents(
    places: Sequence[Place], kept: KeptScan, advance: Callable[[int], None]
) -> Iterator[tuple[int, Signature | None, Content]]:
    """Yield the place of every file in `places`, what tells its change, and what its bytes are."""
    from transfer.data.decoding import MAX_BYTES

    def read_part(part: Sequence[Place]) -> list[tuple[Signature | None, Content]]:
        return [_read_content(place, MAX_BYTES, kept) for place in part]

    done = 0
    for n_files, part in _by_parts(read_part, places, lambda place: Path(place.path)):
        yield from ((done + index, *entry) for index, entry in enumerate(part))
        done += n_files
        advance(n_files)


def _read_content(place: Place, max_bytes: int, kept: KeptScan) -> tuple[Signature | None, Content]:
    read = read_file(place, max_bytes)
    if isinstance(read, Content):
        return place.signature, read
    sha256 = digest_of(read.content)
    return read.signature, kept.of_bytes(sha256) or decoded_content(read.content, sha256)


def read_verified(data_path: Path, row: Row) -> bytes:
    """Read a row's file.

    Args:
        data_path: the data set's folder.
        row: of the manifest.

    Raises:
        UserError: the file is gone or is not the one the manifest describes.
    """
    try:
        content = (data_path / row.path).read_bytes()
    except OSError as error:
        raise UserError(
            f"{data_path / row.path} cannot be read ({error.strerror}); put it back or run `dvc repro`."
        ) from error
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise UserError(f"{data_path / row.path} has changed since the manifest was made; run `dvc repro` again.")
    return content


def _by_parts(
    work: Callable[[Sequence[T]], R], items: Sequence[T], path_of: Callable[[T], Path]
) -> Generator[tuple[int, R], None, None]:
    """Let threads work on parts of items and yield each part's length and result in order, at most some ahead.

    An error or Ctrl-C drops what has not begun.
    """
    n_threads = _threads_for([path_of(item) for item in items[:: len(items) // _SAMPLE + 1]])
    length = min(_PART, max(1, len(items) // (4 * n_threads)))
    parts = [items[start : start + length] for start in range(0, len(items), length)]
    with _strict_pillow():
        pool = ThreadPoolExecutor(n_threads, thread_name_prefix="images")
        try:
            waiting: deque[tuple[int, Future[R]]] = deque()
            for part in parts:
                waiting.append((len(part), pool.submit(work, part)))
                if len(waiting) > _AHEAD * n_threads:
                    n_items, future = waiting.popleft()
                    yield n_items, future.result()
            for n_items, future in waiting:
                yield n_items, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _threads_for(sample: Sequence[Path]) -> int:
    """Return how many threads read such files soonest.

    Decoders release the interpreter; in small files it is soon wanted back, and threads spend more on handing it over
    than they gain: on 2 cores one thread reads 6,400 JPEGs of 0.9 kB a second and two 3,800, but one 1,540 of 31 kB and
    two 2,440 (`benchmarks/decoding.py`); they are level at 4 kB.
    """
    n_bytes = [path.stat().st_size for path in sample if path.is_file()]
    return 1 if sum(n_bytes) < _SMALL_BYTES * len(n_bytes) else usable_cores()


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Make a suspected decompression bomb an error and other remarks of the decoders silent, while threads decode."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
        yield

"""Find image files, describe them, and read them as tensors."""

import hashlib
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from adapters.class_folders import FoundFile, Listing
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


@dataclass(frozen=True, slots=True)
class DescribedFile:
    """What reading a file told.

    Args:
        found: the file.
        sha256: hex digest of its bytes; "" when they cannot be read.
        n_bytes: its size.
        problem: "" when the file decodes, else a sentence.
        facts: column -> value; empty when the file does not decode.
    """

    found: FoundFile
    sha256: str
    n_bytes: int
    problem: str
    facts: Mapping[str, Any]


def list_images(data_path: Path, choice: TableChoice = TableChoice()) -> Listing:  # noqa: B008  frozen
    """List the images of a data set's folder; see `adapters.table_listing.list_data_set`."""
    return list_data_set(data_path, EXTENSIONS, choice)


def describe(
    data_path: Path, files: Sequence[FoundFile], advance: Callable[[int], None] = lambda _: None
) -> tuple[DescribedFile, ...]:
    """Decode every file in full; one that cannot be decoded gets a sentence instead of facts.

    Args:
        data_path: the data set's folder.
        files: what to read.
        advance: called with the number of files that were read since.

    Returns:
        one entry a file, in the order of `files`.
    """

    def describe_part(part: Sequence[FoundFile]) -> list[DescribedFile]:
        return [_described(data_path, file) for file in part]

    described: list[DescribedFile] = []
    for n_files, part in _by_parts(describe_part, files, lambda file: data_path / file.path):
        described += part
        advance(n_files)
    return tuple(described)


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
            pixels[place] = to_pixels(_verified(data_path, row), preprocess)
        return torch.from_numpy(pixels)

    if not rows:
        yield load(rows)
    for n_rows, batch in _by_parts(load, rows, lambda row: data_path / row.path):
        advance(n_rows)
        yield batch


def pixel_recipe(preprocess: Preprocess) -> dict[str, Any]:
    """Return everything that the pixels of `load_examples` depend on beside the file.

    Args:
        preprocess: whose sizes and filter count, mean and standard deviation do not.
    """
    from transfer.data.decoding import decoder_facts

    sizes = {"resize_px": preprocess.resize_px, "crop_px": preprocess.crop_px}
    return {"kind": "pixels", **sizes, "interpolation": preprocess.interpolation, **decoder_facts()}


def _described(data_path: Path, found: FoundFile) -> DescribedFile:
    from transfer.data.decoding import MAX_BYTES, UndecodableError, decode_described
    from transfer.data.facts import describe_image

    path = data_path / found.path
    sha256, n_bytes = "", 0
    try:
        if not path.is_file():
            return DescribedFile(
                found, "", 0, "The file is a broken link or no regular file; replace or remove it.", {}
            )
        n_bytes = path.stat().st_size
        if n_bytes > MAX_BYTES:
            return DescribedFile(
                found, "", n_bytes, f"The file has more than {MAX_BYTES} bytes; store a smaller image.", {}
            )
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        return DescribedFile(found, sha256, n_bytes, "", asdict(describe_image(decode_described(content))))
    except OSError as error:
        return DescribedFile(
            found, sha256, n_bytes, f"The file cannot be read ({error.strerror}); make it readable.", {}
        )
    except UndecodableError as error:
        return DescribedFile(found, sha256, n_bytes, str(error), {})


def _verified(data_path: Path, row: Row) -> bytes:
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
) -> Iterator[tuple[int, R]]:
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

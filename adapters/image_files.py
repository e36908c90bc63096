"""Find image files, describe them, and read them as tensors."""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from adapters.class_folders import FoundFile, Listing, list_class_folders
from transfer.errors import UserError
from transfer.records import Preprocess, Row

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
R = TypeVar("R")

_NETPBM = (".ppm", ".pgm", ".pbm", ".pnm")
EXTENSIONS = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", *_NETPBM))
_WORKERS = 2


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


def list_images(data_path: Path) -> Listing:
    """List the images of a data set's folder; see `adapters.class_folders.list_class_folders`."""
    return list_class_folders(data_path, EXTENSIONS)


def describe(
    data_path: Path, files: Sequence[FoundFile], advance: Callable[[int], None] = lambda _: None
) -> tuple[DescribedFile, ...]:
    """Decode every file in full; one that cannot be decoded gets a sentence instead of facts.

    Args:
        data_path: the data set's folder.
        files: what to read.
        advance: called with 1 after each file.

    Returns:
        one entry a file, in the order of `files`.
    """
    described = []
    for entry in _in_threads(lambda file: _described(data_path, file), files):
        described.append(entry)
        advance(1)
    return tuple(described)


def load_examples(
    data_path: Path, rows: Sequence[Row], preprocess: Preprocess, advance: Callable[[int], None] = lambda _: None
) -> "Tensor":
    """Read rows as upright RGB pixels, resized and centre-cropped.

    Args:
        data_path: the data set's folder.
        rows: what to read.
        preprocess: sizes in pixels, and the filter.
        advance: called with 1 after each row.

    Returns:
        uint8 (N, 3, crop_px, crop_px), in the order of `rows`.

    Raises:
        UserError: a file is gone or is not the one the manifest describes.
    """
    import torch

    from transfer.data.decoding import to_example

    examples = torch.empty((len(rows), 3, preprocess.crop_px, preprocess.crop_px), dtype=torch.uint8)

    def load(index: int) -> None:
        examples[index] = to_example(_verified(data_path, rows[index]), preprocess)

    for _ in _in_threads(load, range(len(rows))):
        advance(1)
    return examples


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


def _in_threads(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Yield the results in order; an error or Ctrl-C drops what has not begun."""
    with _strict_pillow():
        pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="images")
        try:
            yield from pool.map(work, items)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Make a suspected decompression bomb an error and other remarks of the decoders silent, while threads decode."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
        yield

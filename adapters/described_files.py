"""Read a listed file whole, decode it, and say in words what is wrong or odd about it."""

import hashlib
import os
import stat
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from adapters.class_folders import FoundFile
from adapters.file_places import Place, Signature, explained, signature_of

_SETTLED_NS = 2_000_000_000  # the coarsest clock of a file system (FAT): later changes have another time
_SMALL_PIXELS, _PIXELS_AT_ONCE = 1 << 20, 90_000_000  # uncounted ones; all others together, or one alone
_LONG_PATH = 240  # characters; Windows allows 260 with what stands before
_EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
_ODD_CATEGORIES = ("Cc", "Cf", "Zl", "Zp")  # control, format (bidi, zero width), breaks of lines and paragraphs
_changed = threading.Condition()
_in_work: list[int] = []  # pixels of each counted image that is being decoded


@dataclass(frozen=True, slots=True)
class Content:
    """What the bytes of a file are, whatever its name is.

    Args:
        sha256: hex digest; "" when they were not read.
        n_bytes: how many.
        problem: "" when they decode, else a sentence.
        facts: column -> value; empty when they do not decode.
        kind: "" or an error's word of `transfer.data.faults`.
        remarks: warnings' words of it, sorted.
    """

    sha256: str
    n_bytes: int
    problem: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DescribedFile:
    """What reading a file told.

    Args:
        found: the file.
        content: what its bytes are; what its name adds is among the remarks.
    """

    found: FoundFile
    content: Content


@dataclass(frozen=True, slots=True)
class Read:
    """The bytes of a file, and whether its signature will tell when they change.

    Args:
        content: the bytes.
        signature: None where the file changed a moment ago or while it was read: it might change again unnoticed.
    """

    content: bytes
    signature: Signature | None


def read_file(place: Place, max_bytes: int) -> Read | Content:
    """Read a file that was looked up; what cannot or must not be read is content with a problem.

    Args:
        place: the file.
        max_bytes: that are read at most.
    """
    if place.kind:
        return Content("", 0, place.problem, kind=place.kind)
    if place.n_bytes > max_bytes:
        return _too_large(place.n_bytes, max_bytes)
    try:
        # A pipe that took the file's place must not make us wait for its writer.
        follow = 0 if place.is_link else os.O_NOFOLLOW
        descriptor = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | follow)
        with open(descriptor, "rb", buffering=0) as stream:  # noqa: PTH123  a descriptor, no path
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                return Content("", 0, "The file was replaced while it was read; run again.", kind="not_a_file")
            content = _read_whole(stream, before.st_size, max_bytes)
            after = signature_of(os.fstat(descriptor))
    except OSError as error:
        kind, problem = explained(error)
        return Content("", 0, problem, kind=kind)
    if len(content) > max_bytes:
        return _too_large(len(content), max_bytes)
    known = place.signature == signature_of(before) == after and len(content) == place.n_bytes
    return Read(content, after if known and _is_settled(after) else None)


def decoded_content(content: bytes, sha256: str) -> Content:
    """Decode bytes in full; what cannot be decoded gets a kind and a sentence instead of facts."""
    from transfer.data.decoding import decode_described
    from transfer.data.facts import describe_image
    from transfer.data.undecodable import UndecodableError, damage

    try:
        decoded = decode_described(content, admitted)
        facts = asdict(describe_image(decoded))
    except UndecodableError as error:
        return Content(sha256, len(content), str(error), kind=error.kind)
    except MemoryError as error:
        refusal = damage(error)
        return Content(sha256, len(content), str(refusal), kind=refusal.kind)
    return Content(sha256, len(content), facts=facts, remarks=decoded.remarks)


def digest_of(content: bytes) -> str:
    """Return the hex digest that a manifest holds of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


def described(found: FoundFile, place: Place, content: Content, colliding: frozenset[str]) -> DescribedFile:
    """Put together what the bytes are and what the file's name adds.

    Args:
        found: the file.
        place: where it is.
        content: of its bytes.
        colliding: see `colliding_names`.
    """
    told = (
        ("wrong_extension", _has_wrong_extension(found.path, content.facts.get("format", ""))),
        ("link", place.is_link),
        ("odd_name", _is_odd(found.path)),
        ("case_collision", found.path in colliding),
        ("long_name", len(found.path) > _LONG_PATH),
    )
    more = [word for word, is_so in told if is_so]
    if not more:
        return DescribedFile(found, content)
    return DescribedFile(found, replace(content, remarks=tuple(sorted({*content.remarks, *more}))))


def colliding_names(files: Sequence[FoundFile]) -> frozenset[str]:
    """Return the paths that some systems could not keep apart: equal but for case or the way accents are written."""
    plain = [_plain(file.path) for file in files]
    counts = Counter(plain)
    return frozenset(file.path for file, name in zip(files, plain, strict=True) if counts[name] > 1)


def _plain(path: str) -> str:
    return (
        path.lower() if path.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
    )


def _is_odd(path: str) -> bool:
    if path.isascii() and path.isprintable():
        return False
    return any(unicodedata.category(letter) in _ODD_CATEGORIES for letter in path)


def _has_wrong_extension(path: str, kind: str) -> bool:
    return kind in _EXTENSIONS and not path.lower().endswith(_EXTENSIONS[kind])


def _too_large(n_bytes: int, max_bytes: int) -> Content:
    problem = f"The file has {n_bytes} bytes, more than {max_bytes}; store a smaller image."
    return Content("", n_bytes, problem, kind="too_many_bytes")


def _read_whole(stream: Any, n_bytes: int, max_bytes: int) -> bytes:
    """Read to the end, or one byte more than is allowed of a file that grows meanwhile."""
    content: bytes = stream.read(n_bytes + 1)
    while len(content) <= max_bytes and (more := stream.read(max_bytes + 1 - len(content))):
        content += more
    return content


def _is_settled(signature: Signature) -> bool:
    """Say whether a change from now on would get another time than the file has: git's rule for "racy" files."""
    now = time.time_ns()
    _, content_ns, any_ns, _, _ = signature
    return any_ns < now - _SETTLED_NS and not now - _SETTLED_NS <= content_ns <= now + _SETTLED_NS


@contextmanager
def admitted(n_pixels: int) -> Iterator[None]:
    """Wait until an image fits beside those that other threads decode, so that they do not add up in memory.

    Args:
        n_pixels: of the image as it will be decoded.
    """
    if n_pixels <= _SMALL_PIXELS:
        yield
        return
    with _changed:
        _changed.wait_for(lambda: not _in_work or sum(_in_work) + n_pixels <= _PIXELS_AT_ONCE)
        _in_work.append(n_pixels)
    try:
        yield
    finally:
        with _changed:
            _in_work.remove(n_pixels)
            _changed.notify_all()

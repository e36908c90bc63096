"""The words for what can be wrong with a file, how bad each is, and what each means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

FaultSeverity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Args:
        word: its stable name, as the manifest's columns `problem_kind` and `remarks` hold it.
        severity: "error" keeps the file from every later stage, "warning" is told.
        says: what it means, a phrase for people.
    """

    word: str
    severity: FaultSeverity
    says: str


_ERRORS = {
    "empty": "the file has no bytes",
    "not_an_image": "the bytes are of something that is no image",
    "unsupported_format": "the bytes are an image of a format that is not read",
    "truncated": "the file ends before its image does",
    "damaged": "the bytes begin as an image and cannot be decoded",
    "bomb": "a small file unfolds into more pixels or more work than is allowed",
    "metadata_bomb": "a small text or profile unfolds into more bytes than is allowed",
    "too_many_bytes": "the file is larger than is allowed",
    "out_of_memory": "this machine has too little memory to decode the image",
    "unknown_range": "pixels are numbers whose black and white nobody knows",
    "unsupported_colours": "colours are of a space that has no plain conversion to RGB",
    "polyglot": "the image is at the same time an archive, a document or a program",
    "path_out": "the path leads out of the data set's folder",
    "link_out": "a link leads out of the data set's folder",
    "broken_link": "a link leads nowhere, or in a circle",
    "not_a_file": "a folder, pipe, socket or device bears an image's name",
    "unreadable": "the system does not let the file be read",
    "gone": "the file was there when the folder was listed, and is no more",
}
_WARNINGS = {
    "wrong_extension": "the name says another format than the bytes",
    "trailing_bytes": "bytes follow after the end of the image",
    "damaged_metadata": "the EXIF data cannot be read, so that the image may lie on its side",
    "large_metadata": "more than a MiB of the file is not pixels",
    "colour_profile": "colours are of an ICC profile other than sRGB, which is not applied",
    "several_frames": "there are more frames or pages than the first, which alone is used",
    "turned": "the image is stored lying and is turned as EXIF says",
    "transparent": "transparent pixels are laid over white",
    "sixteen_bit": "of 16 bits a channel, the upper 8 are kept",
    "cmyk": "colours of print are converted without a profile",
    "bilevel": "pixels are black or white and nothing between",
    "link": "the name is a link to another file",
    "odd_name": "the name holds characters that do not show, break lines or turn the direction of reading",
    "case_collision": "another name differs only by case or by how accents are written",
    "long_name": "the path is longer than some systems allow",
}
FAULTS: Mapping[str, Fault] = {
    **{word: Fault(word, "error", says) for word, says in _ERRORS.items()},
    **{word: Fault(word, "warning", says) for word, says in _WARNINGS.items()},
}

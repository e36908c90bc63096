"""The refusal of bytes that are no image, with a word for its kind, and how errors of decoders become one."""

import re

from transfer.errors import UserError

_MEMORY_ADDRESS = re.compile(r"<[^>]* at 0x[0-9a-fA-F]+>")
# What Pillow and the libraries below it say of a file that ends too soon.
_ENDS_EARLY = ("truncated", "premature", "not enough", "reached eof", "unexpected end")
_UNFOLDS = ("decompressed data too large", "too much memory used in text chunks")


class UndecodableError(UserError):
    """The bytes are no image that can be read; the sentence says why.

    Args:
        sentence: for people.
        kind: an error's word of `transfer.data.faults`.
    """

    def __init__(self, sentence: str, kind: str) -> None:
        super().__init__(sentence, kind)
        self.kind = kind

    def __str__(self) -> str:
        return str(self.args[0])


def damage(error: Exception, *, ends_early: bool = False) -> UndecodableError:
    """Turn what a decoder raised into a refusal.

    Args:
        error: of Pillow, or of what reads a format's structure.
        ends_early: whether the file's structure says that there should be more of it.
    """
    if isinstance(error, MemoryError):
        return UndecodableError("This machine has too little memory for the image; store a smaller one.", "out_of_memory")
    text = _MEMORY_ADDRESS.sub("the file", str(error)).strip().rstrip(".") or type(error).__name__
    reason = " ".join(text.split())
    said = reason.lower()
    if any(words in said for words in _UNFOLDS):
        return UndecodableError(f"A text or profile in the file unfolds too far ({reason}); store it without.", "metadata_bomb")
    early = ends_early or isinstance(error, EOFError) or any(words in said for words in _ENDS_EARLY)
    return UndecodableError(
        f"The image is damaged ({reason}); replace or remove it.", "truncated" if early else "damaged"
    )

"""Backbone references: `<source>/<arch>[?key=value[&key=value]][@weights]`, a network and its weights in one line."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from transfer.errors import UserError

RANDOM = "none"
SOURCES = ("torchvision", "rootstock")
PREPROCESS_OPTIONS = ("resize_px", "crop_px", "interpolation")  # of every backbone, whatever its architecture
_GRAMMAR = re.compile(r"(?P<source>[^/?@]+)/(?P<arch>[^?@]+)(?:\?(?P<options>[^@]*))?(?:@(?P<weights>.+))?", re.DOTALL)
_ENUM_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class BackboneReference:
    """A network and where its weights come from.

    Args:
        source: one of `SOURCES`.
        arch: the architecture's name within the source.
        options: (key, value) pairs for the architecture's constructor, as written.
        weights: None for the source's default, "none" for random, an enum's name, or the path of a file.
    """

    source: str
    arch: str
    options: tuple[tuple[str, str], ...] = ()
    weights: str | None = None

    @classmethod
    def parse(cls, text: str) -> "BackboneReference":
        """Read a reference.

        Raises:
            UserError: the text does not follow the grammar, or names an unknown source.
        """
        found = _GRAMMAR.fullmatch(text.strip())
        if found is None:
            raise UserError(
                f"{text!r} is not a backbone reference; write <source>/<arch>[?key=value][@weights], "
                f"for example torchvision/mobilenet_v2@IMAGENET1K_V2 or rootstock/strokes."
            )
        if found["source"] not in SOURCES:
            close = get_close_matches(found["source"], SOURCES, n=1)
            hint = f", did you mean {close[0]}?" if close else "."
            raise UserError(
                f"{text!r} names the source {found['source']!r}; known sources are {' and '.join(SOURCES)}{hint}"
            )
        return cls(found["source"], found["arch"], _options(text, found["options"]), found["weights"])

    def __str__(self) -> str:
        """Return the reference as a user writes it; `parse` reads it back."""
        options = "&".join(f"{key}={value}" for key, value in self.options)
        weights = "" if self.weights is None else f"@{self.weights}"
        return f"{self.source}/{self.arch}{'?' if options else ''}{options}{weights}"

    @property
    def is_random(self) -> bool:
        """Say whether the weights are random."""
        return self.weights == RANDOM

    @property
    def is_published(self) -> bool:
        """Say whether the weights are torchvision's published ones, which may have to be downloaded."""
        return self.source == "torchvision" and not self.is_random and self.weights_file is None

    @property
    def weights_file(self) -> str | None:
        """Return the path of the local weights file; None for an enum, random weights or the default."""
        if self.weights is None or self.is_random or _ENUM_NAME.fullmatch(self.weights):
            return None
        return self.weights

    def with_weights(self, weights: str | None) -> "BackboneReference":
        """Return the same network with other weights."""
        return BackboneReference(self.source, self.arch, self.options, weights)

    def with_sizes(self, resize_px: int, crop_px: int) -> "BackboneReference":
        """Return the same network and weights for images of another size, in pixels."""
        sizes = {"resize_px": str(resize_px), "crop_px": str(crop_px)}
        return BackboneReference(self.source, self.arch, tuple({**dict(self.options), **sizes}.items()), self.weights)


def _options(text: str, written: str | None) -> tuple[tuple[str, str], ...]:
    pairs: dict[str, str] = {}
    for part in (written or "").split("&") if written is not None else ():
        key, equals, value = part.partition("=")
        if not key or not equals or not value or key in pairs:
            raise UserError(
                f"{text!r} has the option {part!r}; write ?key=value, several joined by '&', each key once."
            )
        pairs[key] = value
    return tuple(pairs.items())

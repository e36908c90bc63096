"""Backbone references: `<source>/<arch>[?key=value[&key=value]][@weights]`, a network and its weights in one line."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from transfer.errors import UserError
from transfer.records import Preprocess

RANDOM = "none"
SOURCES = ("torchvision", "rootstock", "timm", "mlflow")
PREPROCESS_OPTIONS = ("resize_px", "crop_px", "interpolation")  # of every backbone, whatever its architecture
_GRAMMAR = re.compile(r"(?P<source>[^/?@]+)/(?P<arch>[^?@]+)(?:\?(?P<options>[^@]*))?(?:@(?P<weights>.+))?", re.DOTALL)
_NAMES_OF_WEIGHTS = {  # what is no path after the @
    "torchvision": re.compile(r"[A-Z][A-Z0-9_]*"),
    "rootstock": re.compile(r"[A-Z][A-Z0-9_]*"),
    "timm": re.compile(r"[A-Za-z0-9_-]+"),
    "mlflow": re.compile(r".*", re.DOTALL),
}
_PUBLISHED = ("torchvision", "timm")
_REGISTERED = "models:/"


@dataclass(frozen=True, slots=True)
class BackboneReference:
    """A network and where its weights come from.

    Args:
        source: one of `SOURCES`.
        arch: the architecture's name within the source.
        options: (key, value) pairs for the architecture's constructor, as written.
        weights: None for the source's default, "none" for random, the name of published weights, the path of a file, or
            models:/NAME@ALIAS or models:/NAME/VERSION for the trunk of a registered model; of mlflow an alias or a
            version.
    """

    source: str
    arch: str
    options: tuple[tuple[str, str], ...] = ()
    weights: str | None = None

    @classmethod
    def parse(cls, text: str) -> "BackboneReference":
        """Read a reference.

        Raises:
            UserError: the text does not follow the grammar, names an unknown source, or no registered version.
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
                f"{text!r} names the source {found['source']!r}; known sources are {', '.join(SOURCES)}{hint}"
            )
        if found["source"] == "mlflow" and found["weights"] in (None, RANDOM):
            raise UserError(
                f"{text!r} names no version of the registered model {found['arch']!r}; write "
                f"mlflow/{found['arch']}@ALIAS or mlflow/{found['arch']}@NUMBER, for example "
                f"mlflow/{found['arch']}@champion."
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
        """Say whether the weights are ones that others published, which may have to be downloaded."""
        return self.source in _PUBLISHED and not self.is_random and self.record_key is None

    @property
    def weights_file(self) -> str | None:
        """Return the path of the local weights file; None where the weights are named in another way, or random."""
        if self.weights is None or self.is_random or self.registered_model is not None:
            return None
        return None if _NAMES_OF_WEIGHTS[self.source].fullmatch(self.weights) else self.weights

    @property
    def registered_model(self) -> str | None:
        """Return the URI of the registered model whose trunk is named, models:/NAME@ALIAS or models:/NAME/VERSION."""
        if self.source == "mlflow":
            return f"{_REGISTERED}{self.arch}{'/' if (self.weights or '').isdecimal() else '@'}{self.weights}"
        return self.weights if self.weights is not None and self.weights.startswith(_REGISTERED) else None

    @property
    def record_key(self) -> str | None:
        """Return what the sha256 of the weights is recorded under; None where nothing can change them unnoticed."""
        return self.weights_file or self.registered_model

    def with_weights(self, weights: str | None) -> "BackboneReference":
        """Return the same network with other weights."""
        return BackboneReference(self.source, self.arch, self.options, weights)

    def with_sizes(self, resize_px: int, crop_px: int) -> "BackboneReference":
        """Return the same network and weights for images of another size, in pixels."""
        sizes = {"resize_px": str(resize_px), "crop_px": str(crop_px)}
        return BackboneReference(self.source, self.arch, tuple({**dict(self.options), **sizes}.items()), self.weights)

    def like(self, trained: "BackboneReference", preprocess: Preprocess, weights: str) -> "BackboneReference":
        """Return a trained network with other weights and its own images, unless this reference says otherwise.

        Args:
            trained: whose architecture and options are taken.
            preprocess: of the images it was trained on.
            weights: what the weights are named.

        Raises:
            UserError: this reference has an option that is part of the trained architecture.
        """
        for key, _ in self.options:
            if key not in PREPROCESS_OPTIONS:
                raise UserError(
                    f"{self} has the option {key!r}, but the architecture is that of the registered model; leave it "
                    f"out, or choose among {', '.join(PREPROCESS_OPTIONS)}."
                )
        own = dict(self.options)
        sizes = {"resize_px": str(preprocess.resize_px), "crop_px": str(preprocess.crop_px)}
        options = {key: value for key, value in trained.options if key not in PREPROCESS_OPTIONS}
        options |= {} if sizes.keys() & own.keys() else sizes
        options |= {"interpolation": preprocess.interpolation} | own
        return BackboneReference(trained.source, trained.arch, tuple(options.items()), weights)


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

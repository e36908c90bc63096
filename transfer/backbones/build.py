"""Build a backbone from its reference and, where it has any, its weights."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from transfer.backbones import own_models, timm_models, torchvision_models
from transfer.backbones.backbone import Backbone
from transfer.backbones.parts import FILLED_LATER, RANDOM, SHAPES, Source
from transfer.backbones.reference import BackboneReference
from transfer.backbones.weights_check import match, outside, require_fits
from transfer.errors import UserError
from transfer.records import INTERPOLATIONS, Preprocess

_SOURCES: Mapping[str, Source] = {"torchvision": torchvision_models, "timm": timm_models, "rootstock": own_models}
_SIZES = ("resize_px", "crop_px")
_LARGEST_PX = 4096


def build_backbone(
    reference: BackboneReference,
    state_dict: Mapping[str, Tensor] | None,
    *,
    seed: int,
    weights_name: str = "the weights",
) -> Backbone:
    """Build a backbone.

    Args:
        reference: what to build.
        state_dict: weights of the full architecture with a head of any width, or without one; None for random weights.
        seed: of the random weights; the global random state is left as it was.
        weights_name: what an error sentence calls the weights.

    Raises:
        UserError: the architecture, an option or the weights do not fit.
    """
    preprocess = preprocess_of(reference)
    source, values = _source_of(reference), RANDOM if state_dict is None else FILLED_LATER
    parts = source.parts_of(reference, preprocess, seed, values)
    if state_dict is not None:
        network, given = str(reference.with_weights(None)), source.in_own_names(parts.trunk, state_dict)
        _fill(parts.trunk, match(parts.trunk.state_dict(), given, parts.heads, network, weights_name))
    return Backbone(str(reference), parts.trunk, parts.feature_dim, parts.depth_groups, preprocess)


def bare_backbone(reference: BackboneReference) -> Backbone:
    """Return a backbone whose values mean nothing and may have no memory: to ask what it is made of.

    Raises:
        UserError: the architecture or an option does not fit.
    """
    preprocess = preprocess_of(reference)
    parts = _source_of(reference).parts_of(reference, preprocess, 0, SHAPES)
    return Backbone(str(reference), parts.trunk, parts.feature_dim, parts.depth_groups, preprocess)


def check_backbone(
    reference: BackboneReference, state_dict: Mapping[str, Tensor] | None, *, weights_name: str = "the weights"
) -> None:
    """Refuse what `build_backbone` would refuse; no weights are made.

    Args:
        reference: what would be built.
        state_dict: its weights; None for random weights, and for published ones that are not here: their shapes are
            those of the architecture without options.
        weights_name: what an error sentence calls the weights.

    Raises:
        UserError: the architecture, the name of published weights, an option or the weights do not fit.
    """
    source, network = _source_of(reference), str(reference.with_weights(None))
    parts = source.parts_of(reference, preprocess_of(reference), 0, SHAPES)
    expected = parts.trunk.state_dict()
    if state_dict is not None:
        match(expected, source.in_own_names(parts.trunk, state_dict), parts.heads, network, weights_name)
    elif reference.is_published and reference.options:
        plain = replace(reference, options=())
        published = source.parts_of(plain, preprocess_of(plain), 0, SHAPES).trunk.state_dict()
        require_fits(expected, published, parts.heads, network, f"The published file of {plain}")


def preprocess_of(reference: BackboneReference) -> Preprocess:
    """Return what the images of a backbone must look like, without building it.

    Raises:
        UserError: the architecture, the published weights or the interpolation is unknown, or a size out of range.
    """
    documented = _source_of(reference).documented(reference)
    options = dict(reference.options)
    sizes = {key: _pixels(reference, key, options[key]) for key in _SIZES if key in options}
    interpolation = options.get("interpolation", documented.interpolation)
    if interpolation not in INTERPOLATIONS:
        raise UserError(
            f"{reference}: interpolation is {interpolation!r}, but must be {' or '.join(INTERPOLATIONS)}; change it."
        )
    return replace(_resized(reference, documented, sizes), interpolation=interpolation)


def dropped_names(reference: BackboneReference, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names in a weights file that the trunk has no place for: those of its head.

    Args:
        reference: what is built.
        names: of the values in a file that fits.
    """
    parts = _source_of(reference).parts_of(reference, preprocess_of(reference), 0, SHAPES)
    return outside(parts.trunk.state_dict(), names, parts.heads)


def head_names(reference: BackboneReference) -> tuple[str, ...]:
    """Return the names of the modules that the full architecture has behind the trunk, its last layer first.

    Raises:
        UserError: the architecture or an option does not fit.
    """
    return _source_of(reference).parts_of(reference, preprocess_of(reference), 0, SHAPES).heads


def _source_of(reference: BackboneReference) -> Source:
    if reference.source not in _SOURCES:
        raise UserError(f"{reference} names no architecture; it stands for the one that its registered model has.")
    return _SOURCES[reference.source]


def _fill(trunk: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Give an empty trunk its values; a module's own loading hooks are for other state dicts than matched ones."""
    if any(value.is_meta for value in trunk.state_dict().values()):
        trunk.to_empty(device="cpu")
    with torch.no_grad():
        for name, tensor in trunk.state_dict().items():
            tensor.copy_(values[name])


def _pixels(reference: BackboneReference, key: str, text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _LARGEST_PX:
        raise UserError(f"{reference}: {key} is {text!r}, but must be a whole number from 1 to {_LARGEST_PX}.")
    return int(text)


def _resized(reference: BackboneReference, preprocess: Preprocess, sizes: Mapping[str, int]) -> Preprocess:
    crop_px = sizes.get("crop_px", min(preprocess.crop_px, sizes.get("resize_px", preprocess.crop_px)))
    resize_px = sizes.get("resize_px", max(preprocess.resize_px, crop_px) if "crop_px" not in sizes else crop_px)
    if crop_px > resize_px:
        raise UserError(
            f"{reference}: crop_px {crop_px} is larger than resize_px {resize_px}; make it at most as large."
        )
    return replace(preprocess, resize_px=resize_px, crop_px=crop_px)

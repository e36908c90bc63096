"""Build a backbone from its reference and, where it has any, its weights."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from transfer.backbones import strokes
from transfer.backbones.backbone import Backbone, DepthGroup
from transfer.backbones.depth_groups import depth_groups
from transfer.backbones.reference import PREPROCESS_OPTIONS, BackboneReference
from transfer.backbones.weights_check import match, outside, require_fits
from transfer.errors import UserError
from transfer.records import INTERPOLATIONS, Preprocess

SHIPPED = ("strokes",)
_SIZES = ("resize_px", "crop_px")
_LARGEST_PX = 4096
_RANDOM, _FILLED_LATER, _SHAPES = "random", "filled later", "shapes alone"  # what the values of a new trunk are for
_Parts = tuple[nn.Module, int, tuple[str, ...], tuple[DepthGroup, ...]]  # trunk, feature width, heads, depth groups


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
    values = _RANDOM if state_dict is None else _FILLED_LATER
    trunk, feature_dim, heads, groups = _parts(reference, preprocess, seed, values)
    if state_dict is not None:
        given = _given(reference, trunk, state_dict)
        _fill(trunk, match(trunk.state_dict(), given, heads, str(reference.with_weights(None)), weights_name))
    return Backbone(str(reference), trunk, feature_dim, groups, preprocess)


def bare_backbone(reference: BackboneReference) -> Backbone:
    """Return a backbone whose values mean nothing and may have no memory: to ask what it is made of.

    Raises:
        UserError: the architecture or an option does not fit.
    """
    preprocess = preprocess_of(reference)
    trunk, feature_dim, _, groups = _parts(reference, preprocess, 0, _SHAPES)
    return Backbone(str(reference), trunk, feature_dim, groups, preprocess)


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
    preprocess = preprocess_of(reference)
    trunk, _, heads, _ = _parts(reference, preprocess, 0, _SHAPES)
    network = str(reference.with_weights(None))
    if state_dict is not None:
        match(trunk.state_dict(), _given(reference, trunk, state_dict), heads, network, weights_name)
    elif reference.is_published and reference.options:
        plain = replace(reference, options=())
        published, _, _, _ = _parts(plain, preprocess_of(plain), 0, _SHAPES)
        require_fits(trunk.state_dict(), published.state_dict(), heads, network, f"The published file of {plain}")


def preprocess_of(reference: BackboneReference) -> Preprocess:
    """Return what the images of a backbone must look like, without building it.

    Raises:
        UserError: the architecture, the published weights or the interpolation is unknown, or a size out of range.
    """
    if reference.source == "rootstock":
        require_shipped(reference)
        documented = strokes.PREPROCESS
    elif reference.source == "timm":
        from transfer.backbones import timm_models

        documented = timm_models.preprocess_of(reference.arch, reference.weights if reference.is_published else None)
    else:
        from transfer.backbones import torchvision_models

        enum_name = (reference.weights or "DEFAULT") if reference.is_published else None
        documented = torchvision_models.preprocess_of(reference.arch, enum_name)
    options = dict(reference.options)
    sizes = {key: _pixels(reference, key, options[key]) for key in _SIZES if key in options}
    interpolation = options.get("interpolation", documented.interpolation)
    if interpolation not in INTERPOLATIONS:
        raise UserError(
            f"{reference}: interpolation is {interpolation!r}, but must be {' or '.join(INTERPOLATIONS)}; change it."
        )
    return replace(_resized(reference, documented, sizes), interpolation=interpolation)


def require_shipped(reference: BackboneReference) -> None:
    """Refuse an architecture that this project does not have.

    Raises:
        UserError: names the ones it has.
    """
    if reference.arch not in SHIPPED:
        raise UserError(f"rootstock has no architecture {reference.arch!r}; it has {', '.join(SHIPPED)}.")


def dropped_names(reference: BackboneReference, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names in a weights file that the trunk has no place for: those of its head.

    Args:
        reference: what is built.
        names: of the values in a file that fits.
    """
    preprocess = preprocess_of(reference)
    trunk, _, heads, _ = _parts(reference, preprocess, 0, _SHAPES)
    return outside(trunk.state_dict(), names, heads)


def _parts(reference: BackboneReference, preprocess: Preprocess, seed: int, values: str) -> _Parts:
    """Build the trunk: with random weights, or without any where the architecture allows it."""
    options = {key: value for key, value in reference.options if key not in PREPROCESS_OPTIONS}
    if reference.source == "rootstock":
        return _shipped(reference, options, preprocess, seed)
    if reference.source == "timm":
        from transfer.backbones import timm_models

        # Buffers that no file holds are computed while the network is built: it must have memory to be filled.
        parts = timm_models.build_trunk(reference.arch, options, preprocess.crop_px, seed, empty=values == _SHAPES)
        return *parts, depth_groups(parts[0])
    if reference.source != "torchvision":
        raise UserError(f"{reference} names no architecture; it stands for the one that its registered model has.")
    return _torchvision(reference, options, preprocess, seed, values)


def _shipped(reference: BackboneReference, options: Mapping[str, str], preprocess: Preprocess, seed: int) -> _Parts:
    name = f"rootstock/{reference.arch}"
    if options:
        raise UserError(
            f"{name} has no option {next(iter(options))!r}; its options are {', '.join(PREPROCESS_OPTIONS)}."
        )
    if preprocess.crop_px < strokes.MIN_SIDE_PX:
        raise UserError(
            f"{name} cannot run on images of {preprocess.crop_px} px; make crop_px at least {strokes.MIN_SIDE_PX}."
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        trunk = strokes.strokes()
    groups = tuple(DepthGroup(group, (group,)) for group in strokes.DEPTH_GROUPS)
    return trunk, strokes.FEATURE_DIM, ("head",), groups


def _torchvision(
    reference: BackboneReference, options: Mapping[str, str], preprocess: Preprocess, seed: int, values: str
) -> _Parts:
    from transfer.backbones import torchvision_models

    arch = reference.arch
    keywords = torchvision_models.keywords_of(arch, options, preprocess.crop_px)
    if reference.options:
        torchvision_models.require_runs(arch, keywords, preprocess.crop_px)
    trunk, feature_dim, head = torchvision_models.build_trunk(arch, keywords, seed, empty=values != _RANDOM)
    heads = (head, *torchvision_models.AUXILIARY_HEADS)
    return trunk, feature_dim, heads, depth_groups(trunk)


def _given(reference: BackboneReference, trunk: nn.Module, state_dict: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    if reference.source != "timm":
        return state_dict
    from transfer.backbones import timm_models

    return timm_models.in_own_names(trunk, state_dict)


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

"""Build a backbone from its reference and, where it has any, its weights."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from transfer.backbones import strokes
from transfer.backbones.backbone import Backbone, DepthGroup
from transfer.backbones.depth_groups import depth_groups
from transfer.backbones.reference import BackboneReference
from transfer.backbones.weights_check import match
from transfer.errors import UserError
from transfer.records import Preprocess

SHIPPED = ("strokes",)
_PREPROCESS_OPTIONS = ("resize_px", "crop_px")
_LARGEST_PX = 4096
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
    options = {key: value for key, value in reference.options if key not in _PREPROCESS_OPTIONS}
    if reference.source == "rootstock":
        trunk, feature_dim, heads, groups = _shipped(reference, options, preprocess, seed)
    else:
        trunk, feature_dim, heads, groups = _torchvision(reference, options, preprocess, seed, state_dict is None)
    if state_dict is not None:
        values = match(trunk.state_dict(), state_dict, heads, str(reference.with_weights(None)), weights_name)
        _fill(trunk, values)
    return Backbone(str(reference), trunk, feature_dim, groups, preprocess)


def preprocess_of(reference: BackboneReference) -> Preprocess:
    """Return what the images of a backbone must look like, without building it.

    Raises:
        UserError: the architecture, the published weights or a size is unknown or out of range.
    """
    if reference.source == "rootstock":
        require_shipped(reference)
        documented = strokes.PREPROCESS
    else:
        from transfer.backbones import torchvision_models

        published = reference.weights_file is None and not reference.is_random
        enum_name = (reference.weights or "DEFAULT") if published else None
        documented = torchvision_models.preprocess_of(reference.arch, enum_name)
    options = dict(reference.options)
    sizes = {key: _pixels(reference, key, options[key]) for key in _PREPROCESS_OPTIONS if key in options}
    return _resized(reference, documented, sizes)


def require_shipped(reference: BackboneReference) -> None:
    """Refuse an architecture that this project does not have.

    Raises:
        UserError: names the ones it has.
    """
    if reference.arch not in SHIPPED:
        raise UserError(f"rootstock has no architecture {reference.arch!r}; it has {', '.join(SHIPPED)}.")


def _shipped(reference: BackboneReference, options: Mapping[str, str], preprocess: Preprocess, seed: int) -> _Parts:
    name = f"rootstock/{reference.arch}"
    if options:
        raise UserError(f"{name} has no option {next(iter(options))!r}; its options are resize_px, crop_px.")
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
    reference: BackboneReference, options: Mapping[str, str], preprocess: Preprocess, seed: int, random: bool
) -> _Parts:
    from transfer.backbones import torchvision_models

    arch = reference.arch
    keywords = torchvision_models.keywords_of(arch, options, preprocess.crop_px)
    if reference.options:
        torchvision_models.require_runs(arch, keywords, preprocess.crop_px)
    trunk, feature_dim, head = torchvision_models.build_trunk(arch, keywords, seed, empty=not random)
    heads = (head, *torchvision_models.AUXILIARY_HEADS)
    return trunk, feature_dim, heads, depth_groups(trunk)


def _fill(trunk: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Give an empty trunk its values; a module's own loading hooks are for other state dicts than matched ones."""
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

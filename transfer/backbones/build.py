"""Build a backbone from its reference and, where it has any, its weights."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches

import torch
from torch import Tensor

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
        seed: of the random weights.
        weights_name: what an error sentence calls the weights.

    Raises:
        UserError: the architecture, an option or the weights do not fit.
    """
    options = dict(reference.options)
    sizes = {key: _pixels(reference, key, options.pop(key)) for key in _PREPROCESS_OPTIONS if key in options}
    if reference.source == "rootstock":
        backbone, head = _shipped(reference, options, seed), "head"
    else:
        backbone, head = _torchvision(reference, options, seed, pretrained=state_dict is not None)
    if state_dict is not None:
        values = match(backbone.trunk.state_dict(), state_dict, head, reference.arch, weights_name)
        backbone.trunk.load_state_dict(values)
    backbone.preprocess = _resized(reference, backbone.preprocess, sizes)
    return backbone


def _shipped(reference: BackboneReference, options: Mapping[str, str], seed: int) -> Backbone:
    if reference.arch not in SHIPPED:
        close = get_close_matches(reference.arch, SHIPPED, cutoff=0.0)
        raise UserError(f"rootstock has no architecture {reference.arch!r}; did you mean {close[0]}?")
    if options:
        raise UserError(
            f"rootstock/{reference.arch} has no option {next(iter(options))!r}; its options are: resize_px, crop_px."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = strokes.strokes()
    groups = tuple(DepthGroup(name, (name,)) for name in strokes.DEPTH_GROUPS)
    return Backbone(str(reference), trunk, strokes.FEATURE_DIM, groups, strokes.PREPROCESS)


def _torchvision(
    reference: BackboneReference, options: Mapping[str, str], seed: int, *, pretrained: bool
) -> tuple[Backbone, str]:
    from transfer.backbones import torchvision_models

    trunk, feature_dim, head = torchvision_models.build_trunk(reference.arch, options, seed, pretrained)
    published = reference.weights_file is None and not reference.is_random
    enum_name = (reference.weights or "DEFAULT") if published else None
    preprocess = torchvision_models.preprocess_of(reference.arch, enum_name)
    return Backbone(str(reference), trunk, feature_dim, depth_groups(trunk), preprocess), head


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

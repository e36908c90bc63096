"""Architectures of this project, by name: those it ships weights for, and others for files of weights."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from transfer.backbones import cifar_resnet, strokes
from transfer.backbones.backbone import DepthGroup
from transfer.backbones.parts import Parts
from transfer.backbones.reference import PREPROCESS_OPTIONS, BackboneReference
from transfer.errors import UserError
from transfer.records import Preprocess

SHIPPED = ("strokes",)  # with weights
_CIFAR = {f"cifar_resnet{depth}": depth for depth in cifar_resnet.DEPTHS}
ARCHITECTURES = (*SHIPPED, *_CIFAR)


class _Known(NamedTuple):
    """What is known of an architecture without building it."""

    preprocess: Preprocess
    feature_dim: int
    min_side_px: int
    heads: tuple[str, ...]
    depth_groups: tuple[tuple[str, tuple[str, ...]], ...]


_STROKES = _Known(
    strokes.PREPROCESS,
    strokes.FEATURE_DIM,
    strokes.MIN_SIDE_PX,
    ("head",),
    tuple((name, (name,)) for name in strokes.DEPTH_GROUPS),
)
_CIFAR_RESNET = _Known(
    cifar_resnet.PREPROCESS,
    cifar_resnet.FEATURE_DIM,
    cifar_resnet.MIN_SIDE_PX,
    cifar_resnet.HEADS,
    cifar_resnet.DEPTH_GROUPS,
)


def require_shipped(arch: str) -> None:
    """Refuse an architecture that there are no weights for.

    Raises:
        UserError: says what can be named instead.
    """
    _require_architecture(arch)
    if arch not in SHIPPED:
        raise UserError(
            f"rootstock/{arch} comes without weights; name a file with rootstock/{arch}@PATH, or write "
            f"rootstock/{arch}@none for random ones."
        )


def documented(reference: BackboneReference) -> Preprocess:
    """Return what the images of an architecture look like; see `transfer.backbones.parts.Source`."""
    return _known(reference.arch).preprocess


def parts_of(reference: BackboneReference, preprocess: Preprocess, seed: int, values: str) -> Parts:  # noqa: ARG001  they are few
    """Build a trunk; see `transfer.backbones.parts.Source`."""
    arch, known = reference.arch, _known(reference.arch)
    unknown = next((key for key, _ in reference.options if key not in PREPROCESS_OPTIONS), None)
    if unknown is not None:
        raise UserError(f"rootstock/{arch} has no option {unknown!r}; its options are {', '.join(PREPROCESS_OPTIONS)}.")
    if preprocess.crop_px < known.min_side_px:
        raise UserError(
            f"rootstock/{arch} cannot run on images of {preprocess.crop_px} px; make crop_px at least "
            f"{known.min_side_px}."
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        trunk = cifar_resnet.CifarResNet(_CIFAR[arch]) if arch in _CIFAR else strokes.strokes()
    groups = tuple(DepthGroup(name, prefixes) for name, prefixes in known.depth_groups)
    return Parts(trunk, known.feature_dim, known.heads, groups)


def in_own_names(trunk: nn.Module, state_dict: Mapping[str, Tensor]) -> Mapping[str, Tensor]:  # noqa: ARG001
    """Return a state dict as it is."""
    return state_dict


def _known(arch: str) -> _Known:
    _require_architecture(arch)
    return _CIFAR_RESNET if arch in _CIFAR else _STROKES


def _require_architecture(arch: str) -> None:
    if arch not in ARCHITECTURES:
        raise UserError(f"rootstock has no architecture {arch!r}; it has {', '.join(ARCHITECTURES)}.")

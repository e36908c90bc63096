"""Architectures of timm as trunks, by name; the package is an extra, asked for where it is used.

Source: Wightman 2019, PyTorch Image Models, doi:10.5281/zenodo.4414861.
"""

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from transfer.backbones.depth_groups import depth_groups
from transfer.backbones.parts import SHAPES, Parts, first_line, triple
from transfer.backbones.reference import PREPROCESS_OPTIONS, BackboneReference
from transfer.errors import UserError
from transfer.records import INTERPOLATIONS, Preprocess

_HUB = "https://huggingface.co"
_HUB_FILE = "model.safetensors"
_UNKNOWN = "unknown"  # what timm writes where it knows no licence


def architectures() -> list[str]:
    """Return the names of timm's architectures.

    Raises:
        UserError: timm is not installed.
    """
    names: list[str] = _timm().list_models()
    return names


def is_installed() -> bool:
    """Say whether timm is here."""
    from importlib.util import find_spec

    return find_spec("timm") is not None


def tags_of(arch: str) -> list[str]:
    """Return the names of an architecture's published weights, the default first.

    Raises:
        UserError: timm is not installed, or does not have the architecture.
    """
    _require_architecture(arch)
    default = str(_timm().get_pretrained_cfg(arch).tag or "")
    published = _timm().list_pretrained(f"{arch}.*")
    tags = sorted(str(name).partition(".")[2] for name in published if str(name).partition(".")[0] == arch)
    return [tag for tag in (default, *(tag for tag in tags if tag != default)) if tag in tags]


def settings_of(arch: str, tag: str | None) -> Any:
    """Return what timm records of an architecture's weights (its `PretrainedCfg`).

    Args:
        arch: an architecture.
        tag: of published weights; None for the default.

    Raises:
        UserError: timm is not installed, or does not know the architecture or the tag.
    """
    _require_architecture(arch)
    if tag is not None and tag not in tags_of(arch):
        raise UserError(
            f"timm/{arch} has no weights {tag!r}; it has {', '.join(tags_of(arch)) or 'none'}; a file is named by its "
            f"path, for example @./{tag}."
        )
    return _timm().get_pretrained_cfg(arch if tag is None else f"{arch}.{tag}")


def documented(reference: BackboneReference) -> Preprocess:
    """Return what images look like to the weights of a reference; see `transfer.backbones.parts.Source`."""
    return preprocess_of(reference.arch, reference.weights if reference.is_published else None)


def preprocess_of(arch: str, tag: str | None) -> Preprocess:
    """Return the preprocessing that timm documents for weights.

    Args:
        arch: an architecture.
        tag: of published weights; None for the default.

    Raises:
        UserError: see `settings_of`; or the weights are not for RGB images.
    """
    settings = settings_of(arch, tag)
    channels, crop_px, _ = settings.input_size
    if channels != 3:
        raise UserError(f"timm/{arch} takes images of {channels} channels, but images here have 3; choose another.")
    interpolation = settings.interpolation if settings.interpolation in INTERPOLATIONS else "bilinear"
    resize_px = max(crop_px, math.floor(crop_px / settings.crop_pct))
    return Preprocess(resize_px, crop_px, triple(settings.mean), triple(settings.std), interpolation)


def parts_of(reference: BackboneReference, preprocess: Preprocess, seed: int, values: str) -> Parts:
    """Build an architecture without its classifier; see `transfer.backbones.parts.Source`.

    Raises:
        UserError: timm is not installed, does not have the architecture, or cannot build it for such images.
    """
    arch, crop_px, settings = reference.arch, preprocess.crop_px, settings_of(reference.arch, None)
    unknown = next((key for key, _ in reference.options if key not in PREPROCESS_OPTIONS), None)
    if unknown is not None:
        raise UserError(f"timm/{arch} has no option {unknown!r}; its options are {', '.join(PREPROCESS_OPTIONS)}.")
    sized = {"img_size": crop_px} if settings.fixed_input_size and crop_px != settings.input_size[1] else {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            # Buffers that no file holds are computed while the network is built: it must have memory to be filled.
            trunk = _empty(arch, sized) if values == SHAPES else _built(arch, sized)
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise UserError(
                f"timm/{arch} cannot be built for images of {crop_px} px ({first_line(error)}); change crop_px."
            ) from error
    named = settings.classifier
    heads = (named,) if isinstance(named, str) else tuple(named or ())
    width = int(getattr(trunk, "head_hidden_size", None) or trunk.num_features)  # type: ignore[arg-type]
    return Parts(trunk, width, heads, depth_groups(trunk))


def in_own_names(trunk: nn.Module, state_dict: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return a state dict under timm's own names, where it is one of the original authors'.

    Args:
        trunk: of timm.
        state_dict: of any origin; returned as it is where its names fit, or where timm knows no translation.
    """
    from importlib import import_module

    if set(trunk.state_dict()) <= set(state_dict):
        return state_dict
    translate = getattr(import_module(type(trunk).__module__), "checkpoint_filter_fn", None)
    try:
        made = dict(state_dict) if translate is None else translate(dict(state_dict), trunk)
    except (KeyError, AttributeError, IndexError, RuntimeError, ValueError, TypeError):
        return state_dict
    return made if isinstance(made, Mapping) and all(isinstance(value, Tensor) for value in made.values()) else {}


def weights_url(arch: str, tag: str | None) -> str:
    """Return the address of published weights: of the model hub, else of its authors.

    Raises:
        UserError: see `settings_of`; or there are no published weights that are a file of tensors.
    """
    settings = settings_of(arch, tag)
    if settings.hf_hub_id:
        return f"{_HUB}/{settings.hf_hub_id}/resolve/main/{settings.hf_hub_filename or _HUB_FILE}"
    if settings.url and not settings.custom_load:
        return str(settings.url)
    raise UserError(
        f"timm/{arch} has no published weights that can be read as tensors; write timm/{arch}@none for random ones, or "
        f"name a file with timm/{arch}@PATH."
    )


def licence_of(arch: str, tag: str | None) -> str | None:
    """Return the licence that timm states for weights; None where it states none."""
    stated = settings_of(arch, tag).license
    return None if stated in (None, "", _UNKNOWN) else str(stated)


def _empty(arch: str, sized: Mapping[str, Any]) -> nn.Module:
    try:
        with torch.device("meta"):
            return _built(arch, sized)
    except (NotImplementedError, RuntimeError):  # it computes with values while it is built
        return _built(arch, sized)


def _built(arch: str, sized: Mapping[str, Any]) -> nn.Module:
    model: nn.Module = _timm().create_model(arch, pretrained=False, num_classes=0, **sized)
    return model


def _require_architecture(arch: str) -> None:
    if _timm().is_model(arch) and "." not in arch:
        return
    name, _, tag = arch.partition(".")
    close = get_close_matches(name, architectures(), n=3, cutoff=0.5)
    if tag and _timm().is_model(name):
        raise UserError(f"timm/{arch} joins an architecture and a tag; write timm/{name}@{tag}.")
    hint = f"did you mean {', '.join(close)}?" if close else "`rootstock backbones --filter timm/` lists what it has."
    raise UserError(f"timm has no architecture {arch!r}; {hint}")


def _timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise UserError(
            "References that begin with timm/ need the package timm, which is not installed; install it in the "
            "project's folder with `.venv/bin/pip install -e '.[timm]'`, or choose a torchvision/ architecture."
        ) from error
    return timm

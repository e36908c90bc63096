"""torchvision's classification architectures as trunks: built by name and options, the final layer taken off."""

import inspect
from collections import OrderedDict
from collections.abc import Mapping
from difflib import get_close_matches
from math import isfinite
from typing import Any, get_type_hints

import torch
from torch import Tensor, nn

from transfer.backbones.depth_groups import depth_groups
from transfer.backbones.parts import RANDOM, Parts, first_line, triple
from transfer.backbones.reference import PREPROCESS_OPTIONS, BackboneReference
from transfer.errors import UserError
from transfer.records import Preprocess

AUXILIARY_HEADS = ("aux1", "aux2", "AuxLogits")  # of googlenet and inception_v3, in published weights
_WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")
_NOT_FOR_USERS = ("num_classes", "progress", "init_weights", "aux_logits", "image_size", "input_size")
_MOST_PARAMETERS = 2_000_000_000
_KINDS = {int: "a whole number, 0 or more", float: "a number, 0 or more", bool: "true or false"}


def architectures() -> list[str]:
    """Return the names of torchvision's classification architectures."""
    from torchvision import models

    names: list[str] = models.list_models(module=models)
    return names


def require_architecture(arch: str) -> None:
    """Refuse an architecture that torchvision does not have.

    Raises:
        UserError: names the closest ones.
    """
    known = architectures()
    if arch not in known:
        close = get_close_matches(arch, known, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(close)}?" if close else f"it has {', '.join(known)}."
        raise UserError(f"torchvision has no classification architecture {arch!r}; {hint}")


def keywords_of(arch: str, options: Mapping[str, str], crop_px: int) -> dict[str, Any]:
    """Return the constructor's keywords.

    Args:
        arch: an architecture; an unknown one is refused.
        options: keyword -> value as the user wrote it.
        crop_px: side of the images, which some architectures must know.

    Raises:
        UserError: the architecture or an option is unknown, or a value is of another type than declared.
    """
    require_architecture(arch)
    keywords: dict[str, Any] = {}
    if arch in _WITH_AUXILIARY_HEADS:  # their published weights expect input scaled once more, inside the network
        keywords |= {"aux_logits": False, "transform_input": True}
    if arch.startswith("vit_"):
        keywords["image_size"] = crop_px
    if arch.startswith("maxvit"):
        keywords["input_size"] = (crop_px, crop_px)
    return keywords | {key: _value(arch, key, text) for key, text in options.items()}


def parts_of(reference: BackboneReference, preprocess: Preprocess, seed: int, values: str) -> Parts:
    """Build an architecture without its final layer; see `transfer.backbones.parts.Source`."""
    options = {key: value for key, value in reference.options if key not in PREPROCESS_OPTIONS}
    keywords = keywords_of(reference.arch, options, preprocess.crop_px)
    if reference.options:
        require_runs(reference.arch, keywords, preprocess.crop_px)
    trunk, feature_dim, head = build_trunk(reference.arch, keywords, seed, empty=values != RANDOM)
    return Parts(trunk, feature_dim, (head, *AUXILIARY_HEADS), depth_groups(trunk))


def in_own_names(trunk: nn.Module, state_dict: Mapping[str, Tensor]) -> Mapping[str, Tensor]:  # noqa: ARG001
    """Return a state dict as it is: names of older releases are known where it is matched."""
    return state_dict


def build_trunk(
    arch: str, keywords: Mapping[str, Any], seed: int, *, empty: bool = False
) -> tuple[nn.Module, int, str]:
    """Build an architecture without its final layer.

    Args:
        arch: one of `architectures()`.
        keywords: what `keywords_of` returned.
        seed: of the random weights; the global random state is left as it was.
        empty: leave the weights out (on the meta device where the architecture allows it).

    Returns:
        The trunk, its feature width, and the name of the final layer in the full architecture.

    Raises:
        UserError: the constructor refuses the keywords.
    """
    if empty:
        try:
            with torch.device("meta"):
                return _without_head(_built(arch, keywords, initialised=False))
        except NotImplementedError:  # RegNet computes its widths with tensors
            return _without_head(_built(arch, keywords, initialised=False))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return _without_head(_built(arch, keywords, initialised=True))


def require_runs(arch: str, keywords: Mapping[str, Any], crop_px: int) -> None:
    """Refuse options that give a network too large to hold, or one that cannot run on its images.

    Raises:
        UserError: the options do not fit the architecture.
    """
    trunk = build_trunk(arch, keywords, seed=0, empty=True)[0].to("meta").eval()
    n_parameters = sum(parameter.numel() for parameter in trunk.parameters())
    if n_parameters > _MOST_PARAMETERS:
        raise UserError(
            f"torchvision/{arch} with these options has {n_parameters / 1e9:.1f} billion parameters, "
            f"at most {_MOST_PARAMETERS / 1e9:.0f} are allowed; make it narrower."
        )
    try:
        trunk(torch.empty(1, 3, crop_px, crop_px, device="meta"))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise UserError(
            f"torchvision/{arch} cannot run on images of {crop_px} px ({first_line(error)}); change crop_px."
        ) from error


def documented(reference: BackboneReference) -> Preprocess:
    """Return what images look like to the weights of a reference; see `transfer.backbones.parts.Source`."""
    return preprocess_of(reference.arch, (reference.weights or "DEFAULT") if reference.is_published else None)


def preprocess_of(arch: str, weights: str | None) -> Preprocess:
    """Return the preprocessing that torchvision documents for an architecture's weights, interpolation included.

    Args:
        arch: an architecture; an unknown one is refused.
        weights: an enum's name; None for the architecture's first published weights, which files usually follow.

    Raises:
        UserError: the architecture or the name is unknown.
    """
    from torchvision import models

    require_weights_name(arch, weights or "DEFAULT")
    enum = models.get_model_weights(arch)
    transforms = (enum[weights] if weights is not None else next(iter(enum))).transforms()
    return Preprocess(
        resize_px=transforms.resize_size[0],
        crop_px=transforms.crop_size[0],
        mean=triple(transforms.mean),
        std=triple(transforms.std),
        interpolation=transforms.interpolation.value,
    )


def weights_names(arch: str) -> list[str]:
    """Return the names of an architecture's published weights, DEFAULT first."""
    from torchvision import models

    require_architecture(arch)
    return ["DEFAULT", *(entry.name for entry in models.get_model_weights(arch))]


def require_weights_name(arch: str, name: str) -> None:
    """Refuse a name that is none of an architecture's published weights.

    Raises:
        UserError: names the published ones.
    """
    allowed = weights_names(arch)
    if name not in allowed:
        raise UserError(
            f"torchvision/{arch} has no weights {name!r}; it has {', '.join(allowed)}; a file is named by its path, "
            f"for example @./{name}."
        )


def weights_url(arch: str, name: str) -> str:
    """Return the address of published weights."""
    from torchvision import models

    require_weights_name(arch, name)
    url: str = models.get_model_weights(arch)[name].url
    return url


def _built(arch: str, keywords: Mapping[str, Any], *, initialised: bool) -> nn.Module:
    from torchvision import models

    extra = {"init_weights": initialised} if arch in _WITH_AUXILIARY_HEADS else {}
    try:
        model: nn.Module = models.get_model(arch, weights=None, **keywords, **extra)
    except NotImplementedError:
        raise
    except (TypeError, ValueError, RuntimeError, ArithmeticError, AssertionError) as error:
        raise UserError(
            f"torchvision/{arch} cannot be built with these options ({first_line(error)}); change them."
        ) from error
    if isinstance(model, models.MNASNet):  # its own class loads only state dicts that carry a version
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(OrderedDict(layers=model.layers, pool=pool, classifier=model.classifier))
    return model


def _without_head(model: nn.Module) -> tuple[nn.Module, int, str]:
    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:  # squeezenet classifies with a convolution before it pools
        name, convolution = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d)][-1]
        container = name.rpartition(".")[0]
        model.set_submodule(container, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        return model, convolution.in_channels, name
    name, head = linear[-1]
    model.set_submodule(name, nn.Identity())
    return model, head.in_features, name


def _value(arch: str, key: str, text: str) -> Any:
    declared = _declared(arch)
    if key not in declared:
        allowed = ", ".join([*PREPROCESS_OPTIONS, *_settable(arch)])
        raise UserError(f"torchvision/{arch} has no option {key!r}; its options are {allowed}.")
    kind = declared[key]
    try:
        value = {"true": True, "false": False}[text] if kind is bool else kind(text)
    except (KeyError, ValueError):
        value = None
    if value is None or not isfinite(value) or value < 0:
        raise UserError(f"torchvision/{arch}?{key}={text}: the value must be {_KINDS[kind]}; change it.")
    return value


def _declared(arch: str) -> dict[str, type]:
    """Return the numbers and switches that the architecture's class declares, by name."""
    from torchvision import models

    network = get_type_hints(inspect.unwrap(models.get_model_builder(arch)))["return"]
    kinds = {name: entry.annotation for name, entry in inspect.signature(network).parameters.items()}
    return {name: kind for name, kind in kinds.items() if kind in _KINDS and name not in _NOT_FOR_USERS}


def _settable(arch: str) -> list[str]:
    """Return the declared options that the architecture does not itself decide, found by trying each at its default."""
    from torchvision import models

    network = get_type_hints(inspect.unwrap(models.get_model_builder(arch)))["return"]
    basis = keywords_of(arch, {}, preprocess_of(arch, None).crop_px)
    kept = []
    for name in _declared(arch):
        default = inspect.signature(network).parameters[name].default
        try:
            build_trunk(arch, {**basis, name: default}, seed=0, empty=True)
        except UserError:
            continue
        kept.append(name)
    return kept

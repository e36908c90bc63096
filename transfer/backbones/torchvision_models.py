"""torchvision's classification architectures as trunks: built by name and options, the final layer taken off."""

import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from transfer.errors import UserError
from transfer.records import Preprocess

_WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")
_RESERVED = ("weights", "progress", "num_classes", "kwargs", "init_weights", "aux_logits", "transform_input")


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
        close = get_close_matches(arch, known, n=3, cutoff=0.5) or known[:5]
        raise UserError(f"torchvision has no architecture {arch!r}; did you mean {', '.join(close)}?")


def build_trunk(arch: str, options: Mapping[str, str], seed: int, pretrained: bool) -> tuple[nn.Module, int, str]:
    """Build an architecture with random weights and without its final layer.

    Args:
        arch: one of `architectures()`.
        options: keyword -> value as text, for the constructor.
        seed: of the random weights.
        pretrained: True where trained weights will be loaded, which some architectures expect rescaled input for.

    Returns:
        The trunk, its feature width, and the name of the final layer in the full architecture.

    Raises:
        UserError: the architecture or an option is unknown.
    """
    from torchvision import models

    require_architecture(arch)
    keywords: dict[str, Any] = {key: _value(arch, key, text) for key, text in options.items()}
    if arch in _WITH_AUXILIARY_HEADS:
        keywords |= {"aux_logits": False, "init_weights": not pretrained, "transform_input": pretrained}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model: nn.Module = models.get_model(arch, weights=None, **keywords)
        except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
            raise UserError(
                f"torchvision/{arch} cannot be built with {dict(options)}: {error}; change the options."
            ) from error
    return _without_head(model)


def preprocess_of(arch: str, weights: str | None) -> Preprocess:
    """Return the preprocessing that torchvision documents for an architecture's weights.

    Args:
        arch: one of `architectures()`.
        weights: an enum's name; None for the architecture's first published weights, which files usually follow.
    """
    from torchvision import models

    enum = models.get_model_weights(arch)
    entry = enum[weights] if weights is not None else next(iter(enum))
    transforms = entry.transforms()
    return Preprocess(
        resize_px=transforms.resize_size[0],
        crop_px=transforms.crop_size[0],
        mean=_triple(transforms.mean),
        std=_triple(transforms.std),
    )


def weights_names(arch: str) -> list[str]:
    """Return the names of an architecture's published weights, DEFAULT first."""
    from torchvision import models

    require_architecture(arch)
    return ["DEFAULT", *(entry.name for entry in models.get_model_weights(arch))]


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
    declared = _options(arch)
    if key not in declared:
        allowed = ", ".join(sorted(declared)) or "none"
        raise UserError(f"torchvision/{arch} has no option {key!r}; its options are: {allowed}.")
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if text in ("true", "false"):
        return text == "true"
    raise UserError(f"torchvision/{arch}?{key}={text}: the value must be a number, true or false.")


def _options(arch: str) -> set[str]:
    from torchvision import models

    builder = inspect.unwrap(models.get_model_builder(arch))
    names = set(inspect.signature(builder).parameters)
    module = inspect.getmodule(builder)
    classes = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == builder.__module__]
    for kind in classes:
        if issubclass(kind, nn.Module) and "num_classes" in inspect.signature(kind.__init__).parameters:
            names |= set(inspect.signature(kind.__init__).parameters)
    scalar = {
        "width_mult",
        "dropout",
        "stochastic_depth_prob",
        "growth_rate",
        "bn_size",
        "drop_rate",
        "attention_dropout",
    }
    scalar |= {"image_size", "patch_size", "reduced_tail", "memory_efficient", "groups", "width_per_group", "alpha"}
    return (names & scalar) - set(_RESERVED)


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return (first, second, third)

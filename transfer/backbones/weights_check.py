"""Match a weights file to an architecture key by key: the head may differ or be absent, nothing else may."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from transfer.errors import UserError

_WRAPPERS = ("state_dict", "model_state_dict", "model", "model_state")
_SHOWN = 3


def unwrap(content: Any, name: str) -> dict[str, Tensor]:
    """Return the state dict inside what a weights file holds, without the prefix of a parallel wrapper.

    Args:
        content: a state dict, or a mapping that holds one under a usual key.
        name: what an error sentence calls the file.

    Raises:
        UserError: there is no mapping of tensors in it.
    """
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(value, Tensor) for value in content.values())
    ):
        raise UserError(
            f"{name} holds no state dict (a mapping of names to tensors); save one with model.state_dict()."
        )
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def match(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor], head: str, arch: str, name: str
) -> dict[str, Tensor]:
    """Return the trunk's part of a state dict, as float32 where it is floating point.

    Args:
        expected: the trunk's own state dict.
        given: the file's state dict.
        head: name of the head module in the full architecture; its entries are dropped, whatever their shape.
        arch: the architecture, for the error sentence.
        name: the file, for the error sentence.

    Raises:
        UserError: a key is missing or unexpected, a shape differs, or a value is not finite.
    """
    trunk = {key: value for key, value in given.items() if not key.startswith(f"{head}.")}
    optional = {key for key in expected if key.endswith("num_batches_tracked")}
    missing = sorted(set(expected) - set(trunk) - optional)
    unexpected = sorted(set(trunk) - set(expected))
    shapes = sorted(key for key in set(expected) & set(trunk) if expected[key].shape != trunk[key].shape)
    problems = _listed("missing", missing) + _listed("unexpected", unexpected)
    if shapes:
        key = shapes[0]
        problems.append(f"{key} is {tuple(trunk[key].shape)} instead of {tuple(expected[key].shape)}")
    if problems:
        raise UserError(
            f"{name} holds weights of another architecture than {arch} ({'; '.join(problems)}); name the one it has."
        )
    values = {key: _as_float32(trunk.get(key, expected[key])) for key in expected}
    for key, value in values.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise UserError(f"{name} holds a value that is not finite in {key}; use an undamaged file.")
    return values


def _listed(word: str, keys: list[str]) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return [f"{word} {', '.join(keys[:_SHOWN])}{more}"]


def _as_float32(value: Tensor) -> Tensor:
    return value.to(torch.float32) if value.is_floating_point() else value

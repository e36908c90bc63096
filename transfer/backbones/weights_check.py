"""Match a weights file to an architecture key by key: the head may differ or be absent, nothing else may."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from transfer.errors import UserError

_WRAPPERS = ("state_dict", "model_state_dict", "model", "model_state")
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
_SHOWN = 3
_OLD_NAMES = (  # older torchvision releases -> today's
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)"), r"\1\2"),
    (re.compile(r"\bmlp\.linear_1\."), "mlp.0."),
    (re.compile(r"\bmlp\.linear_2\."), "mlp.3."),
)


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
    return {_plain(str(key)): value for key, value in content.items()}


def match(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor], heads: Sequence[str], arch: str, name: str
) -> dict[str, Tensor]:
    """Return the trunk's part of a state dict in the trunk's own types.

    Args:
        expected: as `require_fits` takes it, like the others.
        given: the file's state dict.
        heads: names of the head modules.
        arch: the architecture, for the error sentence.
        name: the file, for the error sentence.

    Raises:
        UserError: see `require_fits`; or a type differs, or a value is not finite.
    """
    trunk = require_fits(expected, given, heads, arch, name)
    return {key: _value(value, trunk.get(key), f"{name} holds {key}") for key, value in expected.items()}


def require_fits(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor], heads: Sequence[str], arch: str, name: str
) -> dict[str, Tensor]:
    """Return the trunk's part of a state dict, compared by names and shapes alone.

    Args:
        expected: the trunk's own state dict; its values may be on the meta device.
        given: the file's state dict, likewise.
        heads: names of the head modules of the full architecture; what the file has there is dropped, whatever its
            shape.
        arch: the architecture, for the error sentence.
        name: the file, for the error sentence.

    Raises:
        UserError: a key is missing or unexpected, or a shape differs.
    """
    renamed = {_renamed(key, expected): value for key, value in given.items()}
    dropped = set(outside(expected, renamed, heads))
    trunk = {key: value for key, value in renamed.items() if key not in dropped}
    problems = _differences(expected, trunk)
    if problems:
        raise UserError(
            f"{name} holds weights of another architecture than {arch} ({'; '.join(problems)}); "
            f"name the architecture and the options it was trained with."
        )
    return trunk


def outside(expected: Mapping[str, Tensor], names: Iterable[str], heads: Sequence[str]) -> tuple[str, ...]:
    """Return the names that belong to a head, whatever it is made of.

    Args:
        expected: the trunk's own state dict.
        names: of the values in a file.
        heads: names of the head modules of the full architecture.
    """
    prefixes = tuple(f"{_widened(head, expected)}." for head in heads)
    return tuple(name for name in names if name.startswith(prefixes))


def _plain(key: str) -> str:
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key


def _renamed(key: str, expected: Mapping[str, Tensor]) -> str:
    if key in expected:
        return key
    for pattern, replacement in _OLD_NAMES:
        new = pattern.sub(replacement, key)
        if new in expected:
            return new
    return key


def _widened(head: str, expected: Mapping[str, Tensor]) -> str:
    """Return the head's outermost container that holds nothing of the trunk: users put their own layers there."""
    parent = head.rpartition(".")[0]
    if not parent or any(key.startswith(f"{parent}.") for key in expected):
        return head
    return _widened(parent, expected)


def _differences(expected: Mapping[str, Tensor], trunk: Mapping[str, Tensor]) -> list[str]:
    missing = [key for key in expected if key not in trunk and not _is_counter(key)]
    unexpected = [key for key in trunk if key not in expected]
    problems = _listed("missing", missing) + _listed("unexpected", unexpected)
    shapes = [key for key in expected if key in trunk and expected[key].shape != trunk[key].shape]
    told = [f"{key} {tuple(trunk[key].shape)} instead of {tuple(expected[key].shape)}" for key in shapes]
    return problems + _listed("with another shape", told)


def _is_counter(key: str) -> bool:
    """Say whether a key is a norm layer's step counter, which files older than it lack."""
    return key.endswith("num_batches_tracked")


def _listed(word: str, keys: list[str]) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return [f"{word} {', '.join(keys[:_SHOWN])}{more}"]


def _value(expected: Tensor, given: Tensor | None, where: str) -> Tensor:
    if given is None:
        return torch.zeros(expected.shape, dtype=expected.dtype)
    if given.layout is not torch.strided:
        raise UserError(f"{where} as {given.layout} instead of densely; store it with to_dense().")
    if not expected.is_floating_point():
        return given.to(expected.dtype)
    if not given.is_floating_point():
        raise UserError(f"{where} as {given.dtype} instead of floating point; use weights that are not quantised.")
    value = given.to(expected.dtype)
    if not torch.isfinite(value).all():
        raise UserError(f"{where} with a value that is not finite; use an undamaged file.")
    return value

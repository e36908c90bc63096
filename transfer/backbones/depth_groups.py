"""Cut any trunk into depth groups by its own module tree: nothing is listed by architecture."""

from torch import nn

from transfer.backbones.backbone import DepthGroup

_FEWEST_UNITS = 4
_MOST_GROUPS = 6


def depth_groups(trunk: nn.Module) -> tuple[DepthGroup, ...]:
    """Return the depth groups of a trunk whose modules are registered in the order they run.

    The direct children are the units; while they are fewer than four, the largest container among them is replaced by its
    children. Leading single layers form one stem; more than six units are joined into six contiguous groups. A parameter
    that belongs to no unit (a class token, a position embedding) goes to the first group.

    Args:
        trunk: the network without its head.

    Returns:
        Groups from shallow to deep; every parameter and buffer is in exactly one.
    """
    groups = _joined(_with_stem(trunk, _units(trunk)))
    names = [name for name, _ in (*trunk.named_parameters(), *trunk.named_buffers())]
    loose = tuple(name for name in names if not any(group.holds(name) for group in groups))
    return (DepthGroup(groups[0].name, groups[0].prefixes + loose), *groups[1:])


def _units(trunk: nn.Module) -> list[str]:
    units = _children(trunk, "")
    while len(units) < _FEWEST_UNITS:
        containers = [name for name in units if len(_children(trunk.get_submodule(name), name)) > 1]
        if not containers:
            break
        largest = max(containers, key=lambda name: _size(trunk.get_submodule(name)))
        at = units.index(largest)
        units[at : at + 1] = _children(trunk.get_submodule(largest), largest)
    return units


def _children(module: nn.Module, prefix: str) -> list[str]:
    return [f"{prefix}.{name}".lstrip(".") for name, child in module.named_children() if _size(child) > 0]


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _with_stem(trunk: nn.Module, units: list[str]) -> list[tuple[str, ...]]:
    n_layers = 0
    while n_layers < len(units) - 1 and not list(trunk.get_submodule(units[n_layers]).children()):
        n_layers += 1
    stem = [tuple(units[:n_layers])] if n_layers > 1 else [(name,) for name in units[:n_layers]]
    return [*stem, *((name,) for name in units[n_layers:])]


def _joined(units: list[tuple[str, ...]]) -> tuple[DepthGroup, ...]:
    n_groups = min(len(units), _MOST_GROUPS)
    share, extra = divmod(len(units), n_groups)
    groups, at = [], 0
    for index in range(n_groups):
        size = share + (1 if index < extra else 0)
        prefixes = tuple(name for unit in units[at : at + size] for name in unit)
        groups.append(DepthGroup(_name(prefixes), prefixes))
        at += size
    return tuple(groups)


def _name(prefixes: tuple[str, ...]) -> str:
    return prefixes[0] if len(prefixes) == 1 else f"{prefixes[0]}-{prefixes[-1].rpartition('.')[2]}"

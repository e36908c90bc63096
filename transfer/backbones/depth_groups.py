"""Cut any trunk into depth groups by its own module tree: nothing is listed by architecture."""

from torch import nn

from transfer.backbones.backbone import DepthGroup

_FEWEST_UNITS = 4
_MOST_GROUPS = 6
_Unit = tuple[tuple[str, ...], int]  # names of modules, number of kernels in them


def depth_groups(trunk: nn.Module) -> tuple[DepthGroup, ...]:
    """Return the depth groups of a trunk whose modules are registered in the order they run.

    1. The direct children are the units; while they are fewer than four, the deepest container among them is replaced
       by its children.
    2. What is no stage of its own joins a neighbour: a norm layer the unit before it, leading single layers one stem, a
       downsampling or closing layer the stage after or before it.
    3. Where fewer than four units are left, the first step goes on for longer.
    4. More than six units are joined into six contiguous groups.

    A parameter that belongs to no unit (a class token, a position embedding) goes to the first group.

    Args:
        trunk: the network without its head.

    Returns:
        Groups from shallow to deep; every parameter and buffer is in exactly one.
    """
    groups = _joined(_units(trunk))
    names = [name for name, _ in (*trunk.named_parameters(), *trunk.named_buffers())]
    loose = tuple(name for name in names if not any(group.holds(name) for group in groups))
    return (DepthGroup(groups[0].name, groups[0].prefixes + loose), *groups[1:])


def _units(trunk: nn.Module) -> list[_Unit]:
    names: list[str] = []
    merged: list[_Unit] = []
    while len(merged) < _FEWEST_UNITS:
        before, names = names, _unit_names(trunk, names or _children(trunk, ""), max(_FEWEST_UNITS, len(names) + 1))
        if names == before:  # nothing is left to take apart
            break
        units: list[_Unit] = [((name,), _depth(trunk.get_submodule(name))) for name in names]
        merged = _with_transitions(_with_stem(_with_norms(units)))
    return merged


def _unit_names(trunk: nn.Module, names: list[str], fewest: int) -> list[str]:
    """Replace the deepest container by its children until there are so many names, or no container is left."""
    names = list(names)
    while len(names) < fewest:
        containers = [name for name in names if len(_children(trunk.get_submodule(name), name)) > 1]
        if not containers:
            break
        deepest = max(containers, key=lambda name: _depth(trunk.get_submodule(name)))
        at = names.index(deepest)
        names[at : at + 1] = _children(trunk.get_submodule(deepest), deepest)
    return names


def _children(module: nn.Module, prefix: str) -> list[str]:
    held = ((name, child) for name, child in module.named_children() if child.state_dict())
    return [f"{prefix}.{name}".lstrip(".") for name, _ in held]


def _depth(module: nn.Module) -> int:
    """Return the number of kernels and matrices: layers that compute, norms not counted."""
    return sum(parameter.ndim > 1 for parameter in module.parameters())


def _merged(first: _Unit, second: _Unit) -> _Unit:
    return first[0] + second[0], first[1] + second[1]


def _with_norms(units: list[_Unit]) -> list[_Unit]:
    kept = units[:1]
    for unit in units[1:]:
        kept[-1:] = [kept[-1], unit] if unit[1] else [_merged(kept[-1], unit)]
    return kept


def _with_stem(units: list[_Unit]) -> list[_Unit]:
    """Merge the leading single layers, unless the network consists mostly of them, as VGG does."""
    n_layers = next((at for at, unit in enumerate(units) if unit[1] > 1), len(units))
    if n_layers < 2 or 2 * n_layers >= len(units):
        return units
    stem = units[0]
    for unit in units[1:n_layers]:
        stem = _merged(stem, unit)
    return [stem, *units[n_layers:]]


def _with_transitions(units: list[_Unit]) -> list[_Unit]:
    kept = units[:1]
    waiting: list[_Unit] = []
    for unit in units[1:]:
        if unit[1] > 1 and waiting:
            unit = _merged(waiting.pop(), unit)  # noqa: PLW2901  the stage begins with the layer that leads into it
        kept += waiting
        waiting = [unit] if unit[1] == 1 else []
        kept += [] if waiting else [unit]
    if waiting and len(kept) > 1 and kept[-1][1] > 1:
        return [*kept[:-1], _merged(kept[-1], waiting[0])]
    return kept + waiting


def _joined(units: list[_Unit]) -> tuple[DepthGroup, ...]:
    n_groups = min(len(units), _MOST_GROUPS)
    share, extra = divmod(len(units), n_groups)
    groups, at = [], 0
    for index in range(n_groups):
        size = share + (1 if index < extra else 0)
        prefixes = tuple(name for names, _ in units[at : at + size] for name in names)
        groups.append(DepthGroup(_name(prefixes), prefixes))
        at += size
    return tuple(groups)


def _name(prefixes: tuple[str, ...]) -> str:
    """Name a group by its first and last module, the part they share written once."""
    first, last = prefixes[0], prefixes[-1]
    if first == last:
        return first
    same_parent = first.rpartition(".")[0] == last.rpartition(".")[0]
    return f"{first}-{last.rpartition('.')[2] if same_parent else last}"

"""What a dvc.lock says: which stage came after which, what each read and what it made. Two of them can be compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from adapters import dvc_lock


@dataclass(frozen=True, slots=True)
class StageRecord:
    """What DVC recorded of a stage.

    Args:
        deps: path -> md5 of what it read.
        params: dotted key -> value that counted.
        outs: path -> md5 of what it made.
    """

    deps: Mapping[str, str]
    params: Mapping[str, Any]
    outs: Mapping[str, str]


def read_lock(path: Path) -> dict[str, StageRecord]:
    """Return the stages of a dvc.lock, each after those that it read from; {} where there is no such file."""
    found = dvc_lock.stages(dvc_lock.text_of(path))
    stages = {str(name): _record(entry) for name, entry in found.items()}
    before = {name: {other for other in stages if _reads(stages[name], stages[other])} for name in stages}
    return {name: stages[name] for name in TopologicalSorter(before).static_order()}


def up_to(stages: Mapping[str, StageRecord], last: str) -> dict[str, StageRecord]:
    """Return a stage and everything that it was made from, in order."""
    wanted, found = {last}, list[str]()
    for name in reversed(list(stages)):
        if name in wanted:
            found.append(name)
            wanted |= {other for other in stages if _reads(stages[name], stages[other])}
    return {name: stages[name] for name in reversed(found)}


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values differ, or that only one of the two has, sorted."""
    return sorted(key for key in {*before, *after} if before.get(key, ...) != after.get(key, ...))


def _record(entry: Mapping[str, Any]) -> StageRecord:
    digests = {
        kind: {str(one["path"]): str(one.get("md5", "")) for one in entry.get(kind, ())} for kind in ("deps", "outs")
    }
    blocks = [values for values in entry.get("params", {}).values() if isinstance(values, Mapping)]
    params = {key: value for values in blocks for key, value in _flat(values)}
    return StageRecord(digests["deps"], params, digests["outs"])


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value and "." not in key:
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            yield str(key), value


def _reads(stage: StageRecord, other: StageRecord) -> bool:
    return stage is not other and any(_touch(dep, out) for dep in stage.deps for out in other.outs)


def _touch(path: str, other: str) -> bool:
    parts: Sequence[str] = Path(path).parts
    others: Sequence[str] = Path(other).parts
    shorter = min(len(parts), len(others))
    return parts[:shorter] == others[:shorter]

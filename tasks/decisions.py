"""What was measured before training and decides how it goes on: kept, so that no clock decides a weight twice."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import keep_newest, read_plain_json, write_plain_json
from adapters.project import state_folder
from tasks.history import search_of_plain
from transfer.errors import UserError

if TYPE_CHECKING:
    from transfer.finetuning.planning import StepPlan

_MOST = 256  # plans, some kilobytes each


def recalled(project: Path, key: str, plans: "Sequence[StepPlan]") -> "tuple[StepPlan, ...] | None":
    """Return plans as they were decided for the same inputs; None where nothing, or nothing usable, was decided.

    Args:
        project: whose decisions.
        key: of parameters, inputs, code and machine.
        plans: what needs no measuring.
    """
    try:
        steps = read_plain_json(_path(project, key))["steps"]
        if not all(_is_usable(plan, step) for plan, step in zip(plans, steps, strict=True)):
            return None
        return from_plain(plans, steps)
    except (UserError, OSError, KeyError, TypeError, ValueError):
        return None


def fit(plans: "Sequence[StepPlan]", free_bytes: int) -> bool:
    """Say whether updates as they were decided go into the memory there is now.

    Args:
        plans: decided.
        free_bytes: memory that may be taken, where training runs.
    """
    costs = (plan.cost for plan in plans if plan.n_images)
    return all(cost is None or cost.n_bytes <= free_bytes for cost in costs)


def _decided(plan: "StepPlan", step: Mapping[str, Any]) -> "StepPlan":
    from transfer.finetuning.planning import StepCost

    return replace(
        plan.shortened(step["n_images"], step["n_views"]),
        batch_size=step["batch_size"],
        cost=None if step["cost"] is None else StepCost(**step["cost"]),
        found=None if step["found"] is None else search_of_plain(step["found"]),
    )


def _is_usable(plan: "StepPlan", step: Mapping[str, Any]) -> bool:
    """Say whether a decision is one that could have been made."""
    from transfer.finetuning.rates import SCALES

    cost, found = step["cost"], step["found"]
    numbers = [] if cost is None else [value for name, value in cost.items() if name != "at_once"]
    return (
        type(step["n_images"]) is int
        and 0 <= step["n_images"] <= plan.n_images
        and type(step["batch_size"]) is int
        and step["batch_size"] >= 2
        and type(step["n_views"]) is int
        and 0 <= step["n_views"] <= plan.cache.n_views
        and (found is None or (found["groups"] == [*plan.step.searched] and found["scale"] in SCALES))
        and all(type(value) in (int, float) and value >= 0 for value in numbers)
        and (cost is None or (type(cost["at_once"]) is int and cost["at_once"] > 0))
    )


def keep(project: Path, key: str, plans: "Sequence[StepPlan]") -> None:
    """Keep what was decided; of `_MOST` others, the oldest gives way.

    Args:
        project: whose decisions.
        key: see `recalled`.
        plans: with their costs, their lengths and the rates that were found.
    """
    path = _path(project, key)
    write_plain_json(path, {"steps": to_plain(plans)})
    keep_newest(path.parent, _MOST)


def to_plain(plans: "Sequence[StepPlan]") -> list[dict[str, Any]]:
    """Return what was decided about plans, JSON-able."""
    return [
        {
            "n_images": plan.n_images,
            "n_views": plan.cache.n_views,
            "batch_size": plan.batch_size,
            "cost": None if plan.cost is None else asdict(plan.cost),
            "found": None if plan.found is None else asdict(plan.found),
        }
        for plan in plans
    ]


def from_plain(plans: "Sequence[StepPlan]", steps: Sequence[Mapping[str, Any]]) -> "tuple[StepPlan, ...]":
    """Return plans as `to_plain` says they were decided."""
    return tuple(_decided(plan, step) for plan, step in zip(plans, steps, strict=True))


def _path(project: Path, key: str) -> Path:
    return state_folder(project) / "plans" / f"{key}.json"

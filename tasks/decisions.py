"""What was measured before training and decides how it goes on: kept, so that no clock decides a weight twice."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.json_files import read_plain_json, write_plain_json
from adapters.project import state_folder
from transfer.errors import UserError

if TYPE_CHECKING:
    from transfer.finetuning.planning import StepPlan


def recalled(project: Path, key: str, plans: "Sequence[StepPlan]") -> "tuple[StepPlan, ...] | None":
    """Return plans as they were decided for the same inputs; None where nothing, or nothing usable, was decided.

    Args:
        project: whose decisions.
        key: of parameters, inputs, code and machine.
        plans: what needs no measuring.
    """
    from transfer.finetuning.planning import StepCost

    try:
        steps = read_plain_json(_path(project, key))["steps"]
        return tuple(
            replace(
                plan, n_images=int(step["n_images"]), cost=None if step["cost"] is None else StepCost(**step["cost"])
            )
            for plan, step in zip(plans, steps, strict=True)
        )
    except (UserError, OSError, KeyError, TypeError, ValueError):
        return None


def keep(project: Path, key: str, plans: "Sequence[StepPlan]") -> None:
    """Keep what was decided.

    Args:
        project: whose decisions.
        key: see `recalled`.
        plans: with their costs and their lengths.
    """
    steps = [{"n_images": plan.n_images, "cost": None if plan.cost is None else asdict(plan.cost)} for plan in plans]
    write_plain_json(_path(project, key), {"steps": steps})


def _path(project: Path, key: str) -> Path:
    return state_folder(project) / "plans" / f"{key}.json"

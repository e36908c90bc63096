"""The plan of fine-tuning as a table: what each step trains, how, and what it need not compute again."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from transfer.records import ClassBalance, RateSearch, Rescue, StepOutcome

if TYPE_CHECKING:
    from transfer.finetuning.planning import GroupPlan, StepPlan


def show_plan(plans: "Sequence[StepPlan]") -> None:
    """Print a row for every group of every step."""
    if not plans:
        print("Plan of fine-tuning: the head alone is fitted, on frozen features; the trunk stays as it is.")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("step", "group", "rate", "norms", "prefix", title="Plan of fine-tuning", title_justify="left")
    table.add_column("trained", justify="right")
    table.add_column("of", justify="right")
    for plan in plans:
        for index, group in enumerate(plan.groups):
            counts = f"{group.n_trained:,}", f"{group.n_parameters:,}"
            row = [plan.step.name if not index else "", group.name, *_treatment(group, plan), *counts]
            table.add_row(*row, end_section=index == len(plan.groups) - 1)
    console = Console(width=100)
    console.print(table)
    for line in notes(plans):
        console.print(line, markup=False, highlight=False)


def notes(plans: "Sequence[StepPlan]") -> Iterator[str]:
    """Yield a sentence a step: how long it is and what is kept for it."""
    for plan in plans:
        yield (
            f"Step {plan.step.name!r}: {plan.n_images} images in {plan.n_epochs:.3g} passes{_batches(plan)}; "
            f"{'cached' if plan.cache.n_views else 'not cached'}: {plan.cache.why}; "
            f"{plan.cache.speed_up_over_all:.1f} times fewer operations than training every layer as long"
            f"{_price(plan)}."
        )


def _price(plan: "StepPlan") -> str:
    if plan.cost is None:
        return ""
    seeking = f", {plan.search_s():.3g} s of them to find its rates" if plan.seeks else ""
    size = f"{plan.cost.n_bytes / 1e6:.0f} MB at {plan.cost.at_once} images at once"
    return f"; {plan.seconds():.3g} s{seeking} and {size} predicted"


def _batches(plan: "StepPlan") -> str:
    return "" if plan.batch_size is None else f", {plan.batch_size} an update"


def outcome_sentence(outcome: StepOutcome, plans: "Sequence[StepPlan]", seconds: float | None) -> str:
    """Return how a step ended, and how long it took beside what was predicted for the images that it saw.

    Args:
        outcome: of the step.
        plans: its own among them.
        seconds: that it took; None where an earlier run has taken them.
    """
    plan = next(plan for plan in plans if plan.step.name == outcome.name)
    predicted = plan.fixed_s() + plan.search_s() + outcome.images_seen * plan.image_s() if plan.n_images else 0.0
    noise = f" (noise {outcome.val_nll_noise:.4f})" if outcome.val_nll_noise is not None else ""
    ending = f"kept, {outcome.blend:.0%} of its change" if outcome.kept else "undone"
    took = "read from an earlier run" if seconds is None else f"in {seconds:.3g} s, {predicted:.3g} s predicted"
    return (
        f"Step {outcome.name!r}: {ending}: "
        f"validation loss {outcome.val_nll_before:.4f} -> {outcome.val_nll_after:.4f}{noise}; "
        f"{outcome.images_seen} images {took}."
    )


def search_sentence(search: RateSearch) -> str:
    """Return what a search for rates found, and how the trials did."""
    trials = ", ".join(
        f"{scale:.2g}: {'exploded' if nll is None else f'{nll:.4f}'}"
        for scale, nll in zip(search.scales, search.val_nlls, strict=True)
    )
    return (
        f"Step {search.step_name!r}: rates of {', '.join(search.groups)} times {search.scale:.2g}, found by "
        f"{len(search.scales)} short runs over {sum(search.images_seen)} images (validation loss at {trials})."
    )


def plain_plan(plans: "Sequence[StepPlan]", balance: ClassBalance) -> dict[str, Any]:
    """Return the plan as JSON-able values, without what was measured: it would differ from run to run."""
    return {"balance": asdict(balance), "steps": [asdict(replace(plan, cost=None)) for plan in plans]}


def _treatment(group: "GroupPlan", plan: "StepPlan") -> tuple[str, str, str]:
    if group.rate is not None:
        return _rate(group, plan), group.norms, ""
    return "frozen", group.norms, _prefix(plan.cache.n_views)


def _prefix(n_views: int) -> str:
    return f"{n_views} view{'s' if n_views > 1 else ''} kept" if n_views else "computed anew"


def _rate(group: "GroupPlan", plan: "StepPlan") -> str:
    if group.rate is None or group.name not in plan.step.searched:
        return f"{group.rate:.2g}"
    if plan.found is not None:
        return f"{group.rate * plan.found.scale:.2g} found"
    return f"{group.rate:.2g} or found" if plan.seeks else f"{group.rate:.2g}"


def rescue_sentence(rescue: Rescue) -> str:
    """Say what went wrong and how training goes on."""
    where = f"step {rescue.step_name!r}, epoch {rescue.epoch}"
    if rescue.what == "memory":
        return f"Memory ran out in {where}: a batch is made of parts of at most {rescue.at_once} images from here on."
    return (
        f"Training went wrong in {where}: the {rescue.what} exploded; it goes on from the last good state at "
        f"{rescue.rate_scale:g} of the learning rates."
    )

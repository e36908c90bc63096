"""What a candidate may cost to be chosen: latency, size and training time, as params.yaml allows."""

from collections.abc import Sequence

from tasks.params_blocks import SelectParams
from transfer.errors import UserError
from transfer.records import CandidateCost

_LIMITS = {  # parameter -> the figure it bounds, what beyond it means, the figure's unit
    "max_latency_ms": ("latency_ms", "slower than", "ms"),
    "max_size_mb": ("size_mb", "larger than", "MB"),
    "max_training_s": ("training_s", "longer to train than", "s"),
}


def beyond(settings: SelectParams, cost: CandidateCost) -> str:
    """Say which limit a candidate is beyond, without its figure, which differs from machine to machine; "" for none."""
    passed = [
        f"{words} select.{name}"
        for name, (figure, words, _) in _LIMITS.items()
        if getattr(settings, name) is not None and getattr(cost, figure) > getattr(settings, name)
    ]
    return " and ".join(passed)


def require_some_within(settings: SelectParams, references: Sequence[str], costs: Sequence[CandidateCost]) -> None:
    """Refuse limits that no candidate keeps.

    Args:
        settings: with the limits.
        references: of the candidates.
        costs: of each of them.

    Raises:
        UserError: names the limit that the most candidates are beyond, and who comes nearest to it.
    """
    if not all(beyond(settings, cost) for cost in costs):
        return
    named = [name for name in _LIMITS if getattr(settings, name) is not None]
    counted = {name: sum(name in beyond(settings, cost) for cost in costs) for name in named}
    worst = max(named, key=counted.__getitem__)
    figure, _, unit = _LIMITS[worst]
    nearest, cost = min(zip(references, costs, strict=True), key=lambda pair: float(getattr(pair[1], figure)))
    raise UserError(
        f"No candidate is within the limits of select: select.{worst} is {getattr(settings, worst):g}, but {nearest}, "
        f"the lowest, is at {getattr(cost, figure):.3g} {unit} here; raise it, or name other candidates."
    )

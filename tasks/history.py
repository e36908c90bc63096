"""What happened in a training stage, in order, as a hand-off: epochs, rescues, outcomes of steps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapters.json_files import read_json
from transfer.records import ClassBalance, EpochRecord, RateSearch, Rescue, StepOutcome

BATCH_SIZE = "batch_size"  # beside the lists: images of an update of the last step
TRAINED_ON = "trained_on"  # beside the lists: device, processes and threads
STRATEGY = "strategy"  # beside the lists: which steps there were
Event = ClassBalance | EpochRecord | RateSearch | Rescue | StepOutcome
_KINDS: dict[str, type[Event]] = {
    kind.__name__: kind for kind in (ClassBalance, EpochRecord, RateSearch, Rescue, StepOutcome)
}


def valid(events: Iterable[Event]) -> list[Event]:
    """Return events without the epochs that a rescue took back."""
    kept: list[Event] = []
    for event in events:
        if isinstance(event, Rescue):
            kept = [one for one in kept if not _is_void(one, event)]
        kept.append(event)
    return kept


def _is_void(event: Event, rescue: Rescue) -> bool:
    if not isinstance(event, EpochRecord):
        return False
    return event.step_name == rescue.step_name and event.epoch >= rescue.back_to


def history(events: Iterable[Event]) -> dict[str, Any]:
    """Return what happened as plain lists, a list a kind; epochs that a rescue took back are left out."""
    kept = valid(events)
    kinds = {
        "balance": ClassBalance,
        "epochs": EpochRecord,
        "rates": RateSearch,
        "rescues": Rescue,
        "steps": StepOutcome,
    }
    return {name: [asdict(event) for event in kept if isinstance(event, kind)] for name, kind in kinds.items()}


def plain_of(event: Event) -> dict[str, Any]:
    """Return an event as JSON-able values that say what kind it is."""
    return {"kind": type(event).__name__, **asdict(event)}


def event_of(plain: Mapping[str, Any]) -> Event:
    """Read what `plain_of` returned."""
    values = {name: value for name, value in _with_tuples(plain).items() if name != "kind"}
    return _KINDS[plain["kind"]](**values)


def read_history(
    path: Path, made_from: Mapping[str, Path] | None = None
) -> tuple[list[EpochRecord], list[StepOutcome]]:
    """Read what `history` returned and a stage wrote.

    Args:
        path: the history.
        made_from: inputs that it must have been made from.

    Raises:
        UserError: it is missing, or was made from other inputs.
    """
    content = read_json(path, made_from)
    outcomes = [StepOutcome(**{**row, "trained_groups": tuple(row["trained_groups"])}) for row in content["steps"]]
    return [EpochRecord(**row) for row in content["epochs"]], outcomes


def read_searches(path: Path) -> list[RateSearch]:
    """Read the searches for rates from what `read_history` reads."""
    return [search_of_plain(row) for row in read_json(path)["rates"]]


def search_of_plain(plain: Mapping[str, Any]) -> RateSearch:
    """Read a search for rates from JSON."""
    return RateSearch(**_with_tuples(plain))


def _with_tuples(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tuple(value) for name, value in plain.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(one) for one in value) if isinstance(value, list) else value


def over_all_images(epochs: Sequence[EpochRecord]) -> list[tuple[int, EpochRecord]]:
    """Return each epoch with the images seen since the first step began."""
    placed, before, within, name = [], 0, 0, ""
    for epoch in epochs:
        if epoch.step_name != name:
            before, name = before + within, epoch.step_name
        within = epoch.images_seen
        placed.append((before + within, epoch))
    return placed

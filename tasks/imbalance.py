"""What is done about unequal classes: chosen once, told before training, kept among the events of a run."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import read_plain_json
from tasks.automatic import first_batch_size
from tasks.history import Event, event_of
from tasks.params_blocks import FinetuneParams
from transfer.records import ClassBalance

if TYPE_CHECKING:
    from torch import Tensor

    from transfer.data.examples import Target


def decided(target: "Target", settings: FinetuneParams, features: "Callable[[], Tensor]") -> ClassBalance:
    """Return what is done about the classes of a target: what the user asked for, or what the probe prefers.

    Args:
        target: whose training rows count.
        settings: `imbalance` and `batch_size` of them.
        features: returns those of the training rows, float (N, D); called only where the probe has to choose.
    """
    from transfer.finetuning.remedy import chosen, unequal

    known = unequal(target.train.labels, target.n_classes, settings.imbalance)
    if known is not None:
        return known
    batch_size = first_batch_size(settings, len(target.train))
    return chosen(features(), target.train.labels, target.n_classes, batch_size)


def balanced(target: "Target", events: Iterable[Event]) -> "Target":
    """Return a target whose classes count as a run's events say, and say it aloud."""
    from dataclasses import replace

    found = balance_of(events)
    if found.why:
        print(f"{found.why}.")
    return replace(target, balance=found)


def balance_of(events: Iterable[Event]) -> ClassBalance:
    """Return what a run's events say is done about unequal classes; nothing where they do not say."""
    return next((event for event in events if isinstance(event, ClassBalance)), ClassBalance())


def balance_in(history: Path) -> ClassBalance:
    """Return what a written history says is done about unequal classes; nothing where it does not say.

    Raises:
        UserError: it is missing or is not JSON.
    """
    found = read_plain_json(history).get("balance", [])
    return balance_of(event_of({"kind": ClassBalance.__name__, **plain}) for plain in found)


def balance_params(balance: ClassBalance) -> dict[str, Any]:
    """Return what MLflow is told: whether classes count equally, by which remedy, and how it compared, nats."""
    told = {"classes.count_equally": balance.equally, "classes.remedy": balance.remedy, "classes.why": balance.why}
    return told | {f"classes.left_out_nll.{remedy}": round(nll, 6) for remedy, nll in balance.loo_nlls}

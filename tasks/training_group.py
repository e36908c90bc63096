"""The processes that fine-tune together: this one alone, those that it starts, or those that torchrun started."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from adapters.devices import device_facts, device_of, prepare_device
from adapters.machine import usable_cores
from adapters.ranks import Place, joined
from tasks import decisions
from tasks.automatic import fewest_images
from tasks.checkpoints import Checkpoints, from_plain, to_plain
from tasks.features import machine_recipe
from tasks.history import event_of, plain_of
from tasks.kept_rows import kept_rows
from tasks.params_blocks import FinetuneParams
from transfer.errors import EnvironmentFault, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from transfer.backbones.backbone import Backbone, Classifier
    from transfer.data.examples import Target
    from transfer.finetuning.caching import Execute
    from transfer.finetuning.engine import Engine
    from transfer.finetuning.planning import StepCost, StepPlan
    from transfer.finetuning.staged import Checkpoint, Done, Hooks

MODULE = "flows.finetune"
_SHARED_S = ("prefix_s", "varied_s", "update_s", "val_s")  # of a cost, what processes take their share of
R = TypeVar("R")


@dataclass(frozen=True)
class TrainingGroup:
    """A process's part in a run.

    Args:
        place: its place among the processes.
        engine: where and how its updates are computed.
    """

    place: Place
    engine: "Engine"

    @property
    def leads(self) -> bool:
        """Say whether this process decides, writes and reports for all."""
        return self.place.rank == 0

    def alone(self) -> "Engine":
        """Return the engine for work that this process does while the others wait."""
        from transfer.finetuning.parallel import ALONE

        return replace(self.engine, ranks=ALONE)

    @contextmanager
    def shared_cores(self) -> Iterator[None]:
        """Leave the other processes of this machine their share of its cores."""
        import torch

        before = torch.get_num_threads()
        if self.place.size > 1:
            torch.set_num_threads(self.place.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def facts(self) -> dict[str, Any]:
        """Return what a record says of where training ran."""
        import torch

        threads = self.place.threads if self.place.size > 1 else torch.get_num_threads()
        return {**device_facts(self.engine.device), "processes": self.place.size, "torch_threads": threads}

    def require_equal(self, facts: Mapping[str, Any]) -> None:
        """Refuse to train on other inputs than process 0.

        Args:
            facts: JSON-able; the same in all processes.

        Raises:
            UserError: a process has others; in that process alone.
        """
        own = json.dumps(facts, sort_keys=True)
        said = json.loads(self.engine.ranks.told({}, own)[1])
        other = sorted(name for name, value in json.loads(own).items() if said.get(name) != value)
        if other:
            raise UserError(
                f"Process {self.place.rank} of finetune has another {other[0]} than process 0; "
                "give every machine the same project, params.yaml and artifacts included."
            )

    def in_turn(self, load: Callable[[], R]) -> R:
        """Return what loading returns: process 0 goes first, so that the others find what it kept."""
        if self.leads:
            found = load()
            self.engine.ranks.told({})
            return found
        self.engine.ranks.told({})
        return load()

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """Leave it to process 0 to say what all processes find out together."""
        try:
            yield
        except UserError as error:
            if self.leads:
                raise
            raise SystemExit(error.exit_code) from error

    def hooks(
        self, backbone: "Backbone", checkpoints: Checkpoints, execute: "Execute", advance: Callable[[int], None]
    ) -> "Hooks":
        """Return what a run is lent; process 0 alone looks into the cache, chooses executors and writes checkpoints."""
        from transfer.finetuning.sharing import chosen_together, kept_together
        from transfer.finetuning.staged import Hooks

        ranks, facts = self.engine.ranks, machine_recipe(backbone) | device_facts(self.engine.device)
        keep = kept_together(ranks, kept_rows)
        save, remember = (checkpoints.save, checkpoints.remember) if self.leads else (_nothing, _nothing)
        recall = partial(self.told_step, checkpoints)
        return Hooks(keep, chosen_together(ranks, execute), save, advance, facts, recall, remember, self.engine)

    def told_step(self, checkpoints: Checkpoints, identity: str) -> "Done | None":
        """Return what a step came to before, where process 0 finds it."""
        from transfer.finetuning.staged import Done

        done = checkpoints.recall(identity) if self.leads else None
        said = None if done is None else [plain_of(event) for event in done.events]
        changed, text = self.engine.ranks.told({} if done is None else done.changed, json.dumps(said))
        found = json.loads(text)
        return None if found is None else Done(tuple(event_of(plain) for plain in found), changed)

    def shared_cost(self, cost: "StepCost") -> "StepCost":
        """Return what process 0 alone was measured to take when all processes take their share of it."""
        shares = {name: getattr(cost, name) / self.place.size for name in _SHARED_S}
        return replace(cost, **shares)

    def told_start(self, start: "Checkpoint | None") -> "Checkpoint":
        """Return where process 0 begins."""
        tensors, meaning = ({}, {}) if start is None else to_plain(start)
        found, text = self.engine.ranks.told(tensors, json.dumps(meaning))
        return start if start is not None else from_plain(found, json.loads(text))

    def placed_classifier(self, backbone: "Backbone", target: "Target", start: "Checkpoint") -> "Classifier":
        """Return the classifier that a run begins with, on the engine's device."""
        from transfer.backbones.backbone import Classifier
        from transfer.backbones.heads import head_in

        classifier = Classifier(backbone, target.n_classes, head_in(start.weights))
        classifier.load_state_dict(start.weights)
        self.engine.placed(classifier)
        return classifier

    def told_plans(self, plans: "Sequence[StepPlan]", decided: "Sequence[StepPlan] | None") -> "tuple[StepPlan, ...]":
        """Return plans as process 0 has decided them."""
        said = [] if decided is None else decisions.to_plain(decided)
        _, text = self.engine.ranks.told({}, json.dumps(said))
        return tuple(decided) if decided is not None else decisions.from_plain(plans, json.loads(text))


def _nothing(*_: object) -> None:
    return None


def lone_engine(settings: FinetuneParams) -> "Engine":
    """Return the engine of a process that trains alone.

    Raises:
        UserError: there is no such device.
    """
    return _engine(device_of(settings.device))


def _engine(device: "torch.device") -> "Engine":
    from transfer.finetuning.engine import Engine

    prepare_device(device)
    return Engine(device, bfloat16=device.type == "cuda", say=print)


def _require_images(settings: FinetuneParams) -> None:
    """Refuse more processes than there are images in any batch."""
    found = settings.batch_size
    if isinstance(found, int):
        fewest, said = found, f"the {found} images of a batch (finetune.batch_size)"
    else:
        fewest = fewest_images()
        said = f"the {fewest} images that a batch may come to have where finetune.batch_size is {found}"
    if settings.processes > fewest:
        raise UserError(
            f"finetune.processes is {settings.processes}, more than {said}; choose at most {fewest} processes."
        )


@contextmanager
def training_group(settings: FinetuneParams) -> Iterator[TrainingGroup]:
    """Join the processes of `finetune.processes`, or of torchrun.

    Raises:
        UserError: there are more processes than images in a batch, or no such device.
        EnvironmentFault: a process ended before the work was done.
    """
    import torch

    from transfer.finetuning.parallel import ALONE, LostRankError, Together

    _require_images(settings)
    last, size = settings.processes - 1, settings.processes
    device_of(settings.device, last, size)  # a device that is not there is refused before processes are started
    with joined(MODULE, settings.processes, on_gpus=settings.device != "cpu" and torch.cuda.is_available()) as place:
        device = device_of(settings.device, place.local_rank, place.local_size)
        if place.size > 1 and not place.started:  # torchrun leaves each process one core; process 0 begins alone
            torch.set_num_threads(usable_cores())
        ranks = Together(place.rank, place.size) if place.size > 1 else ALONE
        try:
            yield TrainingGroup(place, replace(_engine(device), ranks=ranks))
        except LostRankError as error:
            what = place.endings() or "another process ended"
            raise EnvironmentFault(
                f"Of the {place.size} processes of finetune, {what} before the work was done; "
                "run the same command again to go on where they stood."
            ) from error

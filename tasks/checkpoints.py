"""Where a stage that was killed goes on, and what its steps came to: one file for every set of inputs."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import checkpoint_files
from tasks.history import event_of, plain_of
from transfer.errors import EnvironmentFault
from transfer.records import StepOutcome

if TYPE_CHECKING:
    from torch import Tensor

    from transfer.finetuning.staged import Checkpoint, Done

_CODE = ("transfer", "adapters", "tasks")
_EVERY_S = 5.0


class Checkpoints:
    """The checkpoint of one run, and the outcomes of steps: found by everything that their weights depend on.

    Args:
        project: whose state folder holds them.
        facts: parameters and digests of the inputs; those of the code are added.
        machine: what else changes the bits of what is computed, see `tasks.features.machine_recipe`.
    """

    def __init__(self, project: Path, facts: Mapping[str, Any], machine: Mapping[str, Any]) -> None:
        self._project = project
        self.code = checkpoint_files.code_digest(_CODE)
        self._around = {"machine": machine, "code": self.code}
        self.key = checkpoint_files.key_of({**facts, **self._around})
        self.recalled: set[str] = set()  # names of steps that an earlier run has run
        self._written_at = time.monotonic()

    def load(self) -> "Checkpoint | None":
        """Return where an earlier run of the same inputs stood; None where there was none."""
        found = checkpoint_files.fetch(self._project, self.key)
        return None if found is None else from_plain(*found)

    def save(self, checkpoint: "Checkpoint") -> None:
        """Write a checkpoint, unless one was written a moment ago: what is lost is seconds, and no result changes."""
        if time.monotonic() - self._written_at < _EVERY_S:
            return
        self.save_now(checkpoint)

    def save_now(self, checkpoint: "Checkpoint") -> None:
        """Write a checkpoint."""
        checkpoint_files.store(self._project, self.key, *to_plain(checkpoint))
        self._written_at = time.monotonic()

    def recall(self, identity: object) -> "Done | None":
        """Return what a step came to that was run before, with this code on this machine; None where there was none.

        Args:
            identity: JSON-able, all that its outcome depends on beside them.
        """
        from transfer.finetuning.staged import Done

        key = self._key_of_step(identity)
        found = checkpoint_files.fetch(self._project, key, checkpoint_files.STEPS)
        if found is None:
            return None
        checkpoint_files.touch(self._project, key)
        events = tuple(event_of(plain) for plain in found[1]["events"])
        self.recalled.update(event.name for event in events if isinstance(event, StepOutcome))
        return Done(events, found[0])

    def remember(self, identity: object, done: "Done") -> None:
        """Keep what a step came to."""
        meaning = {"events": [plain_of(event) for event in done.events]}
        key = self._key_of_step(identity)
        try:
            checkpoint_files.store(self._project, key, done.changed, meaning, checkpoint_files.STEPS)
        except EnvironmentFault as error:  # the run goes on without it
            print(f"Note: what this step came to is not kept for other runs. {error}")
        checkpoint_files.prune(self._project)

    def _key_of_step(self, identity: object) -> str:
        return checkpoint_files.key_of({"step": identity, **self._around})

    def discard(self) -> None:
        """Remove the checkpoint: its run is at its end."""
        checkpoint_files.drop(self._project, self.key)


def to_plain(checkpoint: "Checkpoint") -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Return a checkpoint as tensors by name and what they mean, JSON-able."""
    snapshot, plain = checkpoint.snapshot, None
    tensors = {f"weights/{name}": value for name, value in checkpoint.weights.items()}
    tensors |= {f"spare/{name}": value for name, value in checkpoint.spare.items()}
    if snapshot is not None:
        tensors |= {f"snapshot/{name}": value for name, value in snapshot.tensors.items()}
        plain = {name: getattr(snapshot, name) for name in snapshot.__dataclass_fields__ if name != "tensors"}
    events = [plain_of(event) for event in checkpoint.events]
    return tensors, {"step_index": checkpoint.step_index, "events": events, "snapshot": plain}


def from_plain(tensors: "Mapping[str, Tensor]", meaning: Mapping[str, Any]) -> "Checkpoint":
    """Read what `to_plain` returned."""
    from transfer.finetuning.snapshot import Snapshot
    from transfer.finetuning.staged import Checkpoint

    parts: dict[str, dict[str, Any]] = {"weights": {}, "snapshot": {}, "spare": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = value
    snapshot = meaning["snapshot"]
    return Checkpoint(
        meaning["step_index"],
        tuple(event_of(plain) for plain in meaning["events"]),
        parts["weights"],
        None if snapshot is None else Snapshot(**snapshot, tensors=parts["snapshot"]),
        parts["spare"],
    )

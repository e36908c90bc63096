"""Where a stage that was killed goes on: checkpoints of fine-tuning, one for every set of inputs."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import checkpoint_files
from tasks.history import event_of, plain_of

if TYPE_CHECKING:
    from transfer.finetuning.staged import Checkpoint

_CODE = ("transfer", "tasks")
_EVERY_S = 5.0


class Checkpoints:
    """The checkpoint of one run: found by everything that its weights depend on.

    Args:
        project: whose state folder holds it.
        facts: parameters and digests of the inputs; code, libraries and threads are added.
    """

    def __init__(self, project: Path, facts: Mapping[str, Any]) -> None:
        import torch

        self._project = project
        self.key = checkpoint_files.key_of(
            {
                **facts,
                "code": checkpoint_files.code_digest(_CODE),
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                "capability": torch.backends.cpu.get_cpu_capability(),
            }
        )
        self._written_at = time.monotonic()

    def load(self) -> "Checkpoint | None":
        """Return where an earlier run of the same inputs stood; None where there was none."""
        from transfer.finetuning.snapshot import Snapshot
        from transfer.finetuning.staged import Checkpoint

        found = checkpoint_files.fetch(self._project, self.key)
        if found is None:
            return None
        tensors, meaning = found
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

    def save(self, checkpoint: "Checkpoint") -> None:
        """Write a checkpoint, unless one was written a moment ago: what is lost is seconds, and no result changes."""
        if time.monotonic() - self._written_at < _EVERY_S:
            return
        self.save_now(checkpoint)

    def save_now(self, checkpoint: "Checkpoint") -> None:
        """Write a checkpoint."""
        snapshot, plain = checkpoint.snapshot, None
        tensors = {f"weights/{name}": value for name, value in checkpoint.weights.items()}
        tensors |= {f"spare/{name}": value for name, value in checkpoint.spare.items()}
        if snapshot is not None:
            tensors |= {f"snapshot/{name}": value for name, value in snapshot.tensors.items()}
            plain = {name: getattr(snapshot, name) for name in snapshot.__dataclass_fields__ if name != "tensors"}
        events = [plain_of(event) for event in checkpoint.events]
        meaning = {"step_index": checkpoint.step_index, "events": events, "snapshot": plain}
        checkpoint_files.store(self._project, self.key, tensors, meaning)
        self._written_at = time.monotonic()

    def discard(self) -> None:
        """Remove the checkpoint: its run is at its end."""
        checkpoint_files.drop(self._project, self.key)

"""Which stages have something to do."""

from pathlib import Path

from adapters import dvc_commands

# Stage -> the stages it reads from: the graph of dvc.yaml, in an order that DVC could run too.
STAGES: dict[str, tuple[str, ...]] = {
    "sample": (),
    "manifest": ("sample",),
    "validate": ("manifest",),
    "select": ("sample", "manifest", "validate"),
    "finetune": ("sample", "manifest", "validate", "select"),
    "reference": ("sample", "manifest", "validate", "select", "finetune"),
    "evaluate": ("sample", "manifest", "validate", "finetune", "reference"),
    "register": ("finetune", "evaluate"),
}


def stale_stages(project: Path) -> set[str]:
    """Return the stages that DVC finds changed, and everything that reads from them.

    A change that belongs to no stage (a data set tracked by a `.dvc` file) counts for the stages that read it: DVC
    reports those too.
    """
    if not (project / "dvc.lock").is_file():  # nothing has run yet: asking DVC would take a second
        return set(STAGES)
    stale = {name for name in dvc_commands.status(project) if name in STAGES}
    for stage, upstream in STAGES.items():
        if stale.intersection(upstream):
            stale.add(stage)
    return stale

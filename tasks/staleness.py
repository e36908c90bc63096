"""Which stages have something to do."""

from pathlib import Path

from adapters import dvc_commands
from adapters.json_files import read_plain_json
from tasks.candidate_check import check
from tasks.compared import is_outdated
from tasks.handoffs import RANKING
from transfer.errors import RootstockError

MANIFEST, SELECT, EVALUATE = "manifest", "select", "evaluate"

# Stage -> the stages it reads from: the graph of dvc.yaml, in an order that DVC could run too.
STAGES: dict[str, tuple[str, ...]] = {
    "sample": (),
    "manifest": ("sample",),
    "validate": ("manifest",),
    "select": ("sample", "manifest", "validate"),
    "finetune": ("sample", "manifest", "validate", "select"),
    "reference": ("sample", "manifest", "validate", "select", "finetune"),
    "evaluate": ("sample", "manifest", "validate", "select", "finetune", "reference"),
    "explain": ("sample", "manifest", "validate", "select", "finetune", "evaluate"),
    "register": ("finetune", "evaluate"),
    "report": ("validate", "select", "finetune", "reference", "evaluate", "explain", "register"),
}


def stale_stages(project: Path) -> set[str]:
    """Return the stages that DVC finds changed, and everything that reads from them.

    A change that belongs to no stage (a data set tracked by a `.dvc` file) counts for the stages that read it: DVC
    reports those too. What DVC cannot see: a candidate that could not be scored, and whose weights are here by now; a
    champion that took the place of the one that the model was compared with.
    """
    if not (project / "dvc.lock").is_file():  # nothing has run yet: asking DVC would take a second
        return set(STAGES)
    stale = {name for name in dvc_commands.status(project) if name in STAGES}
    if any(_is_here_now(project, reference) for reference in left_out(project)):
        stale.add(SELECT)
    if is_outdated(project):
        stale.add(EVALUATE)
    for stage, upstream in STAGES.items():
        if stale.intersection(upstream):
            stale.add(stage)
    return stale


def left_out(project: Path) -> tuple[str, ...]:
    """Return the candidates that the last ranking could not score for a reason that the user can mend."""
    try:
        failed = read_plain_json(project / RANKING)["failed"]
        return tuple(row["reference"] for row in failed if row["can_be_mended"])
    except (RootstockError, KeyError, TypeError):  # no ranking yet, or one of an older version
        return ()


def _is_here_now(project: Path, reference: str) -> bool:
    try:
        return check(project, reference)
    except RootstockError:
        return False

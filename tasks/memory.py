"""What finished runs came to is remembered, and counts when a backbone is chosen for other images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters import run_memory
from adapters.checkpoint_files import key_of
from adapters.json_files import read_json, read_plain_json
from adapters.manifest_file import Manifest, read_manifest
from adapters.mlflow_runs import dataset_name
from adapters.seen_rows import shortened
from tasks.handoffs import FINETUNE_HISTORY, METRICS, MODEL, RANKING
from tasks.history import STRATEGY
from tasks.params import read_params
from tasks.params_blocks import SelectParams
from tasks.step import step
from transfer.records import CandidateScore

if TYPE_CHECKING:
    from transfer.selection.gains import Case, Gains, Run

RANDOM = "random"
_MOST = 1000  # runs that a choice reads, the newest
_N_MARKS = 256  # images by which a data set is known again: a part of 5 % of it is missed two times in a million
_VERSION = 1
_Text = Annotated[str, Field(min_length=1, max_length=1000)]


class Remembered(BaseModel):
    """A line of the memory: what was fine-tuned on what, and how many test images it had right."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)
    version: int = Field(ge=_VERSION, le=_VERSION)
    task: _Text
    images: Annotated[tuple[_Text, ...], Field(max_length=_N_MARKS, strict=False)]
    network: _Text
    weights: _Text
    strategy: _Text
    probe: float = Field(ge=0, le=1)
    n_scored: int = Field(ge=1, le=10**9)
    rows_per_class: float = Field(gt=0, le=1e9)
    n_test: int = Field(ge=1, le=10**9)
    n_right: int = Field(ge=0, le=10**9)

    def run(self) -> "Run":
        """Return what it tells, without how its images are known again."""
        from transfer.selection.gains import Case, Run

        case = Case(
            self.task, self.network, self.weights, self.strategy, self.probe, self.n_scored, self.rows_per_class
        )
        return Run(case, self.n_test, self.n_right)


@step
def remember() -> None:
    """Leave what the model came to for later choices; where the memory cannot be written, they do without it.

    A model that was trained from random weights in place of the winner's says nothing of these.
    """
    manifest, winner, metrics = read_manifest(), read_json(RANKING)["candidates"][0], read_plain_json(METRICS)
    if _left_its_weights(winner):
        return
    (case,) = _cases([winner], read_json(FINETUNE_HISTORY)[STRATEGY], manifest)
    n_test = metrics["n_test"]
    found = {"images": _marks(manifest), "n_test": n_test, "n_right": round(metrics["accuracy"] * n_test)}
    try:
        run_memory.append(run_memory.memory_file(Path.cwd()), {"version": _VERSION, **asdict(case), **found})
    except OSError as error:
        print(f"What this run came to is not remembered: {error}.")


def _left_its_weights(winner: Mapping[str, Any]) -> bool:
    from adapters.model_files import load_card
    from transfer.backbones.reference import BackboneReference

    card, _ = load_card(MODEL)
    return winner["weights_sha256"] is not None and BackboneReference.parse(card.reference).is_random


def gains_of(scores: Sequence[CandidateScore], settings: SelectParams) -> "tuple[Gains, int]":
    """Return what is expected of candidates beyond their probes, and how many earlier runs say so.

    Args:
        scores: theirs.
        settings: of the stage that chooses.
    """
    from transfer.selection.gains import expected_gains

    manifest = read_manifest()
    runs = _remembered(manifest) if settings.memory else []
    cases = _cases([asdict(score) for score in scores], settings.strategies[0], manifest)
    return expected_gains(runs, cases), len(runs)


def _remembered(manifest: Manifest) -> "list[Run]":
    """Return the newest runs of other data sets, of each network, strategy and data set the last one.

    Test images of a data set decide nothing about it: a run on a data set that shares any image with this one is left
    out, so far as its marks tell.
    """
    own = {shortened(row.sha256) for row in manifest.rows}
    found: dict[tuple[str, ...], Remembered] = {}
    tasks: dict[str, list[set[str]]] = {}
    for line in run_memory.read(run_memory.memory_file(Path.cwd())):
        try:
            one = Remembered.model_validate(line)
        except ValidationError:  # of another version, or not ours
            continue
        if one.n_right <= one.n_test and own.isdisjoint(one.images):
            known = one.model_copy(update={"task": _task(one, tasks.setdefault(one.task, []))})
            key = (known.task, known.network, known.strategy)
            found.pop(key, None)
            found[key] = known
    return [one.run() for one in [*found.values()][-_MOST:]]


def _task(one: Remembered, others: list[set[str]]) -> str:
    """Return what a line's data set is called: of those of one name, the same as one that it shares images with."""
    for place, images in enumerate(others):
        if not images.isdisjoint(one.images):
            images.update(one.images)
            return f"{one.task}/{place}"
    others.append({*one.images})
    return f"{one.task}/{len(others) - 1}"


def _cases(candidates: Iterable[Mapping[str, Any]], strategy: str, manifest: Manifest) -> "list[Case]":
    """Return what candidates of a ranking are fine-tuned on, and how."""
    from transfer.backbones.reference import BackboneReference
    from transfer.selection.gains import Case

    task = f"{dataset_name(read_params().data.path, Path.cwd())}/{key_of({'classes': [*manifest.classes]})[:8]}"
    rows_per_class = len(manifest.of_split("train")) / len(manifest.classes)
    found = []
    for row in candidates:
        sha256 = row["weights_sha256"]
        network = BackboneReference.parse(row["reference"]).with_weights(sha256[:16] if sha256 else RANDOM)
        known = (task, str(network), sha256 or RANDOM, strategy)
        found.append(Case(*known, row["ridge_loo_accuracy"], row["n_rows"], rows_per_class))
    return found


def _marks(manifest: Manifest) -> list[str]:
    """Return the smallest digests of its images: the same ones as the data set grows, but for a few."""
    return sorted(shortened(row.sha256) for row in manifest.rows)[:_N_MARKS]

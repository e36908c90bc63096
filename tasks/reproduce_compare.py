"""Compare a model that was made again with the one that is registered: stage after stage, output after output."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters import dvc_cache, lock_records
from adapters.lock_records import StageRecord
from adapters.origin_files import LOCK
from tasks.handoffs import CHAMPION, LOOKS, PREDICTIONS
from tasks.reproduce_copy import Origin

IDENTICAL, WITHIN, DIFFERENT = "identical", "within tolerance", "different"
# What may differ without the model being another one: it tells of the registry, and of looks at test images, that day.
OF_THE_DAY = frozenset({str(CHAMPION), str(LOOKS)})


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage that was run again.

    Args:
        name: the stage's word.
        n_outs: outputs that count.
        differing: those of them that are not as recorded.
        causes: what of its own differs, in phrases: code, parameters, data; () for nothing that is recorded.
    """

    name: str
    n_outs: int
    differing: tuple[str, ...]
    causes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the predictions of two models agree.

    Args:
        n_rows: test images that both were asked about.
        n_other_class: of them, those that get another class.
        largest: difference of the probability of the predicted class, at most.
    """

    n_rows: int
    n_other_class: int
    largest: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out.

    Args:
        outcome: identical, within tolerance or different.
        stages: in order.
        agreement: None where the predictions are identical, or cannot be compared.
        tolerance: of a probability.
    """

    outcome: str
    stages: tuple[Stage, ...]
    agreement: Agreement | None
    tolerance: float

    @property
    def first(self) -> Stage | None:
        """Return the first stage that made something else."""
        return next((stage for stage in self.stages if stage.differing), None)


def compare(project: Path, origin: Origin, copy: Path, tolerance: float) -> Comparison:
    """Compare what the stages of a copy made with what was recorded.

    Args:
        project: the project's folder, whose cache holds what was made then.
        origin: what made the version.
        copy: in which the stages were run again.
        tolerance: difference of a probability that counts as none.
    """
    again = lock_records.read_lock(copy / LOCK)
    stages = tuple(_stage(name, record, again.get(name)) for name, record in origin.stages.items())
    if not any(stage.differing for stage in stages):
        return Comparison(IDENTICAL, stages, None, tolerance)
    path = str(PREDICTIONS)
    recorded = next((record.outs[path] for record in origin.stages.values() if path in record.outs), "")
    before, now = dvc_cache.content(project, recorded), copy / PREDICTIONS
    agreement = _agreement(before, now.read_bytes()) if before is not None and now.is_file() else None
    close = agreement is not None and agreement.n_other_class == 0 and agreement.largest <= tolerance
    return Comparison(WITHIN if close else DIFFERENT, stages, agreement, tolerance)


def _stage(name: str, before: StageRecord, after: StageRecord | None) -> Stage:
    outs = {path: digest for path, digest in before.outs.items() if path not in OF_THE_DAY}
    if after is None:
        return Stage(name, len(outs), tuple(outs), ("it did not run",))
    differing = [path for path in lock_records.changed(before.outs, after.outs) if path not in OF_THE_DAY]
    return Stage(name, len(outs), tuple(differing), tuple(_causes(before, after)))


def _causes(before: StageRecord, after: StageRecord) -> list[str]:
    read = [path for path in lock_records.changed(before.deps, after.deps) if path not in OF_THE_DAY]
    params = lock_records.changed(before.params, after.params)
    code = [path for path in read if path.endswith(".py")]
    others = [path for path in read if path not in code]
    said = [f"{key} was {before.params.get(key)}, is {after.params.get(key)}" for key in params]
    return [*(f"the code {path}" for path in code), *said, *(f"its input {path}" for path in others)]


def _agreement(before: bytes, now: bytes) -> Agreement | None:
    then, again = _answers(before), _answers(now)
    if not then or then.keys() != again.keys():
        return None
    pairs = [(then[path], again[path]) for path in then]
    largest = max(abs(one[1] - other[1]) for one, other in pairs)
    return Agreement(len(pairs), sum(one[0] != other[0] for one, other in pairs), largest)


def _answers(content: bytes) -> dict[str, tuple[str, float]]:
    rows: Sequence[Mapping[str, str]] = list(csv.DictReader(io.StringIO(content.decode("utf-8"))))
    return {row["path"]: (row["predicted"], float(row["confidence"])) for row in rows}

"""What each way of choosing makes of a task: scores of every candidate, and the choice of the stage `select`."""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapters.json_files import read_json, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE
from benchmarks.selection.pool import label
from benchmarks.selection.targets import Target
from benchmarks.selection.truth import lay_out
from flows.select import rank_all
from tasks import manifest
from tasks.candidates import candidate
from tasks.features import features_of
from tasks.handoffs import RANKING
from tasks.memory import gains_of
from tasks.params_blocks import SelectParams
from tasks.select import training_rows
from transfer.backbones.reference import BackboneReference
from transfer.randomness import generator
from transfer.selection.decomposition import Decomposition
from transfer.selection.ranking import Scored, rank
from transfer.selection.scores.etran import energy_parts, etran
from transfer.selection.scores.gbc import gbc
from transfer.selection.scores.hscore import hscore, shrunk_hscore
from transfer.selection.scores.knn import knn_loo_accuracy
from transfer.selection.scores.logme import logme
from transfer.selection.scores.ncti import collapse_parts, ncti
from transfer.selection.scores.nleep import nleep
from transfer.selection.scores.parc import parc
from transfer.selection.scores.prior import imagenet_top1
from transfer.selection.scores.probe import linear_probe
from transfer.selection.scores.ridge import ridge_loo_accuracy
from transfer.selection.scores.sfda import sfda
from transfer.selection.scores.transrate import transrate

_OF_DECOMPOSITION: Mapping[str, Callable[[Decomposition], float]] = {
    "LogME": logme,
    "H-score": hscore,
    "shrunk H-score": shrunk_hscore,
    "ridge leave-one-out": ridge_loo_accuracy,
    "SFDA": sfda,
    "TransRate": transrate,
    "GBC": gbc,
    "PARC": parc,
    "N-LEEP": lambda kept: nleep(kept, 0),
}


N_POOLS, N_OF_POOL = 60, 6


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of the candidates of a task before any of them was fine-tuned.

    Args:
        scores: way of choosing -> a score of each candidate, higher is better.
        chosen: by `select`, its label.
        expected: accuracy that it expects of each candidate.
        of_pools: what `select` chooses of smaller pools: places of candidates -> that of the chosen one.
        cpu_s: processor seconds of `select`, nothing kept.
        wall_s: wall seconds, likewise.
        scored: the candidates by label.
        labels: of the rows they were scored on, int64 (N,).
    """

    scores: Mapping[str, Sequence[float]]
    chosen: str
    expected: Mapping[str, float]
    of_pools: Mapping[tuple[int, ...], int]
    cpu_s: float
    wall_s: float
    scored: Mapping[str, Scored] = field(default_factory=dict)
    labels: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))


def judged(target: Target, pool: Sequence[str], data_sets: Path, seed: int) -> Judged:
    """Run `select` on a task in a new project, then every score on the features that it kept.

    Args:
        target: the task.
        pool: absolute backbone references.
        data_sets: see `Target.lay_out`.
        seed: see `truth.reached`.
    """
    with _project(target, pool, data_sets, seed):
        began, processor = time.perf_counter(), time.process_time()
        outcomes = rank_all()
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - processor
        ranking = read_json(RANKING)
        scores = _scores(pool)
        by_reference = {one.reference: one.scored for one in outcomes if one.scored is not None}
        labels = torch.tensor([row.label for row in training_rows(SelectParams().max_rows)])
        of_pools = _of_pools(pool, by_reference, labels)
    scored = {label(text): by_reference[text] for text in pool}
    expected = {label(row["reference"]): row["accuracy"]["value"] for row in ranking["candidates"]}
    return Judged(scores, label(ranking["winner"]), expected, of_pools, cpu_s, wall_s, scored, labels)


def chosen_by_trials(
    target: Target, pool: Sequence[str], data_sets: Path, seed: int, n_images: int
) -> tuple[str, float]:
    """Run `select` with trials on a task in a new project; return the label of whom it chose, and processor seconds.

    Args:
        target: the task.
        pool: absolute backbone references.
        data_sets: see `Target.lay_out`.
        seed: see `truth.reached`.
        n_images: `select.trial_images`.
    """
    with _project(target, pool, data_sets, seed, {"trial_images": n_images}):
        processor = time.process_time()
        rank_all()
        return label(read_json(RANKING)["winner"]), time.process_time() - processor


@contextlib.contextmanager
def _project(
    target: Target, pool: Sequence[str], data_sets: Path, seed: int, select: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Be in a new project with the task's manifest; what its stages print goes nowhere."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        target.lay_out(data_sets, Path("data"), seed)
        lay_out("data", pool, seed, select)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            manifest.describe()
            write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
            yield


def _of_pools(pool: Sequence[str], scored: Mapping[str, Scored], labels: Tensor) -> dict[tuple[int, ...], int]:
    chosen = {}
    for places in sub_pools(len(pool)):
        ones = [scored[pool[place]] for place in places]
        gains, _ = gains_of([one.score for one in ones], SelectParams())  # of a project that remembers nothing
        best, *_ = rank(ones, labels, SelectParams().confidence, gains=gains)
        chosen[places] = pool.index(best.reference)
    return chosen


def sub_pools(n_candidates: int) -> list[tuple[int, ...]]:
    """Return smaller pools, the same for every task: `N_POOLS` draws of `N_OF_POOL` candidates."""
    draw = generator(0, "pools")
    drawn = {tuple(sorted(torch.randperm(n_candidates, generator=draw)[:N_OF_POOL].tolist())) for _ in range(N_POOLS)}
    return sorted(drawn)


def _scores(pool: Sequence[str]) -> dict[str, list[float]]:
    rows = training_rows(SelectParams().max_rows)
    labels = torch.tensor([row.label for row in rows])
    features: list[Tensor] = []
    prior = []
    for text in pool:
        backbone, sha256 = candidate(BackboneReference.parse(text), None)
        features.append(features_of(backbone, sha256, "data", rows, "features"))
        prior.append(imagenet_top1(text, sha256))
    kept = [Decomposition.of(one, labels) for one in features]
    found = {name: [score(one) for one in kept] for name, score in _OF_DECOMPOSITION.items()}
    found["NCTI"] = [*ncti([collapse_parts(one) for one in kept])]
    found["ETran"] = [*etran([energy_parts(one) for one in kept])]
    found["k-NN leave-one-out"] = [knn_loo_accuracy(one, labels, 5) for one in features]
    found["linear probe, 5 folds"] = [linear_probe(one, labels, 0) for one in features]
    return found | {"static prior": prior}

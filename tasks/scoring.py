"""A candidate's row of the ranking: its features, its scores, what it costs here; or why there is none."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from tasks.candidate_costs import cost_of
from tasks.customs import Admitted, admit
from tasks.examples import prepared
from tasks.features import features_of
from tasks.limits import beyond, require_some_within
from tasks.params import Params
from tasks.source_sample import distance_of
from tasks.step import step
from transfer.errors import EnvironmentFault, RootstockError, UserError
from transfer.records import CandidateCost, Preprocess, Row

if TYPE_CHECKING:
    from torch import Tensor

    from transfer.backbones.reference import BackboneReference
    from transfer.selection.ranking import Scored

_building = Lock()  # random weights are drawn from a generator that all threads share


@dataclass(frozen=True)
class Pool:
    """The candidates and what they are scored on.

    Args:
        candidates: backbone references, those of one image size one after the other.
        smallest: what the images of the first one look like.
        rows: training rows.
        n_train: all training rows there are.
        n_classes: of the data set.
        params: of the project.
    """

    candidates: tuple[str, ...]
    smallest: Preprocess
    rows: tuple[Row, ...]
    n_train: int
    n_classes: int
    params: Params


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate.

    Args:
        reference: as the user wrote it.
        scored: None where it could not be.
        cost: None likewise.
        seconds: that it took.
        beyond: which limits it does not keep, see `tasks.limits`.
        error: why it could not be scored.
        distance: of the images from those its weights learned from, see `tasks.source_sample`; None where not known.
    """

    reference: str
    scored: "Scored | None"
    cost: CandidateCost | None
    seconds: float
    beyond: str = ""
    error: RootstockError | None = None
    distance: float | None = None


def gathered(params: Params, rows: Sequence[Row], n_train: int, n_classes: int) -> Pool:
    """Return the pool; what is written wrong is refused before any image is read.

    Args:
        params: of the project.
        rows: training rows, as many as the parameters allow.
        n_train: training rows there are.
        n_classes: of the data set.

    Raises:
        UserError: a reference, an architecture or an option is unknown.
    """
    from transfer.backbones.build import check_backbone
    from transfer.backbones.reference import BackboneReference

    sizes: dict[str, Preprocess] = {}
    for text in params.select.candidates:
        reference, preprocess = _as_read(BackboneReference.parse(text))
        if preprocess is not None:
            check_backbone(reference, None)
            sizes[text] = preprocess
    ordered = sorted(sizes, key=lambda text: (sizes[text].crop_px, sizes[text].resize_px, sizes[text].interpolation))
    unknown = [text for text in params.select.candidates if text not in sizes]  # registered models that are not there
    smallest = sizes[ordered[0]] if ordered else Preprocess(32, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return Pool((*ordered, *unknown), smallest, tuple(rows), n_train, n_classes, params)


def _as_read(reference: "BackboneReference") -> "tuple[BackboneReference, Preprocess | None]":
    """Return a reference with its architecture named, and what its images look like; None where no model is there."""
    from adapters.registered_trunks import resolved
    from transfer.backbones.build import preprocess_of

    if reference.registered_model is None:
        return reference, preprocess_of(reference)
    try:
        exact, _ = resolved(reference)
    except UserError:
        return reference, None
    return exact, preprocess_of(exact)


@step
def score(text: str, pool: Pool) -> Outcome:
    """Score a candidate; where its weights are absent or unfit, or memory runs out, say so and let the others go on.

    Args:
        text: a backbone reference.
        pool: that it belongs to.
    """
    from transfer.finetuning.memory import is_memory_shortage

    began = time.perf_counter()
    try:
        scored, cost, distance = _scored(text, pool)
    except RootstockError as error:
        return Outcome(text, None, None, time.perf_counter() - began, error=error)
    except (MemoryError, RuntimeError) as error:
        if not is_memory_shortage(error):
            raise
        short = EnvironmentFault(f"{text} does not fit into the memory there is; choose a smaller one, or crop_px.")
        return Outcome(text, None, None, time.perf_counter() - began, error=short)
    seconds = time.perf_counter() - began
    return Outcome(text, scored, cost, seconds, beyond(pool.params.select, cost), distance=distance)


def _scored(text: str, pool: Pool) -> "tuple[Scored, CandidateCost, float | None]":
    from transfer.selection.ranking import Weights, score_features
    from transfer.selection.scores.prior import known_top1

    params, rows = pool.params, pool.rows
    with _building:
        admitted = _admitted(text, params)
    backbone, weights_sha256 = admitted.backbone, admitted.sha256
    shown = f"features of {text.partition('@')[0]}"
    features = features_of(backbone, weights_sha256, params.data.path, rows, shown)
    labels = labels_of_rows(rows)
    top1, licence = known_top1(text, weights_sha256), _licence(backbone.reference, weights_sha256)
    known = Weights(text, backbone.n_parameters(), weights_sha256, top1, licence)
    cost = cost_of(backbone, pool.n_classes, pool.n_train, params.finetune)
    return score_features(features, labels, params.select.knn_k, known), cost, distance_of(admitted, features)


def _admitted(text: str, params: Params) -> Admitted:
    """Return a candidate with its weights, and the sha256 of their file."""
    from transfer.backbones.reference import BackboneReference

    reference = BackboneReference.parse(text)
    return admit(reference, params.select.weights_sha256.get(reference.record_key or ""))


def _licence(reference: str, weights_sha256: str | None) -> str | None:
    from adapters.weights_cards import provenance_of
    from transfer.backbones.reference import BackboneReference

    return provenance_of(BackboneReference.parse(reference), weights_sha256).licence


def pixels_of(pool: Pool) -> "Scored":
    """Score the raw pixels at the smallest size: what any useful backbone is better than."""
    from transfer.selection.ranking import score_pixels

    examples = prepared(pool.params.data.path, pool.rows, pool.smallest)
    return score_pixels(examples.inputs, examples.labels, pool.params.select.knn_k)


def labels_of_rows(rows: Sequence[Row]) -> "Tensor":
    """Return the labels of rows, int64 (N,)."""
    import torch

    return torch.tensor([row.label for row in rows], dtype=torch.int64)


def in_question(pool: Pool, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the candidates that could be scored, in the order they are named in.

    Args:
        pool: what was scored.
        outcomes: of its candidates.

    Raises:
        UserError: no candidate could be scored, or none is within the limits.
        EnvironmentFault: memory is too small for any of them.
    """
    found = {outcome.reference: outcome for outcome in outcomes}
    named = [found[reference] for reference in pool.params.select.candidates]
    able = [outcome for outcome in named if outcome.scored is not None]
    if not able:
        raise _none_of(named)
    costs = [outcome.cost for outcome in able if outcome.cost is not None]
    require_some_within(pool.params.select, [outcome.reference for outcome in able], costs)
    return able


def _none_of(named: Sequence[Outcome]) -> RootstockError:
    first = named[0].error or UserError("there is none")
    if len(named) == 1:
        return first
    return type(first)(f"None of the {len(named)} candidates could be scored; of {named[0].reference}: {first}")

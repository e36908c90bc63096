"""What comes before any training: a probe on frozen features, the target's own norms, the probe on all rows."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.features import extract_features
from transfer.data.examples import Examples, Target
from transfer.errors import UserError
from transfer.finetuning.balance import loss_of
from transfer.finetuning.freezing import HEAD
from transfer.finetuning.gate import change
from transfer.finetuning.measuring import Judgement, judgement_of
from transfer.finetuning.norms import MOST_IMAGES, reestimate, require_statistics, statistics_of
from transfer.finetuning.plan import NORMS, PROBE, REFIT
from transfer.finetuning.states import State, clone_state
from transfer.heads.fits import Fit, fit_ridge
from transfer.heads.fitted import Fitted
from transfer.records import EpochRecord, StepOutcome

Features = Callable[[Backbone, Examples], Tensor]


def probed(
    backbone: Backbone, target: Target, features: Features | None = None, fit: Fit = fit_ridge
) -> tuple[Classifier, tuple[EpochRecord, StepOutcome]]:
    """Put a probe on a frozen backbone.

    Args:
        backbone: left as it is, byte for byte.
        target: rows the probe is fitted on, each seen once by the trunk, and rows it is measured on.
        features: how rows become features, float32 (N, feature_dim); straight through the backbone when None.
        fit: of the head.

    Returns:
        The classifier; its record and its outcome.
    """
    extract, train_set = features or _straight, target.train
    rows = extract(backbone, train_set)
    found_fit = fit(rows, train_set.labels, target.n_classes, target.balance)
    classifier = Classifier(backbone, target.n_classes, found_fit.head).eval()
    with torch.no_grad():
        fitted = float(loss_of(target.balance, classifier.head(rows).double(), train_set.labels, 0.0))
    found = _judged(classifier.head, extract(backbone, target.val), target)
    record = EpochRecord(PROBE, 1, len(train_set), fitted, found.nll, found.accuracy)
    outcome = StepOutcome(PROBE, (HEAD,), None, found.nll, found.accuracy, len(train_set), kept=True)
    return classifier, (record, replace(outcome, sharpness=found_fit.sharpness))


def with_own_norms(
    classifier: Classifier,
    target: Target,
    features: Features | None = None,
    estimate: Callable[[Backbone, Examples], None] = lambda backbone, rows: reestimate(backbone, rows.inputs),
    fit: Fit = fit_ridge,
    *,
    asked_for: bool = False,
) -> tuple[Classifier, tuple[StepOutcome, ...]]:
    """Try the target's own norm statistics in place of the source's: kept where validation gains beyond noise.

    Args:
        classifier: probed; its trunk is changed in place where the statistics are kept, else left byte-equal.
        target: rows the statistics are of, and rows that decide.
        features: as for `probed`.
        estimate: puts the statistics of rows into a backbone.
        fit: as for `probed`.
        asked_for: keep them whatever validation says.

    Returns:
        The classifier that is better on validation, and the outcome; no outcome for a trunk without statistics.

    Raises:
        UserError: they were asked for, and the trunk keeps none, or its features under them are not finite.
    """
    if asked_for:
        require_statistics(classifier.backbone)
    if not statistics_of(classifier.backbone) or len(target.train) < 2:
        return classifier, ()
    state, outcomes = clone_state(classifier), tuple[StepOutcome, ...]()
    try:
        other, outcome = _under_own_norms(classifier, target, features, estimate, fit)
        if outcome.kept or asked_for:
            return other, (replace(outcome, kept=True),)
        outcomes = (outcome,)
    except UserError:  # the features under these statistics are not finite
        if asked_for:
            raise
    classifier.load_state_dict(state)
    return classifier, outcomes


def _under_own_norms(
    classifier: Classifier,
    target: Target,
    features: Features | None,
    estimate: Callable[[Backbone, Examples], None],
    fit: Fit,
) -> tuple[Classifier, StepOutcome]:
    """Put the target's statistics into a trunk and probe it again; see `with_own_norms`."""
    backbone, extract = classifier.backbone, features or _straight
    before = _judged(classifier.head, extract(backbone, target.val), target)
    estimate(backbone, target.train)
    other, _ = probed(backbone, target, features, fit)
    after = _judged(other.head, extract(backbone, target.val), target)
    n_images = min(MOST_IMAGES, len(target.train)) + len(target.train)  # for the statistics, for features under them
    return other, change(before.losses, after.losses, after.strata).outcome(NORMS, (), after.accuracy, n_images)


def refitted(
    classifier: Classifier, target: Target, features: Features | None = None, fit: Fit = fit_ridge
) -> tuple[State, tuple[StepOutcome, ...]]:
    """Fit the probe to training and validation rows together: what remains where no later step is kept.

    Validation has then decided all it had to decide. The rows still judge the fit: each by the fit to all others.

    Args:
        classifier: probed; left as it is.
        target: rows to fit.
        features: as for `probed`.
        fit: as for `probed`.

    Returns:
        The head's values by their names in the classifier, and the outcome; neither where validation rows are worse
        predicted so, beyond noise. `transfer.backbones.heads.take_head` puts them in their place.
    """
    before = _judged(classifier.head, (features or _straight)(classifier.backbone, target.val), target)
    fitted = fitted_to_all(classifier.backbone, target, features, fit)
    after = judgement_of(fitted.held_out[len(target.train) :], target.val.labels, equally=target.balance.equally)
    changed = change(before.losses, after.losses, after.strata)
    outcome = changed.outcome(REFIT, (HEAD,), after.accuracy, len(target.val))
    if changed.hurt:
        return {}, (outcome,)
    values = {f"{HEAD}.{name}": value for name, value in fitted.head.state_dict().items()}
    return values, (replace(outcome, kept=True, sharpness=fitted.sharpness),)


def fitted_to_all(backbone: Backbone, target: Target, features: Features | None = None, fit: Fit = fit_ridge) -> Fitted:
    """Fit a head to the training rows, and then the validation rows, together.

    Args:
        backbone: left as it is.
        target: rows to fit.
        features: as for `probed`.
        fit: as for `probed`.
    """
    rows = [(features or _straight)(backbone, one) for one in (target.train, target.val)]
    labels = torch.cat((target.train.labels, target.val.labels))
    return fit(torch.cat(rows), labels, target.n_classes, target.balance)


def _straight(backbone: Backbone, examples: Examples) -> Tensor:
    return extract_features(backbone, examples.inputs)


def _judged(head: nn.Module, rows: Tensor, target: Target) -> Judgement:
    with torch.no_grad():
        return judgement_of(head(rows), target.val.labels, equally=target.balance.equally)

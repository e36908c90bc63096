"""Run a plan step by step; a step that does not lower the mean validation NLL is rolled back, exactly."""

from collections.abc import Callable, Iterator, Sequence

import torch

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.features import extract_features
from transfer.data.examples import Examples
from transfer.finetuning.freezing import HEAD
from transfer.finetuning.loop import Budget, clone_state, evaluate, train
from transfer.finetuning.plan import PROBE, Step
from transfer.finetuning.probe import fit_probe
from transfer.records import EpochRecord, StepOutcome

Advance = Callable[[int], None]


def probed(
    backbone: Backbone,
    train_set: Examples,
    val_set: Examples,
    n_classes: int,
    seed: int,
    advance: Advance = lambda _: None,
) -> tuple[Classifier, EpochRecord, StepOutcome]:
    """Put a converged probe on a frozen backbone.

    Args:
        backbone: left as it is, byte for byte.
        train_set: rows the probe is fitted on; each is seen once by the trunk.
        val_set: rows it is measured on.
        n_classes: at least 2.
        seed: of the probe's cross-validation folds.
        advance: called with the number of images that went through the trunk.

    Returns:
        The classifier, its record and its outcome.
    """
    classifier = Classifier(backbone, n_classes)
    features = extract_features(backbone, train_set.inputs, advance=advance)
    weight, bias, _ = fit_probe(features, train_set.labels, n_classes, seed)
    with torch.no_grad():
        classifier.head.weight.copy_(weight)
        classifier.head.bias.copy_(bias)
    fitted = torch.nn.functional.cross_entropy(features @ weight.T + bias, train_set.labels)
    nll, accuracy = evaluate(classifier, val_set)
    record = EpochRecord(PROBE, 1, len(train_set), float(fitted), nll, accuracy)
    return classifier, record, StepOutcome(PROBE, (HEAD,), None, nll, accuracy, len(train_set), kept=True)


def run_steps(
    classifier: Classifier,
    train_set: Examples,
    val_set: Examples,
    steps: Sequence[Step],
    budget: Budget,
    seed: int,
    advance: Advance = lambda _: None,
) -> Iterator[EpochRecord | StepOutcome]:
    """Run steps in order; yield a record an epoch and an outcome a step.

    Args:
        classifier: changed in place; after a step that was not kept it is byte-equal to before.
        train_set: training rows.
        val_set: validation rows.
        steps: what to train.
        budget: of each step.
        seed: of order and augmentation.
        advance: called with the number of images of every batch.
    """
    nll_before, accuracy_before = evaluate(classifier, val_set)
    for step in steps:
        before, records = clone_state(classifier), []
        for record in train(classifier, train_set, val_set, step, budget, seed, advance):
            records.append(record)
            yield record
        outcome = _outcome(step, records, nll_before, accuracy_before)
        if outcome.kept:
            nll_before, accuracy_before = outcome.val_nll_after, outcome.val_accuracy
        else:
            classifier.load_state_dict(before)
        yield outcome


def _outcome(step: Step, records: Sequence[EpochRecord], nll_before: float, accuracy_before: float) -> StepOutcome:
    """Return how a step ended: training left the weights of its best epoch, or without any those it began with."""
    nll, accuracy, seen = nll_before, accuracy_before, 0
    if records:
        best = min(records, key=lambda record: record.val_nll)
        nll, accuracy, seen = best.val_nll, best.val_accuracy, records[-1].images_seen
    return StepOutcome(step.name, tuple(step.rates), nll_before, nll, accuracy, seen, kept=nll < nll_before)

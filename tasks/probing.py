"""The probe of fine-tuning on a project's rows: features and norm statistics that were computed before are read."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tasks.checkpoints import Checkpoints
from tasks.features import features_of
from tasks.history import Event
from tasks.imbalance import decided
from tasks.params import Params
from tasks.params_blocks import FROZEN_NORMS, REESTIMATED_NORMS, TRAINED_NORMS, FinetuneParams
from transfer.records import Row

if TYPE_CHECKING:
    from torch import Tensor

    from transfer.backbones.backbone import Backbone, Classifier
    from transfer.data.examples import Examples, Target
    from transfer.finetuning.probing import Features
    from transfer.finetuning.states import State


def probed_on(
    rows: tuple[Sequence[Row], Sequence[Row]],
    backbone: "Backbone",
    target: "Target",
    params: Params,
    checkpoints: Checkpoints,
    weights_sha256: str | None,
) -> "tuple[Classifier, tuple[Event, ...], State]":
    """Return the probed classifier, under the norms that validation prefers, and a head that is fitted to all rows.

    How classes count is decided first, and is the first of what happened. Where the strategy begins with random
    weights, nothing is probed: all classes are as likely. Where it fits a head alone, the trunk keeps its statistics.

    Args:
        rows: of the manifest, for training and for validation.
        backbone: changed in place where other norm statistics are better.
        target: the same rows, prepared.
        params: of the project.
        checkpoints: where norm statistics are kept.
        weights_sha256: of the backbone's file; None where its weights are random.

    Returns:
        The classifier, what happened, and the head's values by name, see `transfer.finetuning.probing.refitted`.
    """
    from transfer.backbones.reference import BackboneReference
    from transfer.finetuning.strategies import is_from_scratch

    settings, read = params.finetune, partial(features_by_split, rows, target.train, params.data.path)
    features, under_own = partial(read, weights_sha256), partial(read, None)
    if is_from_scratch(settings.strategy):
        return _undecided(backbone, target, settings, checkpoints, features)
    is_random = BackboneReference.parse(backbone.reference).is_random
    if is_random:  # its statistics describe nothing yet
        _reestimate(checkpoints, backbone, target.train)
    target = replace(target, balance=decided(target, settings, lambda: features(backbone, target.train)))
    return _fitted(backbone, target, settings, checkpoints, (features, None if is_random else under_own))


def _undecided(
    backbone: "Backbone", target: "Target", settings: FinetuneParams, checkpoints: Checkpoints, features: "Features"
) -> "tuple[Classifier, tuple[Event, ...], State]":
    """Return what `probed_on` does where training begins as the reference from scratch does; the backbone is as before.

    Random statistics describe nothing: where the remedy for unequal classes is chosen by features, they are those of
    the training images meanwhile.
    """
    from transfer.backbones.backbone import Classifier

    def of_training_rows() -> "Tensor":
        before = {name: value.clone() for name, value in backbone.state_dict().items()}
        _reestimate(checkpoints, backbone, target.train)
        rows = features(backbone, target.train)
        backbone.load_state_dict(before)
        return rows

    balance = decided(target, settings, of_training_rows)
    return Classifier(backbone, target.n_classes).eval(), (balance,), {}


def _fitted(
    backbone: "Backbone",
    target: "Target",
    settings: FinetuneParams,
    checkpoints: Checkpoints,
    features: "tuple[Features, Features | None]",
) -> "tuple[Classifier, tuple[Event, ...], State]":
    """Return what `probed_on` does; features are those under the statistics there are, and under others if any."""
    from transfer.finetuning.probing import probed, refitted, with_own_norms
    from transfer.finetuning.strategies import keeps_trunk
    from transfer.heads.fits import fit_of

    fit, (given, under_own) = fit_of(settings.head, settings.seed), features
    classifier, first = probed(backbone, target, given, fit)
    head, last = refitted(classifier, target, given, fit)
    asked_for = settings.norms in (REESTIMATED_NORMS, TRAINED_NORMS)
    if under_own is None or settings.norms == FROZEN_NORMS or (keeps_trunk(settings.strategy) and not asked_for):
        return classifier, (target.balance, *first, *last), head
    estimate = partial(_reestimate, checkpoints)
    classifier, tried = with_own_norms(classifier, target, under_own, estimate, fit, asked_for=asked_for)
    if any(outcome.kept for outcome in tried):
        head, last = refitted(classifier, target, under_own, fit)
    return classifier, (target.balance, *first, *tried, *last), head


def features_by_split(
    rows: tuple[Sequence[Row], Sequence[Row]],
    train_set: "Examples",
    data_path: str,
    weights_sha256: str | None,
    backbone: "Backbone",
    examples: "Examples",
) -> "Tensor":
    """Return the features of training or validation rows; those that any stage computed before are read.

    Args:
        rows: of the manifest, for training and for validation.
        train_set: the prepared training rows, by which the two are told apart.
        data_path: the data set's folder.
        weights_sha256: of the backbone's file; None where its values are not those of a file.
        backbone: left as it is.
        examples: the prepared training rows, or the validation rows.
    """
    text = "features" if weights_sha256 else "features under other norm statistics"
    of_split = rows[examples is not train_set]
    return features_of(backbone, weights_sha256, data_path, of_split, text, lambda: examples.inputs)


def _reestimate(checkpoints: Checkpoints, backbone: "Backbone", examples: "Examples") -> None:
    """Put the examples' norm statistics into the backbone: those of an earlier run, or computed now."""
    from dataclasses import asdict

    from transfer.backbones.digests import digest_of
    from transfer.finetuning.norms import reestimate
    from transfer.finetuning.staged import Done

    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    identity = {"norms of": digest_of(backbone), "read as": asdict(backbone.preprocess), "rows": examples.keys}
    done = checkpoints.recall(identity)
    if done is None:
        reestimate(backbone, examples.inputs)
        values = backbone.state_dict()
        done = Done((), {name: value for name, value in values.items() if not value.equal(before[name])})
        checkpoints.remember(identity, done)
    backbone.load_state_dict({**before, **done.changed})

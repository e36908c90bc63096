"""Which labels are wrong: confident learning on predictions of rows by a probe that did not see them.

Confident learning (Northcutt, Jiang and Chuang 2021) estimates how often rows of one true class carry the label of
another by counting rows above the mean confidence of each class, and ranks by how little a model believes the label.
Its probabilities have to be right, and those of a probe fitted to wrong labels are not: its doubts are partly about
images and partly about labels. Here both are estimated together, by maximum likelihood:

    P(given y | x) = sum_j q_j(x) T_jy,   q(x) = softmax(sharpness * s(x) + offset),

with s the logits by all other rows (`transfer/metrics/two_opinions.py`), q what the image shows and T_jy how often
true class j is labelled y. The offset makes up for what the regression takes from rare classes. A set of hard but
rightly labelled images is then explained by a low sharpness, and hardly any label is named. The probe is fitted again,
each row counting by how likely its label is right.

Source: Northcutt, Jiang and Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70,
sections 2 and 3; the noise matrix between classifier and label, Goldberger and Ben-Reuven 2017, Training deep
neural-networks using a noise adaptation layer, ICLR, equations 3 to 6 (expectation maximisation).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.errors import UserError
from transfer.metrics.temperature import calibrated
from transfer.metrics.two_opinions import Opinions

FEWEST_ROWS = 5  # of a class, for its labels to be judged: fewer show too little of what the class looks like
_MOST_NOISE = 0.45  # share of wrong labels that is still found: beyond, right ones would be in the minority soon
_FIRST_NOISE = 0.3  # where the search begins; from below it creeps, and stops short of much noise among few images
_MOST_STEPS, _CLOSE = 100, 1e-6
_MORE_ROUNDS = 2  # of probe and noise; measured: one finds what wrong labels had hidden, the next changes little
_LEAST_WEIGHT = 1e-3  # of a row whose label is surely wrong: a weight of 0 would leave it out of its own prediction
_TRUSTED_ROWS = 3.0  # what a class is believed to have in common with all others, in rows for each row of a mean class
_MOST_BELIEVED = 5  # wrong labels believed in before any row is seen: one of a class, and no more than this
_SHARPEST = 1e3
_LEAST_EVIDENCE = 5.0  # nats that features add to how frequent classes are; by chance one set in a thousand has them
_USUAL_NOISE = 1 / 8  # share of wrong labels; more are rare, and hard images are not,
_MORE_EVIDENCE = 25.0  # so that more are believed in only where they explain labels better than hardness, by nats


@dataclass(frozen=True)
class JudgedLabels:
    """How likely each label is to be wrong.

    Args:
        wrong: float64 (N,), the probability; 0 where the class has too few rows to be judged, and of all rows where
            wrong labels cannot be told.
        suggested: int64 (N,), the most likely class beside the given one.
        noise: the share of wrong labels, as estimated.
        confusion: T, float64 (C, C): how often rows of a true class (row) carry each label (column).
        accuracy: share of rows whose label all other rows predict.
        can_tell: whether wrong labels can be told from hard images by these features.
    """

    wrong: Tensor
    suggested: Tensor
    noise: float
    confusion: Tensor
    accuracy: float
    can_tell: bool

    def named(self) -> Tensor:
        """Return the rows whose label is more likely wrong than right, int64 (n,), the surest first."""
        found = (self.wrong > 0.5).nonzero().flatten()
        return found[self.wrong[found].argsort(descending=True, stable=True)]


@dataclass(frozen=True)
class _Noise:
    """What explains labels: sharpness, offset (C,), T (C, C), and the posterior of the true class (N, C)."""

    sharpness: float
    offset: Tensor
    confusion: Tensor
    truth: Tensor


def judge_labels(features: Tensor, labels: Tensor, n_classes: int) -> JudgedLabels:
    """Judge the label of every row by what all other rows say of its features.

    Costs a few ridge regressions, O(N D min(N, D)) each, and votes, O(N min(N, 4000) (D + C)); 8 bytes N (D + C) of
    memory a few times over, and 8 bytes N min(N, 4000).

    Args:
        features: finite float (N, D), of rows in which some of each class are rightly labelled.
        labels: int64 (N,), in [0, n_classes).
        n_classes: at least 2.

    Raises:
        UserError: fewer than two rows or classes, or a feature that is not finite.
    """
    _require_judgeable(features, labels, n_classes)
    counts = torch.bincount(labels, minlength=n_classes)
    rows = torch.arange(len(labels))
    opinions = Opinions.of(features, labels, n_classes)
    logits = opinions.logits()
    accuracy = float((logits.argmax(1) == labels).double().mean())
    noise, latest = explained(logits, labels), logits
    for _ in range(_MORE_ROUNDS):
        latest = opinions.logits(noise.truth[rows, labels].clamp_min(_LEAST_WEIGHT))
        noise = explained(latest, labels)
    wrong = torch.where(counts[labels] >= FEWEST_ROWS, 1 - noise.truth[rows, labels], 0.0)
    can_tell = _can_tell(logits, labels, noise, latest)
    others = noise.truth.scatter(1, labels[:, None], -1.0)
    share = float(wrong.mean())
    return JudgedLabels(wrong * can_tell, others.argmax(1), share * can_tell, noise.confusion, accuracy, can_tell)


def _can_tell(logits: Tensor, labels: Tensor, noise: "_Noise", latest: Tensor) -> bool:
    """Say whether wrong labels are told from hard images.

    Where features say nothing, no noise and all noise explain labels equally well, and half of them would be named.
    Where they say little, a low sharpness and much noise do, and each round of the probe makes itself surer.

    Args:
        logits: before any label was doubted, float64 (N, C).
        labels: int64 (N,).
        noise: as found last.
        latest: the logits that it was found with, float64 (N, C).
    """
    counts = torch.bincount(labels, minlength=logits.shape[1]).double() + 1
    frequencies = (counts / counts.sum()).log()
    by_chance = calibrated(torch.zeros_like(logits), labels, offset=frequencies)[1] * len(labels)
    by_hardness = calibrated(logits, labels, offset=frequencies)[1] * len(labels)
    if by_chance - by_hardness < _LEAST_EVIDENCE:
        return False
    shown = (noise.sharpness * latest + noise.offset).log_softmax(1)
    by_noise = -float((shown + noise.confusion.clamp_min(1e-300).log()[:, labels].T).logsumexp(1).sum())
    share = 1 - float(noise.truth[torch.arange(len(labels)), labels].mean())
    return share <= _USUAL_NOISE or by_hardness - by_noise >= _MORE_EVIDENCE


def explained(scores: Tensor, labels: Tensor) -> _Noise:
    """Return the sharpness and the noise under which labels are most likely, by expectation maximisation.

    The noise of a class is drawn towards what is common to all: the pooled share of wrong labels, evenly over the
    other classes. Systematic doubts of a probe would pass for noise of the labels otherwise. That share counts a few
    wrong labels more than were seen: of few rows, no noise and a low sharpness are often as likely as much noise and a
    high one, and then nothing would be found.

    Args:
        scores: float64 (N, C), of rows by a model that did not see them.
        labels: int64 (N,).
    """
    n_rows, n_classes = scores.shape
    believed = min(n_classes, _MOST_BELIEVED)
    sharpness = min(2 * calibrated(scores, labels)[0], _SHARPEST)
    confusion, offset = _even(_FIRST_NOISE, n_classes), torch.zeros(n_classes, dtype=torch.float64)
    for _ in range(_MOST_STEPS):
        truth = _posterior(sharpness * scores + offset, labels, confusion)
        pairs = torch.zeros(n_classes, n_classes, dtype=torch.float64).index_add_(0, labels, truth).T
        n_wrong = float(n_rows - pairs.diagonal().sum()) + believed
        share = min(n_wrong / (n_rows + believed), _MOST_NOISE)
        pairs = pairs + _TRUSTED_ROWS * n_rows / n_classes * _even(share, n_classes)
        next_confusion = pairs / pairs.sum(1, keepdim=True)
        offset = _moved(scores, truth, sharpness, offset)
        next_sharpness = _sharper(scores, truth, sharpness, offset)
        moved = max(float((next_confusion - confusion).abs().max()), abs(next_sharpness / sharpness - 1))
        sharpness, confusion = next_sharpness, next_confusion
        if moved < _CLOSE:
            break
    return _Noise(sharpness, offset, confusion, _posterior(sharpness * scores + offset, labels, confusion))


def _posterior(logits: Tensor, labels: Tensor, confusion: Tensor) -> Tensor:
    """Return how likely each class is the true one, given the image and its label, float64 (N, C)."""
    return (logits.log_softmax(1) + confusion.clamp_min(1e-300).log()[:, labels].T).softmax(1)


def _moved(scores: Tensor, truth: Tensor, sharpness: float, offset: Tensor) -> Tensor:
    """Return the offset by which classes are as frequent among shares as in the posterior of the true class."""
    shares = (sharpness * scores + offset).softmax(1)
    moved = offset + ((truth.sum(0) + 1) / (shares.sum(0) + 1)).log()
    return moved - moved.mean()


def _sharper(scores: Tensor, truth: Tensor, sharpness: float, offset: Tensor) -> float:
    """Return the sharpness under which scores explain the posterior of the true class best, by Newton's method."""
    wanted = (truth * scores).sum(1)
    for _ in range(3):
        shares = (sharpness * scores + offset).softmax(1)
        mean = (shares * scores).sum(1)
        bend = float(((shares * scores.square()).sum(1) - mean.square()).sum())
        step = float((wanted - mean).sum()) / max(bend, 1e-9)
        sharpness = min(max(sharpness + step, sharpness / 2), 2 * sharpness, _SHARPEST)
    return sharpness


def _even(share: float, n_classes: int) -> Tensor:
    """Return a noise matrix (C, C) of so many wrong labels, evenly over the other classes."""
    even = torch.full((n_classes, n_classes), share / (n_classes - 1), dtype=torch.float64)
    return even.fill_diagonal_(1 - share)


def _require_judgeable(features: Tensor, labels: Tensor, n_classes: int) -> None:
    if n_classes < 2 or len(labels) < 2:
        raise UserError(
            f"{len(labels)} rows of {n_classes} classes are too few to judge labels by; add images and run again."
        )
    if not bool(features.isfinite().all()):
        raise UserError("A feature is not finite, so labels cannot be judged by it; choose another backbone.")

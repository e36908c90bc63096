"""Which remedy suits unequal classes: told by the closed-form probe, before any step is trained.

A remedy is judged by the loss of rows that a probe under it has not seen, each class counting the same. That costs two
decompositions of features that are there already.
"""

from dataclasses import replace

from torch import Tensor
from torch.nn import functional

from transfer.finetuning.balance import LOGITS, NONE, SAMPLING, WEIGHTS, Imbalance, diagnosed
from transfer.heads.ridge import fit_probe
from transfer.metrics.class_weights import equal_weights
from transfer.records import ClassBalance

AUTO = "auto"
_TIE = 0.01  # of the smallest loss


def unequal(labels: Tensor, n_classes: int, asked: str) -> ClassBalance | None:
    """Return what is known before any feature is: how each class counts; None where the probe has to choose a remedy.

    Args:
        labels: of the training rows, int64 (N,).
        n_classes: at least 2.
        asked: AUTO, or one of `transfer.records.REMEDIES`, which is done whatever the counts; "none" leaves everything
            as it is.
    """
    counts = tuple(labels.bincount(minlength=n_classes).tolist())
    if min(counts) == 0:
        return ClassBalance(counts)  # the probe refuses it with a sentence
    found = diagnosed(counts)
    if asked == NONE:
        return ClassBalance(counts, why=f"{_words(found)}; each image counts the same, as finetune.imbalance says")
    if asked != AUTO:
        why = f"{_words(found)}; each class counts the same, by {asked}, as finetune.imbalance says"
        return ClassBalance(counts, equally=True, remedy=asked, why=why)
    if not found.matters:
        return ClassBalance(counts, why=f"{_words(found)}: each image counts the same")
    return None


def chosen(features: Tensor, labels: Tensor, n_classes: int, batch_size: int) -> ClassBalance:
    """Choose the remedy whose probe does best on rows left out; of several within a hundredth, the simplest.

    A test would ask for proof, and a handful of images in the smallest class proves nothing: it would leave all as it
    is where a remedy is needed most.

    Weights and sampling have the same expectation, and so the same probe. Sampling is chosen where the smallest class
    has less than one row in a batch: there a weight would make few, large steps of what sampling makes many small ones.

    Args:
        features: of the training rows, float (N, D).
        labels: int64 (N,), every class at least once.
        n_classes: at least 2.
        batch_size: of training.

    Raises:
        UserError: a feature is not finite.
    """
    counts = tuple(labels.bincount(minlength=n_classes).tolist())
    plain = ClassBalance(counts, equally=True)
    by_weight = SAMPLING if batch_size * min(counts) < sum(counts) else WEIGHTS
    nlls = {}
    for remedy in (NONE, by_weight, LOGITS):
        probe = fit_probe(features, labels, n_classes, replace(plain, remedy=remedy))
        losses = functional.cross_entropy(probe.held_out, labels, reduction="none")
        nlls[remedy] = float((equal_weights(labels) * losses).mean())
    remedy = next(one for one, nll in nlls.items() if nll <= (1 + _TIE) * min(nlls.values()))
    compared = ", ".join(f"{name} {nll:.3f}" for name, nll in nlls.items())
    why = (
        f"{_words(diagnosed(counts))}; each class counts the same, by {remedy}: "
        f"loss of the probe on rows left out {compared}"
    )
    return replace(plain, remedy=remedy, loo_nlls=tuple(nlls.items()), why=why)


def _words(found: Imbalance) -> str:
    if found.smallest == found.largest:
        return f"Each class has {found.smallest} training images"
    about = "" if found.matters else ", about equal"
    return (
        f"Classes have {found.smallest} to {found.largest} training images "
        f"(ratio {found.ratio:.3g}, evenness {found.evenness:.0%}){about}"
    )

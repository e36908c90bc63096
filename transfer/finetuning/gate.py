"""Whether a step helped: the mean validation loss must fall beyond what pairs of losses vary by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t
from torch import Tensor

from transfer.finetuning.plan import REFIT
from transfer.records import StepOutcome

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Change:
    """How the losses of the same validation rows changed.

    Args:
        before: mean loss before, nats.
        after: mean loss after, nats.
        noise: how far the mean of the paired differences may fall by chance, nats: one-sided, at `CONFIDENCE`; None of
            a single row, which tells nothing.
    """

    before: float
    after: float
    noise: float | None

    @property
    def helped(self) -> bool:
        """Say whether the mean fell by more than the noise."""
        return self.noise is not None and self.before - self.after > self.noise

    @property
    def hurt(self) -> bool:
        """Say whether the mean rose by more than the noise."""
        return self.noise is not None and self.after - self.before > self.noise

    def outcome(self, name: str, groups: tuple[str, ...], accuracy: float, n_images: int) -> StepOutcome:
        """Return the record of a step that is kept where it helped; see `StepOutcome`."""
        return StepOutcome(
            name, groups, self.before, self.after, accuracy, n_images, kept=self.helped, val_nll_noise=self.noise
        )


def change(before: Tensor, after: Tensor, strata: Tensor | None = None) -> Change:
    """Compare the losses of the same rows, pair by pair.

    Args:
        before: float64 (N,), nats.
        after: float64 (N,), of the same rows in the same order.
        strata: the class of every row, int64 (N,), where each class counts the same; None where each row does.

    Returns:
        The change.

    Source: the paired t-test (Student 1908), one-sided.
    """
    if strata is not None:
        return _stratified(before, after, strata)
    differences = after - before
    n_rows = len(differences)
    noise = None
    if n_rows > 1:
        noise = float(t.ppf(CONFIDENCE, n_rows - 1)) * float(differences.std(correction=1)) / n_rows**0.5
    return Change(float(before.mean()), float(after.mean()), noise)


def otherwise(events: Sequence[object], *, spare: bool) -> float | None:
    """Return the loss of the head fitted to all rows, which is what there is where no step is kept; None after one is.

    Without it a step that learns from training rows alone would have to beat a probe of them alone, and be kept though
    the probe of all rows is better.

    Args:
        events: all that happened before a step.
        spare: whether there is such a head.
    """
    kept = [event for event in events if isinstance(event, StepOutcome) and event.kept]
    return kept[-1].val_nll_after if spare and kept and kept[-1].name == REFIT else None


def beside(found: Change, to_beat: float | None) -> Change:
    """Return a change as it is, or where what there is otherwise has no higher loss, the change from that: no gain.

    Beyond noise a step has to be better than what was before; than what there is otherwise it has to be better at all.
    Over 63 fine-tunes of which some step had helped, the 16 that this undoes were 0.5 points less accurate on test
    images than the head fitted to all rows, the 47 others 1.1 points more (docs/finetuning.md).

    Args:
        found: what `change` returned.
        to_beat: mean loss of the same validation rows, nats; None where nothing else is to be had.
    """
    if to_beat is None or found.after < to_beat:
        return found
    return replace(found, before=min(found.before, to_beat))


def _stratified(before: Tensor, after: Tensor, strata: Tensor) -> Change:
    """Compare the means over classes of the classes' means.

    With differences of variance s_c^2 in the n_c rows of class c, their mean has the variance sum_c s_c^2 / n_c / C^2,
    and the degrees of freedom are (sum_c v_c)^2 / sum_c (v_c^2 / (n_c - 1)) with v_c = s_c^2 / n_c. A class of a single
    row says nothing of its variance and is taken to vary as the class that varies most, with one degree of freedom.

    Source: the mean of strata, Cochran 1977, "Sampling Techniques", equation 5.9; the degrees of freedom, Satterthwaite
    1946, "An approximate distribution of estimates of variance components", Biometrics Bulletin 2(6).
    """
    parts = [(before[strata == label], after[strata == label]) for label in strata.unique()]
    n_rows = np.array([len(one) for one, _ in parts])
    varied = [float((after - before).var(correction=1)) for before, after in parts if len(before) > 1]
    means = [sum(float(part[place].mean()) for part in parts) / len(parts) for place in (0, 1)]
    means_alone = Change(means[0], means[1], None)
    if not varied:
        return means_alone
    variances = np.full(len(parts), max(varied))
    variances[n_rows > 1] = varied
    shares = variances / n_rows
    total = float(shares.sum())
    if not total > 0:  # every pair changed alike within its class, or the losses are not finite
        return replace(means_alone, noise=total)
    freedom = total**2 / float((shares**2 / np.maximum(n_rows - 1, 1)).sum())
    return replace(means_alone, noise=float(t.ppf(CONFIDENCE, freedom)) * total**0.5 / len(parts))

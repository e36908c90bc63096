"""Whether a step helped: the mean validation loss must fall beyond what pairs of losses vary by themselves."""

from dataclasses import dataclass

from scipy.stats import t
from torch import Tensor

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


def change(before: Tensor, after: Tensor) -> Change:
    """Compare the losses of the same rows, pair by pair.

    Args:
        before: float64 (N,), nats.
        after: float64 (N,), of the same rows in the same order.

    Returns:
        The change.

    Source: the paired t-test (Student 1908), one-sided.
    """
    differences = after - before
    n_rows = len(differences)
    noise = None
    if n_rows > 1:
        noise = float(t.ppf(CONFIDENCE, n_rows - 1)) * float(differences.std(correction=1)) / n_rows**0.5
    return Change(float(before.mean()), float(after.mean()), noise)

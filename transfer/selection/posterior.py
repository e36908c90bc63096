"""How sure a choice of backbone is: what rows say of each candidate, and what is known of it without them.

What is known without the target is the top-1 accuracy of the weights on ImageNet. Over eleven supervised networks
fine-tuned on eleven data sets, logits of the accuracy there go up with logits of the accuracy on ImageNet by a slope of
0.96 (standard deviation 0.34 over data sets), and single networks lie 0.18 logits beside that line (docs/selection.md).
Kornblith et al. 2019, arXiv:1805.08974, found the same line on other networks and sets. With 200 rows an accuracy of
0.94 is known to 0.3 logits, with 20,000 to 0.03: the fewer rows there are, the more the line counts.

Source: the line, Kornblith, Shlens and Le 2019, Do Better ImageNet Models Transfer Better, figure 2; the bootstrap,
Rubin 1981, The Bayesian Bootstrap, The Annals of Statistics 9(1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.errors import UserError
from transfer.randomness import generator

SLOPE = 1.0  # logits of accuracy on the target for one on ImageNet
SPREAD = 0.25  # standard deviation of a network beside the line, logits; above that of the table: other pools vary more
N_DRAWS = 4000
_LEAST = 1e-9  # of an accuracy and of its complement, so that logits are finite


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed of the accuracies of candidates, by draws from it.

    Args:
        draws: accuracies in (0, 1), float64 (B, K).
    """

    draws: Tensor

    def accuracy(self) -> Tensor:
        """Return the expected accuracy of each candidate, float64 (K,)."""
        return self.draws.mean(0)

    def interval(self, confidence: float) -> tuple[Tensor, Tensor]:
        """Return between what bounds each accuracy lies with this probability, float64 (K,) each.

        Args:
            confidence: in (0, 1).
        """
        low, high = torch.tensor([0.5 - confidence / 2, 0.5 + confidence / 2], dtype=torch.float64)
        return self.draws.quantile(low, 0), self.draws.quantile(high, 0)

    def best(self, allowed: Sequence[bool] | None = None) -> Tensor:
        """Return the probability of each candidate to be the most accurate one, float64 (K,), of sum 1.

        Candidates that are equal in a draw share it: with few rows that is common.

        Args:
            allowed: who may be chosen, at least one; all when None.
        """
        draws = self.draws if allowed is None else self.draws.masked_fill(~torch.tensor(allowed), -torch.inf)
        first = (draws == draws.amax(1, keepdim=True)).double()
        return (first / first.sum(1, keepdim=True)).mean(0)

    def regret(self, chosen: int) -> float:
        """Return the accuracy that choosing a candidate is expected to cost, against the best one in every draw."""
        return float((self.draws.amax(1) - self.draws[:, chosen]).mean())


def level_set(best: Tensor, confidence: float) -> tuple[int, ...]:
    """Return the fewest candidates, most probable first, that hold the best one with this probability.

    Args:
        best: probabilities, float64 (K,), of sum 1.
        confidence: in (0, 1).
    """
    order = best.argsort(descending=True, stable=True)
    n_needed = int((best[order].cumsum(0) < confidence - 1e-12).sum()) + 1
    return tuple(int(place) for place in order[:n_needed])


def posterior(
    right: Tensor, labels: Tensor, top1: Sequence[float | None], seed: int, n_draws: int = N_DRAWS
) -> Posterior:
    """Combine what rows say of candidates with what is known without them.

    With e the logit of a candidate's accuracy on rows it did not see, of variance s^2 by the bootstrap over rows, and q
    what the line through the pool expects of it, of variance t^2 = SPREAD^2, the posterior is normal with mean
    w e + (1 - w) q, w = t^2 / (t^2 + s^2). Drawing e by the Bayesian bootstrap, the same weights of rows for every
    candidate, and q from its normal distribution gives that mean and that variance, and keeps what candidates have in
    common.

    Args:
        right: in [0, 1], float64 (K, N): whether row i was predicted right by candidate k without having been fitted.
        labels: int64 (N,); each class keeps its share.
        top1: accuracy of each candidate's weights on ImageNet, in (0, 1); None where nothing is known: the rows alone
            speak then.
        seed: of the draws.
        n_draws: at least 1.

    Raises:
        UserError: there are no candidates or no rows.
    """
    n_candidates, n_rows = right.shape
    if not n_candidates or not n_rows:
        raise UserError(f"{n_candidates} candidates on {n_rows} rows cannot be compared; there must be one of each.")
    drawn = _bootstrap(right, labels, seed, n_draws)
    known = torch.tensor([value is not None for value in top1])
    if int(known.sum()) > 1:  # one point has no line that says more than the rows do
        drawn = _with_line(drawn, torch.tensor([value or 0.5 for value in top1], dtype=torch.float64), known, seed)
    return Posterior(drawn.sigmoid())


def _bootstrap(right: Tensor, labels: Tensor, seed: int, n_draws: int) -> Tensor:
    """Return logits of accuracies, float64 (B, K): every row counts as much as chance has it, every class as it is.

    Beside the rows stand one that every candidate has right and one that none has, of half a row's weight on average:
    a candidate without a mistake may still make one. Of a single class the accuracy is then nearly distributed as
    Beta(n right + 1/2, n wrong + 1/2), Jeffreys' posterior.
    """
    n_rows, draw = right.shape[1], generator(seed, "bootstrap of candidates")
    weights = torch.empty(n_draws, n_rows, dtype=torch.float64).exponential_(generator=draw)
    for label in labels.unique():
        places = (labels == label).nonzero()[:, 0]
        weights[:, places] *= len(places) / weights[:, places].sum(1, keepdim=True)
    # Half the square of a standard normal number is a gamma variable of shape 1/2.
    beside = torch.randn(2, n_draws, 1, dtype=torch.float64, generator=draw).square() / 2
    accuracy = (weights @ right.double().T + beside[0]) / (n_rows + beside.sum(0))
    return accuracy.clamp(_LEAST, 1 - _LEAST).logit()


def _with_line(drawn: Tensor, top1: Tensor, known: Tensor, seed: int) -> Tensor:
    """Return draws of the candidates that are known by name pulled to the line through them; see `posterior`."""
    variance = drawn.var(0).clamp_min(1e-12)
    trust = torch.where(known, SPREAD**2 / (SPREAD**2 + variance), torch.ones_like(variance))
    expected = SLOPE * top1.logit()
    precision = known / (SPREAD**2 + variance)
    level = ((drawn - expected) * precision).sum(1, keepdim=True) / precision.sum()
    noise = torch.randn(drawn.shape, generator=generator(seed, "prior of candidates"), dtype=torch.float64)
    return trust * drawn + (1 - trust) * (level + expected + SPREAD * noise)

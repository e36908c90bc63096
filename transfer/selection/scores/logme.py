"""LogME: the evidence of a Bayesian linear regression of class memberships on the features, at its best.

Source: You et al. 2021, LogME: Practical Assessment of Pre-trained Models for Transfer Learning, arXiv:2102.11005,
the log evidence and algorithm 1; the fixed point over the spectrum is that of You et al. 2022, Ranking and Tuning
Pre-trained Models: A New Paradigm for Exploiting Model Hubs, arXiv:2110.10545.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.selection.decomposition import Decomposition

_MOST_ITERATIONS, _CLOSE = 100, 1e-6
_FURTHEST = 1e12  # of the prior's precision over the noise's, from the mean power of a direction


def logme(decomposition: Decomposition) -> float:
    """Return the log evidence of one row, in nats, mean over the classes; higher is better, without bounds.

    For each class, t ~ N(F w, 1 / beta) with w ~ N(0, 1 / alpha); alpha and beta maximise p(t | F). There is no
    intercept and nothing is centred. Scaling or turning the features changes nothing, moving them does.

    Costs O(N k C) after the decomposition, and O(k C) an iteration, k = min(N, D).

    Args:
        decomposition: of the rows.
    """
    gram = _Gram.of(decomposition)
    if gram.scale == 0:  # no feature is anything but 0: there is noise alone
        return float(-0.5 * ((gram.total / gram.n_rows).log() + 1 + math.log(2 * math.pi)).mean())
    strength = torch.full_like(gram.level, gram.scale)
    best = torch.full_like(gram.level, -torch.inf)
    for _ in range(_MOST_ITERATIONS):
        evidence, following = gram.evidence(strength)
        best = torch.maximum(best, evidence)
        change = ((following - strength).abs() / strength).max()
        strength = following
        if change < _CLOSE:
            break
    return float(best.mean()) / gram.n_rows


@dataclass(frozen=True)
class _Gram:
    """F F' where it matters, from the decomposition of the centred features, and the targets in its coordinates.

    With F = U S V' + 1 m', in the basis of U and the constant direction 1 / sqrt(N), F F' is the arrowhead matrix

        A = [ S^2        S c                 ]        c = sqrt(N) V'm,  aside = N |m - V V'm|^2,
            [ (S c)'     c'c + aside         ]

    so that (A + lambda)^-1 and its determinant take O(k): no second decomposition is needed.

    Args:
        power: S^2, float64 (k,).
        slant: c, float64 (k,).
        aside: at least 0.
        along: U't of each class, float64 (C, k).
        level: 1't / sqrt(N), float64 (C,).
        beyond: squared length of t outside the basis, float64 (C,).
        total: squared length of t, float64 (C,).
        n_rows: N.
        scale: the mean eigenvalue of A.
    """

    power: Tensor
    slant: Tensor
    aside: float
    along: Tensor
    level: Tensor
    beyond: Tensor
    total: Tensor
    n_rows: int
    scale: float

    @classmethod
    def of(cls, decomposition: Decomposition) -> "_Gram":
        """Put the targets into the basis of the features."""
        (components, power), targets = decomposition.leading(), decomposition.targets
        n_rows, root = decomposition.n_rows, math.sqrt(decomposition.n_rows)
        slant = root * (components.T @ (decomposition.centred @ decomposition.mean)) / power
        raised = n_rows * float(decomposition.mean.square().sum())
        aside = max(0.0, raised - float(slant.square().sum())) if len(power) < decomposition.width else 0.0
        along = (targets.T @ components) / power.sqrt()
        total = targets.sum(0)
        level = total / root
        beyond = (total - along.square().sum(1) - level.square()).clamp_min(0)
        if len(power) + 1 >= n_rows:
            beyond = torch.zeros_like(beyond)  # the basis holds every vector
        scale = (float(power.sum()) + raised) / (len(power) + 1)
        return cls(power, slant, aside, along, level, beyond, total, n_rows, scale)

    def evidence(self, strength: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log evidence at lambda = alpha / beta, and where the fixed point goes from there.

        With lambda fixed the best beta is known, N / (residual + lambda |w|^2), and

            log p(t) = N/2 log beta - N/2 - N/2 log 2 pi - 1/2 log det(1 + F F' / lambda),

        which equals k/2 log alpha - 1/2 sum log(alpha + beta sigma) + ... for every N and D.

        Args:
            strength: lambda of each class, float64 (C,).

        Returns:
            Log evidence of all rows (C,) and the next lambda (C,).
        """
        shifted = self.power + strength[:, None]
        corner = self.aside + strength * (1 + (self.slant.square() / shifted).sum(1))
        arrow = self.power.sqrt() * self.slant
        last = (self.level - (arrow * self.along / shifted).sum(1)) / corner
        solved = (self.along - arrow * last[:, None]) / shifted  # (A + lambda)^-1 t, and `last` its last entry
        weights = (self.power.sqrt() * solved + self.slant * last[:, None]).square().sum(1) + self.aside * last.square()
        residual = strength.square() * (solved.square().sum(1) + last.square()) + self.beyond
        inverse = (1 + (arrow / shifted).square().sum(1)) / corner  # the last entry of the diagonal of (A + lambda)^-1
        used = (self.power / shifted).sum(1) + 1 - strength * inverse  # gamma, the effective number of parameters
        left = self.n_rows - len(self.power) - 1 + strength * ((1 / shifted).sum(1) + inverse)
        spread = (self.power / strength[:, None]).log1p().sum(1) + (corner / strength).log()
        noise = ((residual + strength * weights) / self.n_rows).log()
        evidence = -0.5 * (self.n_rows * (noise + 1 + math.log(2 * math.pi)) + spread)
        following = used * residual / (weights * left).clamp_min(torch.finfo(torch.float64).tiny)
        return evidence, following.clamp(self.scale / _FURTHEST, self.scale * _FURTHEST)

"""Ridge regression of class memberships on features; each row is also predicted by the fit to all others.

Source: Golub, Heath and Wahba 1979, Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter,
Technometrics 21(2), equation 1.4: the residual without row i is e_i = (t_i - fitted_i) / (1 - H_ii).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_RELATIVE_STRENGTHS = tuple(10.0**exponent for exponent in (-6, -5, -4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1))


@dataclass(frozen=True)
class Principal:
    """The principal directions of centred rows F = U S V', the weakest first; k is the smaller of N and D.

    Args:
        components: P = U S, float64 (N, k): the rows in coordinates along the directions.
        power: S^2, float64 (k,), at least 0, rising.
        directions: V, float64 (D, k), where it comes for free, with more rows than features; None elsewhere.
    """

    components: Tensor
    power: Tensor
    directions: Tensor | None

    @classmethod
    def of(cls, centred: Tensor) -> "Principal":
        """Decompose rows, float64 (N, D), whose mean is 0: the smaller of F'F and FF', in O(N D min(N, D))."""
        n_rows, width = centred.shape
        if n_rows > width:
            power, directions = torch.linalg.eigh(centred.T @ centred)
            return cls(centred @ directions, power.clamp_min(0), directions)
        power, left = torch.linalg.eigh(centred @ centred.T)
        power = power.clamp_min(0)
        return cls(left * power.sqrt(), power, None)


class RidgePath:
    """All fits of one set of rows, for any strength, from one decomposition; the intercept is not penalised.

    With centred features F = U S V' the hat matrix is H = 1/N + U S (S^2 + lambda)^-1 S U'. Only P = U S is needed, and
    it comes from the smaller of F'F and FF', a tenth of the time of a singular value decomposition of F itself.

    Rows that count differently are centred at weighted means, and then rows and targets alike are multiplied by the
    root of their weight: the formula holds for what comes out, with w_i / N in place of 1/N.

    Args:
        features: finite float (N, D), N at least 2.
        labels: int64 (N,), in [0, n_classes).
        n_classes: at least 1.
        weights: how much the squared error of each row counts, float64 (N,), above 0; scaled to a mean of 1. All the
            same when None.
        principal: the decomposition of the centred features where somebody has it and rows count the same.
    """

    def __init__(
        self,
        features: Tensor,
        labels: Tensor,
        n_classes: int,
        weights: Tensor | None = None,
        principal: Principal | None = None,
    ) -> None:
        rows = features.to(torch.float64)
        self.targets = functional.one_hot(labels, n_classes).to(torch.float64)
        self._weights = None if weights is None else (weights / weights.mean())[:, None]
        self._feature_mean, self._target_mean = self._scaled(rows, 1).mean(0), self._scaled(self.targets, 1).mean(0)
        self._centred = self._scaled(rows - self._feature_mean, 0.5)
        found = principal or Principal.of(self._centred)
        self._components, self._power, self._directions = found.components, found.power, found.directions
        self._projected = self._components.T @ self._scaled(self.targets - self._target_mean, 0.5)
        self._scale = float(self._power.sum() / len(self._power)) or 1.0

    def strengths(self) -> tuple[float, ...]:
        """Return strengths worth trying, weak to strong: a millionth to ten times the mean power of a direction."""
        return tuple(relative * self._scale for relative in _RELATIVE_STRENGTHS)

    def without_one(self, strength: float) -> Tensor:
        """Return the class scores of each row when the fit is to all others, float64 (N, C).

        Args:
            strength: the penalty on the squared weights, above 0.
        """
        shrink = 1 / (self._power + strength)
        own = 1 / len(self.targets) if self._weights is None else self._weights[:, 0] / len(self.targets)
        leverage = own + self._components.square() @ shrink
        fitted = self._scaled(self._components @ (shrink[:, None] * self._projected), -0.5)
        residual = self.targets - self._target_mean - fitted
        residual /= (1 - leverage).clamp_min(1e-12)[:, None]
        return self.targets - residual

    def fitted(self, strength: float) -> tuple[Tensor, Tensor]:
        """Return weight float64 (C, D) and bias float64 (C,) of the fit to all rows.

        Args:
            strength: see `without_one`.
        """
        inner = self._projected / (self._power + strength)[:, None]
        if self._directions is None:  # F' U = V S, and the directions are F' P / S^2
            power = self._power.clamp_min(torch.finfo(torch.float64).tiny)
            weight = (self._centred.T @ (self._components / power) @ inner).T
        else:
            weight = (self._directions @ inner).T
        return weight, self._target_mean - weight @ self._feature_mean

    def _scaled(self, values: Tensor, exponent: float) -> Tensor:
        """Return rows (N, k) times a power of their weights."""
        return values if self._weights is None else self._weights**exponent * values

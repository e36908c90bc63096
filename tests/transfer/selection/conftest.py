"""Inputs whose scores by the authors' own code are known, and random ones for everything else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.datasets import load_digits
from torch import Tensor

REFERENCE = Path(__file__).with_name("reference_scores.json")


class Inputs(NamedTuple):
    """Features float64 (N, D), labels int64 (N,), logits float64 (N, 20) of a source classifier and their softmax."""

    features: Tensor
    labels: Tensor
    logits: Tensor
    probabilities: Tensor


@pytest.fixture(scope="session")
def reference() -> dict[str, dict[str, Any]]:
    """Return input -> score -> what the authors' code computes."""
    values: dict[str, dict[str, Any]] = json.loads(REFERENCE.read_text())["values"]
    return values


@pytest.fixture(scope="session")
def reference_inputs() -> dict[str, Inputs]:
    """Return the inputs that `reference_scores.json` names."""
    rows, labels = load_digits(return_X_y=True)
    rows = rows / 16
    lifted = np.maximum(0, rows @ (np.random.RandomState(0).randn(64, 256) / 8))
    logits = 4 * rows @ np.random.RandomState(1).randn(64, 20)
    probabilities = softmax(logits, axis=1)

    def inputs(features: np.ndarray, n_rows: int) -> Inputs:
        arrays = (features, labels.astype(np.int64), logits, probabilities)
        return Inputs(*(torch.from_numpy(array[:n_rows].copy()) for array in arrays))

    return {
        "digits64": inputs(rows, 1797),
        "relu256": inputs(lifted, 1797),
        "relu256_first200": inputs(lifted, 200),
    }


@pytest.fixture(scope="session")
def clusters() -> Callable[..., tuple[Tensor, Tensor]]:
    """Return a maker of float64 features (n_rows, width) in clusters away from 0, with labels of every class."""

    def make(
        n_rows: int, width: int, n_classes: int = 3, seed: int = 0, spread: float = 1.5, offset: float = 3.0
    ) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng(seed)
        labels = random.permutation(np.arange(n_rows) % n_classes)
        centres = random.normal(size=(n_classes, width))
        features = offset + centres[labels] + spread * random.normal(size=(n_rows, width))
        return torch.tensor(features), torch.tensor(labels)

    return make

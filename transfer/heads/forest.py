"""A random forest on frozen features, calibrated by the rows that each tree did not see.

Source: Breiman 2001, "Random forests", Machine Learning 45:5-32; out-of-bag shares are those of its section 3.1.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from transfer.backbones.heads import Forest, log_votes
from transfer.heads.counting import counting_of
from transfer.heads.fitted import Fitted
from transfer.heads.rows import class_shares, require_fittable
from transfer.metrics.temperature import calibrated
from transfer.records import ClassBalance

N_TREES = 300


def fit_forest(
    features: Tensor, labels: Tensor, n_classes: int, balance: ClassBalance | None = None, *, seed: int
) -> Fitted:
    """Fit a forest of fully grown trees, each to rows drawn with replacement.

    Args:
        features: float (N, D), N at least 2.
        labels: int64 (N,), in [0, n_classes).
        n_classes: at least 2.
        balance: what is done about unequal classes; nothing when None.
        seed: of the rows and features that trees draw.

    Raises:
        UserError: a class has no row, or a feature is not finite.
    """
    from sklearn.ensemble import RandomForestClassifier

    require_fittable(features, labels, n_classes)
    counting = counting_of(labels, n_classes, balance)
    model = RandomForestClassifier(N_TREES, oob_score=True, random_state=seed)
    weights = None if counting.fitting is None else counting.fitting.numpy()
    model.fit(features.float().numpy(), labels.numpy(), weights)
    prior = class_shares(labels, n_classes, counting.fitting)
    unseen = torch.from_numpy(model.oob_decision_function_)
    votes = max(1, round(N_TREES / np.e))  # so many trees of a forest did not see a row
    scores = log_votes(unseen, votes, prior.double())
    sharpness, _ = calibrated(scores, labels, weights=counting.judging, offset=counting.offset)
    numbers = {"sharpness": torch.tensor(sharpness), "offset": counting.moved(torch.zeros(n_classes))}
    head = Forest(**flattened(model.estimators_), prior=prior, **numbers)
    return Fitted(head, counting.moved(sharpness * scores), counting.told(sharpness))


def flattened(trees: list[Any]) -> dict[str, Tensor]:
    """Return trees of scikit-learn as the flat tensors of `transfer.backbones.heads.Forest`.

    Thresholds are rounded down to float32, in which features are compared: no feature lies between.

    Args:
        trees: fitted, with all classes in each.
    """
    parts = [tree.tree_ for tree in trees]
    roots = np.cumsum([0, *(part.node_count for part in parts)])[:-1]
    nodes = np.arange(sum(part.node_count for part in parts))
    below, above = (
        np.concatenate([getattr(part, side) + root for part, root in zip(parts, roots, strict=True)])
        for side in ("children_left", "children_right")
    )
    is_leaf = np.concatenate([part.children_left == -1 for part in parts])
    values = np.concatenate([part.value[:, 0, :] for part in parts])
    shares, leaf = np.unique(values[is_leaf] / values[is_leaf].sum(1, keepdims=True), axis=0, return_inverse=True)
    answers = np.zeros(len(nodes), dtype=np.int64)
    answers[is_leaf] = leaf.reshape(-1)
    feature = np.concatenate([part.feature for part in parts])
    threshold = np.concatenate([part.threshold for part in parts])
    return {
        "roots": torch.from_numpy(roots.astype(np.int64)),
        "feature": torch.from_numpy(np.where(is_leaf, 0, feature).astype(np.int64)),
        "threshold": torch.from_numpy(_rounded_down(np.where(is_leaf, 0.0, threshold))),
        "below": torch.from_numpy(np.where(is_leaf, nodes, below).astype(np.int64)),
        "above": torch.from_numpy(np.where(is_leaf, nodes, above).astype(np.int64)),
        "leaf": torch.from_numpy(answers),
        "shares": torch.from_numpy(shares.astype(np.float32)),
        "depth": torch.tensor(max(part.max_depth for part in parts)),
    }


def _rounded_down(values: Any) -> Any:
    near = values.astype(np.float32)
    return np.where(near.astype(np.float64) > values, np.nextafter(near, np.float32(-np.inf)), near)

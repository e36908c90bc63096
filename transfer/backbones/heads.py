"""Heads of classifiers: features in, logits out; every one is nothing but tensors, so that it is stored as such.

A linear head is `torch.nn.Linear`. The two others answer with logarithms of shares of votes, times an inverse
temperature; what they learned are constants, which no step of fine-tuning trains.

Source: Breiman 2001, "Random forests", Machine Learning 45:5-32; Wu et al. 2018, "Unsupervised feature learning via
non-parametric instance discrimination", arXiv:1805.01978, section 3.4.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from transfer.backbones.backbone import Classifier
from transfer.errors import UserError

PREFIX = "head."  # of a head's values in the state of a classifier
LINEAR, FOREST, NEIGHBOURS = "linear", "forest", "neighbours"


class _Votes(nn.Module):
    """Shares of votes turned into logits; what was learned are constants, named by the annotations of a subclass.

    Args:
        prior: float32 (C,), shares of the classes among the training rows.
        sharpness: float32 (), the inverse temperature.
        offset: float32 (C,), what is added to the logits, 0 where classes count as they are.
    """

    prior: Tensor
    sharpness: Tensor
    offset: Tensor

    def __init__(self, **values: Tensor) -> None:
        super().__init__()
        for name in self.names():
            self.register_buffer(name, values[name])

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the constants."""
        return (*cls.__annotations__, *_Votes.__annotations__)

    def probabilities(self, features: Tensor) -> Tensor:
        """Return each class's share of the votes, float32 (N, C), of features float32 (N, D)."""
        raise NotImplementedError

    def n_votes(self) -> int:
        """Return how many votes are cast."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, C)."""
        return self.offset + self.sharpness * log_votes(self.probabilities(features), self.n_votes(), self.prior)


class Forest(_Votes):
    """Decision trees side by side: each hands a row down to a leaf, and the shares of the leaves are averaged.

    Args:
        roots: int64 (T,), the first node of each tree.
        feature: int64 (M,), which feature a node asks for; of a leaf any.
        threshold: float32 (M,); a row goes on to `below` where its feature is at most that, else to `above`.
        below: int64 (M,), a node; a leaf names itself.
        above: int64 (M,), a node; a leaf names itself.
        leaf: int64 (M,), the row of `shares` that a leaf answers with; of other nodes any.
        shares: float32 (K, C), each row adds up to 1.
        depth: int64 (), how many nodes the longest way has below its root.
    """

    roots: Tensor
    feature: Tensor
    threshold: Tensor
    below: Tensor
    above: Tensor
    leaf: Tensor
    shares: Tensor
    depth: Tensor

    def probabilities(self, features: Tensor) -> Tensor:
        """Return the mean share of each class over the trees, float32 (N, C), of features float32 (N, D)."""
        node = self.roots.expand(len(features), -1)
        for _ in range(int(self.depth)):
            is_above = features.gather(1, self.feature[node]) > self.threshold[node]
            node = torch.where(is_above, self.above[node], self.below[node])
        return self.shares[self.leaf[node]].mean(1)

    def n_votes(self) -> int:
        """Return the number of trees."""
        return len(self.roots)


class Neighbours(_Votes):
    """The nearest training rows vote, each by its similarity.

    Args:
        centre: float32 (D,), the mean of the training features.
        rows: float32 (N, D), training features less the centre, each of length 1.
        labels: int64 (N,).
        weights: float32 (N,), what multiplies the vote of a row.
        k: int64 (), how many of them vote.
    """

    centre: Tensor
    rows: Tensor
    labels: Tensor
    weights: Tensor
    k: Tensor

    def probabilities(self, features: Tensor) -> Tensor:
        """Return each class's share of the votes, float32 (N, C), of features float32 (N, D)."""
        similarity, nearest = (unit_rows(features, self.centre) @ self.rows.T).topk(int(self.k), dim=1)
        return vote_shares(similarity, self.weights[nearest], self.labels[nearest], len(self.prior))

    def n_votes(self) -> int:
        """Return the number of neighbours."""
        return int(self.k)


_NAMES: Mapping[str, tuple[str, ...]] = {
    LINEAR: ("weight", "bias"),
    FOREST: Forest.names(),
    NEIGHBOURS: Neighbours.names(),
}
_KINDS: Mapping[type[nn.Module], str] = {nn.Linear: LINEAR, Forest: FOREST, Neighbours: NEIGHBOURS}
_SOFTNESS = 0.07  # of similarities, Wu et al. 2018


def unit_rows(features: Tensor, centre: Tensor) -> Tensor:
    """Return features (N, D) less a centre (D,), each row of length 1."""
    return functional.normalize(features - centre, dim=1)


def vote_shares(similarity: Tensor, weights: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Return the shares of the classes, (N, C), in votes of weight * exp(similarity / 0.07).

    Args:
        similarity: (N, k), cosines.
        weights: (N, k), of the rows that vote.
        labels: int64 (N, k), of the rows that vote.
        n_classes: C.
    """
    votes = weights.to(similarity) * (similarity / _SOFTNESS).softmax(1)
    votes = votes / votes.sum(1, keepdim=True)
    return votes.new_zeros(len(votes), n_classes).scatter_add_(1, labels, votes)


def log_votes(shares: Tensor, n_votes: int, prior: Tensor) -> Tensor:
    """Return logarithms of shares (N, C) as if one vote more had been cast, by class shares `prior` (C,)."""
    return ((n_votes * shares + prior) / (n_votes + 1)).log()


def linear_head(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a linear head of weight float32 (C, D) and bias float32 (C,)."""
    head = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return head


def kind_of(head: nn.Module) -> str:
    """Return what a card calls a head."""
    return _KINDS[type(head)]


def n_classes_of(head: nn.Module) -> int:
    """Return for how many classes a head has logits."""
    return len(head.bias if isinstance(head, nn.Linear) else head.prior)  # type: ignore[arg-type]  # all are tensors


def head_in(state: Mapping[str, Tensor]) -> nn.Module:
    """Build the head of a classifier from the state of all of it, whatever kind it is.

    Args:
        state: name -> value, those of the head as `head.<name>`.
    """
    values = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    return head_of(next((kind for kind, names in _NAMES.items() if set(values) == set(names)), LINEAR), values)


def take_head(classifier: Classifier, state: Mapping[str, Tensor]) -> None:
    """Give a classifier another head, of any kind and size.

    Args:
        classifier: changed in place, unless the state is empty.
        state: what `head_in` reads.
    """
    if state:
        classifier.head = head_in(state).train(classifier.training)


def head_of(kind: str, state: Mapping[str, Tensor]) -> nn.Module:
    """Build a head from what it stores.

    Args:
        kind: as a card calls it.
        state: name -> value.

    Raises:
        UserError: there is no such kind, or the values are not those of one.
    """
    if kind not in _NAMES:
        raise UserError(f"A model has a head of the kind {kind!r}, known are {', '.join(_NAMES)}; update the project.")
    if set(state) != set(_NAMES[kind]):
        raise UserError(
            f"A head of the kind {kind!r} holds {', '.join(_NAMES[kind])}, but the weights have "
            f"{', '.join(sorted(state)) or 'nothing'}; run `dvc checkout` or `dvc repro`."
        )
    if kind == LINEAR:
        return linear_head(state["weight"], state["bias"])
    return Forest(**state) if kind == FOREST else Neighbours(**state)

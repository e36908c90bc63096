"""Heads that are fitted to frozen features answer as scikit-learn does, in nothing but tensors."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as drawn
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from transfer.backbones.heads import Forest, head_in, head_of, kind_of, n_classes_of
from transfer.errors import UserError
from transfer.heads import neighbours
from transfer.heads.fits import HEADS, TRAINABLE, fit_of
from transfer.heads.forest import N_TREES, fit_forest
from transfer.heads.linear import Method, cross_validated
from transfer.heads.logistic import LOGISTIC
from transfer.heads.neighbours import fit_neighbours
from transfer.heads.rows import folds
from transfer.heads.svm import SVM
from transfer.records import ClassBalance

N_CLASSES = 3


def _clouds(seed: int, n_rows: int, n_classes: int = N_CLASSES, width: int = 6, gap: float = 1.5) -> tuple[Tensor, ...]:
    """Return overlapping clouds whose features have different scales and offsets, and others of the same kind."""
    draw = torch.Generator().manual_seed(seed)
    centres = gap * torch.randn((n_classes, width), generator=draw)
    parts = []
    for _ in range(2):
        labels = torch.arange(n_rows) % n_classes
        features = centres[labels] + torch.randn((n_rows, width), generator=draw)
        parts += [features * torch.logspace(-1, 1, width) + torch.linspace(-2, 2, width), labels]
    return tuple(parts)


def _shares(head: nn.Module, features: Tensor) -> Tensor:
    with torch.no_grad():
        shares: Tensor = head.double()(features.double()).softmax(1)
    return shares


@pytest.mark.parametrize(("n_classes", "width"), [(2, 6), (3, 6), (4, 50)], ids=["two", "three", "wide"])
def test_a_logistic_head_is_scikit_learns(n_classes: int, width: int) -> None:
    features, labels, unseen, _ = _clouds(0, 40, n_classes, width)
    fit = cross_validated(LOGISTIC, features, labels, n_classes, seed=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=fit.strength, tol=1e-10, max_iter=10_000))
    expected = model.fit(features.double().numpy(), labels.numpy()).predict_proba(unseen.double().numpy())
    plain = (unseen.double() @ fit.weight.T + fit.bias).softmax(1)
    np.testing.assert_allclose(plain.numpy(), expected, atol=5e-3)  # both stop short of the optimum
    tempered = (fit.sharpness * (unseen.double() @ fit.weight.T + fit.bias)).softmax(1)
    assert torch.allclose(_shares(fit.fitted().head, unseen), tempered, atol=1e-5)


@pytest.mark.parametrize(("n_classes", "width"), [(2, 6), (3, 6)])
def test_a_logistic_head_is_scikit_learns_to_the_last_digits(n_classes: int, width: int) -> None:
    features, labels, unseen, _ = _clouds(1, 60, n_classes, width)
    fit = cross_validated(LOGISTIC, features, labels, n_classes, seed=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=fit.strength, max_iter=1000))
    expected = model.fit(features.double().numpy(), labels.numpy()).predict_proba(unseen.double().numpy())
    plain = (unseen.double() @ fit.weight.T + fit.bias).softmax(1)
    np.testing.assert_allclose(plain.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("n_classes", "width"), [(2, 6), (3, 6)])
def test_a_support_vector_head_has_scikit_learns_scores(n_classes: int, width: int) -> None:
    features, labels, unseen, _ = _clouds(2, 60, n_classes, width)
    fit = cross_validated(SVM, features, labels, n_classes, seed=0)
    model = make_pipeline(StandardScaler(), LinearSVC(C=fit.strength, dual=False, tol=1e-2))
    expected = model.fit(features.double().numpy(), labels.numpy()).decision_function(unseen.double().numpy())
    scores = (unseen.double() @ fit.weight.T + fit.bias).numpy()
    found = scores[:, 1] - scores[:, 0] if n_classes == 2 else scores
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_penalty_is_the_best_of_all_however_often_the_loss_rises_and_falls() -> None:
    features, labels, *_ = _clouds(5, 100, 5, 30, gap=0.6)

    def unseen_nll(method: Method) -> float:
        fit = cross_validated(method, features, labels, 5, seed=0)
        return float(nn.functional.cross_entropy(fit.sharpness * fit.held_out, labels))

    alone = [unseen_nll(replace(LOGISTIC, strengths=(strength,))) for strength in LOGISTIC.strengths]
    rises = [later > earlier for earlier, later in itertools.pairwise(alone)]
    assert rises.index(True) < alone.index(min(alone))  # it does rise before its lowest point
    assert unseen_nll(LOGISTIC) == pytest.approx(min(alone), rel=1e-3)


@pytest.mark.parametrize("n_rows", [9, 60])
def test_a_forest_is_scikit_learns(n_rows: int) -> None:
    features, labels, unseen, _ = _clouds(3, n_rows)
    head = fit_forest(features, labels, N_CLASSES, seed=5).head
    model = RandomForestClassifier(N_TREES, random_state=5).fit(features.numpy(), labels.numpy())
    np.testing.assert_allclose(
        head.probabilities(unseen).numpy(), model.predict_proba(unseen.numpy()), atol=1e-6, rtol=0
    )


def test_a_row_on_a_threshold_goes_where_scikit_learn_sends_it() -> None:
    grid, labels = torch.arange(48).float().view(-1, 1) / 10, torch.arange(48) // 16
    head = fit_forest(grid, labels, N_CLASSES, seed=0).head
    model = RandomForestClassifier(N_TREES, random_state=0).fit(grid.numpy(), labels.numpy())
    thresholds = np.concatenate([tree.tree_.threshold for tree in model.estimators_]).astype(np.float32)
    near = np.concatenate(
        [thresholds, np.nextafter(thresholds, np.float32(9)), np.nextafter(thresholds, -np.float32(9))]
    )
    rows = torch.from_numpy(np.unique(near)).view(-1, 1)
    np.testing.assert_allclose(head.probabilities(rows).numpy(), model.predict_proba(rows.numpy()), atol=1e-6)


def test_neighbours_are_scikit_learns() -> None:
    features, labels, unseen, _ = _clouds(4, 60)
    head = fit_neighbours(features, labels, N_CLASSES).head
    centre = features.double().mean(0)
    model = KNeighborsClassifier(int(head.k), metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07))
    expected = model.fit((features - centre).numpy(), labels.numpy()).predict_proba((unseen - centre).numpy())
    exact = head.double()
    np.testing.assert_allclose(exact.probabilities(unseen.double()).numpy(), expected, atol=1e-6)


def test_neighbours_are_found_a_part_of_the_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels, *_ = _clouds(4, 60)
    whole = fit_neighbours(features, labels, N_CLASSES)
    monkeypatch.setattr(neighbours, "_AT_ONCE", 7)
    parts = fit_neighbours(features, labels, N_CLASSES)
    assert int(parts.head.k) == int(whole.head.k)  # type: ignore[call-overload]
    torch.testing.assert_close(parts.held_out, whole.held_out)


@pytest.mark.parametrize("name", HEADS)
def test_every_head_knows_how_sure_it_may_be(name: str) -> None:
    """A head is no worse than always giving the classes' shares, though the classes overlap."""
    features, labels, unseen, truth = _clouds(6, 90, gap=1.0)
    head = fit_of(name, 0)(features, labels, N_CLASSES).head
    with torch.no_grad():
        logits = head(unseen)
    assert logits.shape == (90, N_CLASSES)
    assert bool(torch.isfinite(logits).all())
    nll = float(nn.functional.cross_entropy(logits, truth))
    right = float((logits.argmax(1) == truth).float().mean())
    assert nll < np.log(N_CLASSES)
    assert right > 0.5
    confidence = float(logits.softmax(1).amax(1).mean())
    assert abs(confidence - right) < 0.15


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_its_tensors(name: str) -> None:
    features, labels, unseen, _ = _clouds(7, 30)
    head = fit_of(name, 0)(features, labels, N_CLASSES).head
    state = {key: value.clone() for key, value in head.state_dict().items()}
    again = head_of(kind_of(head), state)
    in_classifier = head_in({f"head.{key}": value for key, value in state.items()} | {"backbone.weight": labels})
    with torch.no_grad():
        assert torch.equal(again(unseen), head(unseen))
        assert torch.equal(in_classifier(unseen), head(unseen))
    assert n_classes_of(again) == N_CLASSES


@pytest.mark.parametrize("name", HEADS)
def test_the_same_rows_and_seed_give_the_same_bytes(name: str) -> None:
    features, labels, _, _ = _clouds(8, 30)
    first, second = (fit_of(name, 3)(features, labels, N_CLASSES).head.state_dict() for _ in range(2))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("n_rows", [2, 3])
def test_one_row_a_class_is_enough(name: str, n_rows: int) -> None:
    features = torch.eye(n_rows) + 0.1
    head = fit_of(name, 0)(features, torch.arange(n_rows), n_rows).head
    with torch.no_grad():
        assert bool(torch.isfinite(head(features)).all())


@pytest.mark.parametrize("name", HEADS)
def test_a_feature_that_never_changes_does_no_harm(name: str) -> None:
    features, labels, unseen, truth = _clouds(9, 60)
    wider, other = (torch.cat([rows, torch.full((60, 1), 7.0)], 1) for rows in (features, unseen))
    head = fit_of(name, 0)(wider, labels, N_CLASSES).head
    with torch.no_grad():
        assert float((head(other).argmax(1) == truth).float().mean()) > 0.6


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(
    ("features", "labels", "sentence"),
    [
        (torch.ones(4, 2), torch.tensor([0, 0, 2, 2]), r"Class 1 has no training row"),
        (torch.tensor([[1.0], [torch.inf], [1.0]]), torch.arange(3), r"not finite numbers"),
    ],
)
def test_rows_that_no_head_can_learn_from_are_refused(
    name: str, features: Tensor, labels: Tensor, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        fit_of(name, 0)(features, labels, N_CLASSES)


@pytest.mark.parametrize("name", HEADS)
def test_held_out_rows_are_predicted_as_unseen_ones_are(name: str) -> None:
    features, labels, unseen, truth = _clouds(11, 150, gap=0.7)
    fitted = fit_of(name, 0)(features, labels, N_CLASSES)
    with torch.no_grad():
        losses = [
            float(nn.functional.cross_entropy(*pair))
            for pair in ((fitted.held_out, labels), (fitted.head(unseen), truth))
        ]
        seen = float(nn.functional.cross_entropy(fitted.head(features), labels))
    assert fitted.held_out.shape == (150, N_CLASSES)
    assert abs(losses[0] - losses[1]) < 0.15
    assert seen < losses[0]


@pytest.mark.parametrize("remedy", ["weights", "sampling", "logits"])
@pytest.mark.parametrize("name", HEADS)
def test_unequal_classes_can_count_the_same(name: str, remedy: str) -> None:
    features, labels, unseen, truth = _clouds(13, 240, gap=0.8)
    kept = torch.cat([torch.nonzero(labels == label).flatten()[:n] for label, n in enumerate((80, 20, 10))])
    fit, counts = fit_of(name, 0), (80, 20, 10)
    losses = []
    for balance in (None, ClassBalance(counts, equally=True, remedy=remedy)):
        fitted = fit(features[kept], labels[kept], N_CLASSES, balance)
        with torch.no_grad():
            losses.append(float(nn.functional.cross_entropy(fitted.head(unseen), truth)))
        assert bool(torch.isfinite(fitted.held_out).all())
    assert losses[1] < losses[0]


@pytest.mark.parametrize("name", HEADS)
def test_where_nothing_is_done_classes_count_as_they_are(name: str) -> None:
    features, labels, unseen, _ = _clouds(14, 30)
    plain, counted = (
        fit_of(name, 0)(features, labels, N_CLASSES, balance) for balance in (None, ClassBalance((10, 10, 10)))
    )
    with torch.no_grad():
        assert torch.equal(plain.head(unseen), counted.head(unseen))


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_the_only_row_of_a_class_is_held_out_by_no_fold(name: str) -> None:
    features, labels, _, _ = _clouds(12, 31)
    labels[:] = labels % 2
    labels[-1] = 2
    held_out = fit_of(name, 0)(features, labels, N_CLASSES).held_out
    assert held_out[-1].tolist() == [0.0, 0.0, 0.0]
    assert bool((held_out[:-1].std(1) > 0).all())


@given(drawn.lists(drawn.integers(0, 4), min_size=1, max_size=40), drawn.integers(2, 6))
def test_folds_hold_out_every_row_once_and_leave_every_class(listed: list[int], n_folds: int) -> None:
    labels = torch.tensor(listed)
    made = folds(labels, n_folds, seed=0)
    held_out = sorted(int(row) for fold in made for row in fold)
    assert held_out == [row for row, label in enumerate(listed) if listed.count(label) > 1]
    for fold in made:
        others = [label for row, label in enumerate(listed) if row not in fold.tolist()]
        assert set(others) == set(listed)


@pytest.mark.parametrize("damage", ["kind", "values"])
def test_a_head_of_another_kind_is_refused(damage: str) -> None:
    state = nn.Linear(3, 2).state_dict()
    kind, sentence = (
        ("tree", r"kind 'tree', known are linear") if damage == "kind" else ("forest", r"holds roots, .*bias")
    )
    with pytest.raises(UserError, match=sentence):
        head_of(kind, state)


def test_steps_can_train_linear_heads_alone() -> None:
    features, labels, _, _ = _clouds(10, 30)
    make: Callable[[str], nn.Module] = lambda name: fit_of(name, 0)(features, labels, N_CLASSES).head  # noqa: E731
    assert {name for name in HEADS if isinstance(make(name), nn.Linear)} == set(TRAINABLE)
    assert not list(Forest(**make("forest").state_dict()).parameters())

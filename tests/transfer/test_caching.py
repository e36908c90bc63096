"""Values at a freeze boundary: when keeping them pays, what they are, and that training sees them mixed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.boundary import Boundary, cut
from transfer.data.batches import Augmentation, normalise
from transfer.data.examples import Examples
from transfer.finetuning.caching import forget, is_harmless, plan_cache, views_of
from transfer.finetuning.freezing import thaw
from transfer.finetuning.inputs import Pixels, Views

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
VARIED = Augmentation(min_area=0.5, flip_probability=0.5)


@pytest.fixture
def classifier(tiny_backbone: MakeBackbone) -> Classifier:
    made = Classifier(tiny_backbone(), 2)
    thaw(made, ("deep", "head"))
    torch.nn.init.constant_(made.head.weight, 0.1)
    made.head.weight.data[1] = -0.1
    return made


@pytest.fixture
def boundary(classifier: Classifier) -> Boundary:
    found = cut(classifier.backbone)
    assert found is not None
    return found


def pixels_of(classifier: Classifier, examples: Examples) -> Pixels:
    return Pixels(examples, classifier.backbone.preprocess, VARIED)


def test_the_plan_counts_operations_as_the_formula_does(boundary: Boundary) -> None:
    f, epochs = boundary.frozen_share, 10
    plan = plan_cache(boundary, n_train=100, n_val=20, n_epochs=epochs, max_bytes=10**9, varied=True)
    assert plan.n_views == 4
    assert plan.n_bytes == (4 * 100 + 20) * boundary.width * 2
    assert plan.speed_up_over_all == pytest.approx(3 * epochs / (4 * f + 3 * epochs * (1 - f)))
    assert plan.speed_up == pytest.approx((epochs * f + 3 * epochs * (1 - f)) / (4 * f + 3 * epochs * (1 - f)))
    head_only = plan_cache(replace(boundary, frozen_share=1.0), 100, 20, 30, 10**9, varied=False)
    assert head_only.speed_up_over_all == pytest.approx(90)  # 3E/V


@pytest.mark.parametrize(("rows_that_fit", "n_views"), [(420, 4), (419, 3), (120, 1), (119, 0)])
def test_fewer_views_are_kept_where_there_is_less_room(boundary: Boundary, rows_that_fit: int, n_views: int) -> None:
    plan = plan_cache(boundary, 100, 20, 10, rows_that_fit * boundary.width * 2, varied=True)
    assert plan.n_views == n_views
    assert (plan.n_bytes == 0) == (n_views == 0)


def test_a_single_pass_needs_no_cache(boundary: Boundary) -> None:
    assert plan_cache(boundary, 100, 20, 1, 10**9, varied=True).n_views == 0
    assert plan_cache(None, 100, 20, 10, 10**9, varied=True).n_views == 0


def test_the_first_view_is_the_image_as_it_is(
    classifier: Classifier, boundary: Boundary, striped: MakeExamples
) -> None:
    examples = striped(40, 0)
    views = views_of(boundary, pixels_of(classifier, examples), 3, 0, torch.float32)
    assert views.values.shape == (3, 40, boundary.width)
    with torch.no_grad():
        exact = boundary.prefix(normalise(examples.inputs, classifier.backbone.preprocess))
    torch.testing.assert_close(views.values[0], exact)
    assert all(not torch.equal(views.values[0], views.values[number]) for number in (1, 2))
    assert not torch.equal(views.values[1], views.values[2])


def test_a_view_depends_on_content_and_seed_alone(
    classifier: Classifier, boundary: Boundary, striped: MakeExamples
) -> None:
    examples = replace(striped(40, 0), keys=tuple(f"image {index}" for index in range(40)))
    part = Examples(examples.inputs[25:], examples.labels[25:], examples.keys[25:])
    whole, again, other = (
        views_of(boundary, pixels_of(classifier, one), 2, seed, torch.float16)
        for one, seed in ((examples, 0), (part, 0), (part, 1))
    )
    assert torch.equal(whole.values[:, 25:], again.values)
    assert torch.equal(again.values[0], other.values[0])
    assert not torch.equal(again.values[1], other.values[1])


def test_what_is_kept_is_named_by_everything_it_depends_on(
    classifier: Classifier, boundary: Boundary, striped: MakeExamples
) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []

    def keep(what: Mapping[str, Any], keys: Sequence[str], compute: Callable[[Sequence[int]], Iterable[Tensor]]) -> Any:
        asked.append((repr(sorted(what.items())), tuple(keys)))
        return forget(what, keys, compute)

    examples = striped(8, 0)
    views_of(boundary, pixels_of(classifier, examples), 2, 0, torch.float16, keep=keep)
    views_of(boundary, pixels_of(classifier, examples), 2, 1, torch.float16, keep=keep)
    views_of(boundary, pixels_of(classifier, examples), 1, 0, torch.float32, keep=keep)
    classifier.backbone.trunk.get_submodule("stem.0").weight.data.add_(0.1)  # type: ignore[union-attr, operator]
    views_of(boundary, pixels_of(classifier, examples), 1, 0, torch.float16, keep=keep)
    plain, varied, plain_again, varied_otherwise, longer, retrained = (what for what, _ in asked)
    assert plain == plain_again
    assert len({plain, varied, varied_otherwise, longer, retrained}) == 5
    assert {keys for _, keys in asked} == {examples.keys}


def test_every_pass_shows_every_row_in_another_view() -> None:
    values = torch.arange(3).view(3, 1, 1).expand(3, 10, 1).float()
    views = Views(values, torch.zeros(10, dtype=torch.int64))
    source = torch.Generator()
    seen = torch.cat([views.varied(torch.arange(10), epoch, source) for epoch in (1, 2, 3)], dim=1)
    assert all(sorted(row.tolist()) == [0, 1, 2] for row in seen)
    assert len(set(seen[:, 0].tolist())) == 3  # a batch mixes views
    assert torch.cat(list(views.plain())).unique().tolist() == [0]


def test_shorter_numbers_are_refused_where_they_would_matter(
    classifier: Classifier, boundary: Boundary, striped: MakeExamples
) -> None:
    images = normalise(striped(8, 0).inputs, classifier.backbone.preprocess)
    assert is_harmless(boundary, classifier.head, images, torch.float16)
    assert not is_harmless(boundary, classifier.head, images, torch.float8_e4m3fn)
    assert not is_harmless(boundary, classifier.head, images * 1e6, torch.float16)  # beyond its range
    assert not any(module.training for module in classifier.backbone.trunk.get_submodule("middle").modules())

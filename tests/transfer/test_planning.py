"""A plan says what every step does with every group, before anything is trained."""

from collections.abc import Callable

import pytest
import torch

from transfer.backbones.backbone import Backbone, Classifier
from transfer.data.batches import Augmentation
from transfer.finetuning.budget import Budget
from transfer.finetuning.plan import staged_plan
from transfer.finetuning.planning import plan_steps

MakeBackbone = Callable[[], Backbone]
BUDGET = Budget(max_images=400, epochs=10, batch_size=8, weight_decay=0.0, label_smoothing=0.0)


@pytest.mark.parametrize("adapts_norms", [False, True])
def test_every_group_of_every_step_is_told(tiny_backbone: MakeBackbone, adapts_norms: bool) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    steps = staged_plan(("stem", "middle", "deep"), 0.01, 0.001, 2.0, adapts_norms=adapts_norms)
    last, everything = plan_steps(classifier, steps, 40, 10, BUDGET, 10**9)
    trained = "trained" if adapts_norms else "frozen"
    assert [(group.name, group.rate, group.norms) for group in last.groups] == [
        ("stem", None, "frozen"),
        ("middle", None, "frozen"),
        ("deep", 0.001, trained),
        ("head", 0.01, "none"),
    ]
    assert [group.rate for group in everything.groups] == [0.00025, 0.0005, 0.001, 0.01]
    assert sum(group.n_parameters for group in last.groups) == sum(one.numel() for one in classifier.parameters())
    assert (last.n_images, last.n_epochs) == (400, 10)
    assert (last.cache.n_views, everything.cache.n_views) == (4, 0)
    assert not any(parameter.requires_grad for parameter in classifier.parameters())


def test_one_view_is_enough_where_images_are_not_varied(tiny_backbone: MakeBackbone) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    plain = Budget(400, 10, 8, 0.0, 0.0, augmentation=Augmentation(min_area=1.0))
    last, _ = plan_steps(classifier, staged_plan(("stem", "middle", "deep"), 0.01, 0.001, 2.0), 40, 10, plain, 10**9)
    assert last.cache.n_views == 1


def test_planning_changes_no_weight(tiny_backbone: MakeBackbone) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    plan_steps(classifier, staged_plan(("stem", "middle", "deep"), 0.01, 0.001, 2.0), 40, 10, BUDGET, 10**9)
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())

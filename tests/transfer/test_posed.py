"""What a step learns from: whole images, or what its frozen prefix makes of them."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from transfer.backbones.backbone import Backbone, Classifier
from transfer.data.batches import Augmentation
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget
from transfer.finetuning.engine import Engine
from transfer.finetuning.freezing import thaw
from transfer.finetuning.inputs import Pixels, Views
from transfer.finetuning.parallel import ALONE, Alone
from transfer.finetuning.plan import Step, staged_plan
from transfer.finetuning.planning import StepPlan, plan_steps
from transfer.finetuning.staged import Hooks, posed

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
BUDGET = Budget(max_images=80, epochs=4, batch_size=10, weight_decay=0.0, label_smoothing=0.0)
STEPS = staged_plan(("stem", "middle", "deep"), head_lr=0.02, backbone_lr=0.02, lr_decay=2.0)


@pytest.fixture
def target(striped: MakeExamples) -> Target:
    return Target(striped(40, 0), striped(20, 1), 2)


def planned(
    classifier: Classifier, target: Target, steps: tuple[Step, ...], budget: Budget = BUDGET, max_bytes: int = 10**9
) -> tuple[StepPlan, ...]:
    return plan_steps(classifier, steps, len(target.train), len(target.val), budget, max_bytes)


class _NextToOneThatIsHarmed(Alone):
    def worst(self, word: int) -> int:
        return 1


@pytest.mark.parametrize(("ranks", "dtype"), [(ALONE, torch.float16), (_NextToOneThatIsHarmed(), torch.float32)])
def test_all_processes_keep_values_of_one_type(
    tiny_backbone: MakeBackbone, target: Target, ranks: Alone, dtype: torch.dtype
) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    (plan,) = planned(classifier, target, STEPS[:1])
    thaw(classifier, plan.step.rates)
    problem = posed(classifier, target, plan, BUDGET, 0, Hooks(engine=Engine(ranks=ranks)))
    assert isinstance(problem.train, Views)
    assert problem.train.values.dtype == dtype


def test_kept_values_are_wide_where_those_of_a_later_class_are_too_large_for_half_precision(
    tiny_backbone: MakeBackbone, target: Target
) -> None:
    inputs = torch.zeros(40, 3, 8, 8, dtype=torch.uint8)
    inputs[36:] = 255
    sorted_rows = replace(target, train=Examples(inputs, torch.arange(40) // 36))
    backbone = tiny_backbone()
    with torch.no_grad():
        for name in ("stem.0", "middle.0"):  # black leaves zeros, white what no half can hold
            backbone.trunk.get_submodule(name).weight.fill_(100.0)
            backbone.trunk.get_submodule(name).bias.zero_()
    classifier = Classifier(backbone, 2)
    (plan,) = planned(classifier, sorted_rows, STEPS[:1])
    thaw(classifier, plan.step.rates)
    problem = posed(classifier, sorted_rows, plan, BUDGET, 0, Hooks())
    assert isinstance(problem.train, Views)
    assert problem.train.values.dtype == torch.float32
    assert float(problem.train.values[:, 36:].amax()) > torch.finfo(torch.float16).max
    assert float(problem.train.values[:, :36].amax()) == 0.0


def test_images_are_changed_trivially_only_where_every_layer_is_trained(
    tiny_backbone: MakeBackbone, target: Target
) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    budget = replace(BUDGET, augmentation=Augmentation(trivial=True))
    for max_bytes in (0, 10**9):
        last, everything = planned(classifier, target, STEPS, budget, max_bytes)
        problems = [posed(classifier, target, plan, budget, 0, Hooks()) for plan in (last, everything)]
        trivial = [isinstance(one.train, Pixels) and one.train.augmentation.trivial for one in problems]
        assert trivial == [False, True]

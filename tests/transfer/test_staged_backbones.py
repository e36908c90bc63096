"""The staged plan on real architectures: what is frozen stays byte-equal, norm statistics included; the rest moves."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget
from transfer.finetuning.plan import Step, staged_plan
from transfer.finetuning.planning import plan_steps
from transfer.finetuning.probing import probed
from transfer.finetuning.staged import run_steps
from transfer.finetuning.states import clone_state
from transfer.records import StepOutcome

Learn = Callable[..., Iterator[Any]]
REFERENCES = (
    "rootstock/strokes@none",
    "torchvision/mobilenet_v2?resize_px=32&crop_px=32@none",
    "torchvision/resnet18?resize_px=32&crop_px=32@none",
)
N_CLASSES = 2
BUDGET = Budget(max_images=12, epochs=5, batch_size=4, weight_decay=0.05, label_smoothing=0.1)


def shaded(n_examples: int) -> Examples:
    """Return dark and bright noise, a class each."""
    labels = torch.arange(n_examples) % N_CLASSES
    noise = torch.randint(0, 128, (n_examples, 3, 32, 32), generator=torch.Generator().manual_seed(n_examples))
    return Examples((noise + 120 * labels[:, None, None, None]).to(torch.uint8), labels)


def built(reference: str) -> Classifier:
    return Classifier(build_backbone(BackboneReference.parse(reference), None, seed=0), N_CLASSES)


def plan_of(classifier: Classifier, rate: float) -> tuple[Step, ...]:
    groups = [group.name for group in classifier.backbone.depth_groups]
    return staged_plan(groups, head_lr=rate, backbone_lr=rate, lr_decay=1.5, adapts_norms=True)


def frozen_names(classifier: Classifier, step: Step) -> set[str]:
    """Return the names in the state dict that belong to no group of the step."""
    trained = [group for group in classifier.backbone.depth_groups if group.name in step.rates]
    prefix = "backbone.trunk."
    return {
        name
        for name in classifier.state_dict()
        if name.startswith(prefix) and not any(group.holds(name.removeprefix(prefix)) for group in trained)
    }


def changed(before: Mapping[str, Tensor], classifier: Classifier) -> set[str]:
    return {name for name, value in classifier.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("place", [0, 1], ids=["last", "all"])
def test_a_step_moves_what_it_names_and_nothing_else(learn: Learn, reference: str, place: int) -> None:
    classifier = built(reference)
    step = plan_of(classifier, 1e-4)[place]
    before = clone_state(classifier)
    epochs = list(learn(classifier, shaded(8), shaded(6), step, BUDGET, 0))
    frozen = frozen_names(classifier, step)
    assert bool(frozen) == (step.name == "last")
    assert changed(before, classifier) == set(before) - frozen
    assert [epoch.images_seen for epoch in epochs] == [8, 12]
    assert not any(module.training for module in classifier.modules())


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_ruinous_step_is_undone_to_the_byte(reference: str) -> None:
    classifier, _ = probed(built(reference).backbone, Target(shaded(8), shaded(6), N_CLASSES))
    before = clone_state(classifier)
    mislabelled = Examples(shaded(8).inputs, 1 - shaded(8).labels)
    steps = (Step("last", {classifier.backbone.depth_groups[-1].name: 0.01, "head": 0.01}),)
    plans = plan_steps(classifier, steps, 8, 6, BUDGET, max_bytes=1_000_000)
    events = run_steps(classifier, Target(mislabelled, shaded(6), N_CLASSES), plans, BUDGET, 0)
    outcomes = [event for event in events if isinstance(event, StepOutcome)]
    assert [outcome.kept for outcome in outcomes] == [False]
    assert changed(before, classifier) == set()


@pytest.mark.parametrize("reference", REFERENCES[:2])
def test_the_seed_fixes_every_byte(learn: Learn, reference: str) -> None:
    states = []
    for seed in (0, 0, 1):
        classifier = built(reference)
        for step in plan_of(classifier, 1e-4):
            list(learn(classifier, shaded(8), shaded(6), step, BUDGET, seed))
        states.append(clone_state(classifier))
        torch.rand(seed + 3)  # the global state is nobody's business
    first, again, other = states
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)

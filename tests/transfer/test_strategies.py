"""Strategies are lists of steps; a step that trains a part of a group leaves the rest of it byte-equal."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.data.examples import Examples, Target
from transfer.errors import UserError
from transfer.finetuning.budget import Budget
from transfer.finetuning.freezing import BIASES, EVERYTHING, SCALES, parameter_groups, thaw
from transfer.finetuning.plan import Step
from transfer.finetuning.planning import plan_steps
from transfer.finetuning.probing import probed
from transfer.finetuning.staged import run_steps
from transfer.finetuning.states import clone_state, trained_state
from transfer.finetuning.strategies import NAMES, Rates, is_from_scratch, keeps_trunk, steps_of
from transfer.heads.fits import fit_of
from transfer.records import StepOutcome

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
Learn = Callable[..., Iterator[Any]]
RATES = Rates(head=0.01, backbone=0.004, decay=2.0, scratch=0.02)
BUDGET = Budget(max_images=24, epochs=2, batch_size=6, weight_decay=0.1, label_smoothing=0.1)


def _steps(strategy: str, backbone: Backbone, *, adapts_norms: bool = False) -> tuple[Step, ...]:
    return steps_of(strategy, backbone, RATES, adapts_norms=adapts_norms)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("staged", {"last": ["deep"], "all": ["stem", "middle", "deep"]}),
        ("features", {}),
        ("last-1", {"last-1": ["deep"]}),
        ("last-2", {"last-2": ["middle", "deep"]}),
        ("last-3", {"all": ["stem", "middle", "deep"]}),
        ("gradual", {"last-1": ["deep"], "last-2": ["middle", "deep"], "all": ["stem", "middle", "deep"]}),
        ("full", {"all": ["stem", "middle", "deep"]}),
        ("norm-only", {"norm-only": ["stem", "middle", "deep"]}),
        ("bias-only", {"bias-only": ["stem", "middle", "deep"]}),
        ("scratch", {"scratch": ["stem", "middle", "deep"]}),
    ],
)
def test_each_step_trains_its_groups_and_the_head(
    tiny_backbone: MakeBackbone, strategy: str, expected: dict[str, list[str]]
) -> None:
    steps = _steps(strategy, tiny_backbone())
    assert {step.name: list(step.rates) for step in steps} == {
        name: [*groups, "head"] for name, groups in expected.items()
    }
    assert all(step.adapts_norms == (strategy == "scratch") for step in steps)


def test_rates_fall_with_depth_and_are_larger_where_few_weights_are_trained(tiny_backbone: MakeBackbone) -> None:
    backbone = tiny_backbone()
    deepest = {"middle": 0.002, "deep": 0.004, "head": 0.01}
    assert dict(_steps("last-2", backbone)[0].rates) == pytest.approx(deepest)
    assert dict(_steps("full", backbone)[0].rates) == pytest.approx({"stem": 0.001, **deepest})
    few = {"stem": 0.01, "middle": 0.02, "deep": 0.04, "head": 0.01}
    assert dict(_steps("bias-only", backbone)[0].rates) == pytest.approx(few)
    assert set(_steps("scratch", backbone)[0].rates.values()) == {0.02}


@pytest.mark.parametrize("strategy", ["full", "norm-only", "gradual"])
def test_norm_statistics_are_adapted_where_they_are_asked_to_be(tiny_backbone: MakeBackbone, strategy: str) -> None:
    assert all(step.adapts_norms for step in _steps(strategy, tiny_backbone(), adapts_norms=True))


def test_more_groups_than_there_are_are_refused(tiny_backbone: MakeBackbone) -> None:
    with pytest.raises(
        UserError, match=r"finetune\.strategy is 'last-9', but test/tiny has 3 depth groups; make it at most last-3\.$"
    ):
        _steps("last-9", tiny_backbone())


def test_a_network_without_norms_is_refused() -> None:
    backbone = build_backbone(BackboneReference.parse("torchvision/squeezenet1_1?crop_px=64@none"), None, seed=0)
    with pytest.raises(
        UserError, match=r"'norm-only', but torchvision/squeezenet1_1.* has no norm scales and shifts; "
    ):
        _steps("norm-only", backbone)
    assert len(_steps("bias-only", backbone)[0].rates) > 1


@pytest.mark.parametrize("arch", ["mobilenet_v2", "resnet18", "vit_b_32", "swin_t", "convnext_tiny", "densenet121"])
def test_parts_are_found_in_every_kind_of_network(arch: str) -> None:
    from transfer.backbones.depth_groups import depth_groups
    from transfer.backbones.torchvision_models import build_trunk, keywords_of, preprocess_of

    preprocess = preprocess_of(arch, None)
    trunk, feature_dim, _ = build_trunk(arch, keywords_of(arch, {}, preprocess.crop_px), seed=0, empty=True)
    classifier = Classifier(Backbone(arch, trunk, feature_dim, depth_groups(trunk), preprocess), 2)
    groups = [group.name for group in classifier.backbone.depth_groups]
    norms = (nn.BatchNorm2d, nn.LayerNorm)
    for trains in (SCALES, BIASES):
        thaw(classifier, groups, trains=trains)
        found = {name for name, value in trunk.named_parameters() if value.requires_grad}
        names = [
            f"{name}.{part}"
            for name, module in trunk.named_modules()
            if isinstance(module, norms)
            for part in ("weight", "bias")
        ]
        biases = {name for name, _ in trunk.named_parameters() if name.rpartition(".")[2] in {"bias", "in_proj_bias"}}
        assert found == (set(names) if trains == SCALES else biases)


@pytest.mark.parametrize("trains", [EVERYTHING, SCALES, BIASES])
def test_what_a_step_does_not_train_stays_byte_equal(
    learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples, trains: str
) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    nn.init.constant_(classifier.head.weight, 0.1)
    classifier.head.weight.data[1] = -0.1
    before = clone_state(classifier)
    step = Step("step", {"middle": 0.01, "deep": 0.01, "head": 0.01}, trains=trains)
    list(learn(classifier, striped(12, 0), striped(6, 1), step, BUDGET, 0))
    changed = {name for name, value in classifier.state_dict().items() if not torch.equal(value, before[name])}
    parts = {
        EVERYTHING: ("0.weight", "0.bias", "1.weight", "1.bias"),
        SCALES: ("1.weight", "1.bias"),
        BIASES: ("0.bias", "1.bias"),
    }[trains]
    trunk = {f"backbone.trunk.{group}.{part}" for group in ("middle", "deep") for part in parts}
    touched = trunk | {"head.weight", "head.bias"}
    without_effect = {f"backbone.trunk.{group}.0.bias" for group in ("middle", "deep")}  # a norm takes its mean away
    assert changed <= touched
    assert touched - changed <= without_effect


@pytest.mark.parametrize("trains", [SCALES, BIASES])
def test_optimiser_and_checkpoints_hold_what_is_trained(tiny_backbone: MakeBackbone, trains: str) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    rates = {"middle": 0.1, "head": 0.2}
    thaw(classifier, rates, trains=trains)
    learning = {id(value) for value in classifier.parameters() if value.requires_grad}
    listed = [one for group in parameter_groups(classifier, rates, 0.1, trains) for one in group["params"]]  # type: ignore[attr-defined]
    assert {id(one) for one in listed} == learning
    assert {id(value) for value in trained_state(classifier).values()} >= learning
    assert "backbone.trunk.middle.0.weight" not in trained_state(classifier)


def test_a_plan_counts_what_is_trained(tiny_backbone: MakeBackbone) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    steps = [step for name in ("last-1", "norm-only", "bias-only") for step in _steps(name, classifier.backbone)]
    last, norms, biases = plan_steps(classifier, steps, 40, 10, replace(BUDGET, max_images=200, epochs=5), 10**9)
    width, deep = 6, 6 * 6 * 9 + 6 + 12
    assert [group.n_trained for group in last.groups] == [0, 0, deep, 14]
    assert [group.n_trained for group in norms.groups] == [2 * width, 2 * width, 2 * width, 14]
    assert [group.n_trained for group in biases.groups] == [2 * width, 2 * width, 2 * width, 14]
    assert [group.n_parameters for group in norms.groups] == [6 * 3 * 9 + 18, deep, deep, 14]
    assert last.cache.n_views
    assert not norms.cache.n_views
    assert norms.cache.speed_up_over_all == biases.cache.speed_up_over_all == 1.5  # no kernel needs a gradient


@pytest.mark.parametrize("strategy", [*NAMES, "last-2"])
@pytest.mark.parametrize("head", ["ridge", "logistic"])
def test_a_step_that_does_not_help_is_undone_whatever_the_strategy(
    tiny_backbone: MakeBackbone, striped: MakeExamples, strategy: str, head: str
) -> None:
    backbone, train_set = tiny_backbone(), striped(24, 0)
    target = Target(train_set, striped(12, 1), 2)
    if is_from_scratch(strategy):
        classifier = Classifier(backbone, 2).eval()
    else:
        classifier, _ = probed(backbone, target, fit=fit_of(head, 0))
    before = clone_state(classifier)
    wrong = Target(Examples(train_set.inputs, 1 - train_set.labels), target.val, 2)
    steps = _steps(strategy, backbone)
    assert bool(steps) != keeps_trunk(strategy)
    plans = plan_steps(classifier, steps, 24, 12, BUDGET, 10**9)
    outcomes = [event for event in run_steps(classifier, wrong, plans, BUDGET, 0) if isinstance(event, StepOutcome)]
    assert [outcome.name for outcome in outcomes] == [step.name for step in steps]
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, before[name]) or any(outcome.kept for outcome in outcomes)

"""What a step does not name stays as it is, byte for byte: weights, norm statistics and their counters."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Backbone, Classifier
from transfer.data.examples import Examples
from transfer.errors import UserError
from transfer.finetuning.budget import Budget
from transfer.finetuning.freezing import group_names, parameter_groups, parameters_of, thaw
from transfer.finetuning.plan import Step
from transfer.finetuning.states import clone_state

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
Learn = Callable[..., Iterator[Any]]
GROUPS = ("stem", "middle", "deep", "head")
BUDGET = Budget(max_images=24, epochs=2, batch_size=6, weight_decay=0.1, label_smoothing=0.1)


def _group_of(name: str) -> str:
    return "head" if name.startswith("head.") else name.split(".")[2]


def _bytes_of(value: Tensor) -> bytes:
    return value.numpy().tobytes()


def _trained(
    learn: Learn, classifier: Classifier, striped: MakeExamples, groups: tuple[str, ...], *, adapts_norms: bool
) -> None:
    step = Step("step", dict.fromkeys(groups, 0.01), adapts_norms)
    for _ in learn(classifier, striped(12, 0), striped(6, 1), step, BUDGET, 0):
        pass


@pytest.mark.parametrize("adapts_norms", [False, True], ids=["fixed norms", "adapting norms"])
@pytest.mark.parametrize("groups", [pick for n in (1, 2, 4) for pick in itertools.combinations(GROUPS, n)])
def test_only_the_named_groups_change(
    learn: Learn, tiny_backbone: MakeBackbone, striped: MakeExamples, groups: tuple[str, ...], adapts_norms: bool
) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    nn.init.constant_(classifier.head.weight, 0.1)
    classifier.head.weight.data[1] = -0.1
    before = {name: _bytes_of(value) for name, value in clone_state(classifier).items()}
    _trained(learn, classifier, striped, groups, adapts_norms=adapts_norms)
    after = {name: _bytes_of(value) for name, value in clone_state(classifier).items()}
    changed = {_group_of(name) for name in before if after[name] != before[name]}
    assert changed == set(groups)
    statistics = {name for name, _ in classifier.named_buffers() if after[name] != before[name]}
    assert {_group_of(name) for name in statistics} == (set(groups) - {"head"} if adapts_norms else set())


def test_frozen_groups_get_no_gradient_and_stay_in_evaluation_mode(tiny_backbone: MakeBackbone) -> None:
    classifier = Classifier(tiny_backbone(), 2).train()
    thaw(classifier, ("deep", "head"), adapts_norms=True)
    for name, module in classifier.backbone.trunk.named_modules():
        assert module.training == name.startswith("deep")
    for name in group_names(classifier):
        expected = name in {"deep", "head"}
        assert all(parameter.requires_grad == expected for parameter in parameters_of(classifier, name))


def test_the_frozen_prefix_records_no_graph(tiny_backbone: MakeBackbone) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    thaw(classifier, ("deep", "head"))
    trunk = classifier.backbone.trunk
    middle = trunk.get_submodule("middle")(trunk.get_submodule("stem")(torch.rand(2, 3, 8, 8)))
    assert middle.grad_fn is None
    assert trunk.get_submodule("deep")(middle).grad_fn is not None


def test_an_unknown_group_is_refused(tiny_backbone: MakeBackbone) -> None:
    with pytest.raises(UserError, match=r"no depth group 'tail'; this backbone has stem, middle, deep, head"):
        thaw(Classifier(tiny_backbone(), 2), ("tail",))


def test_biases_and_norms_are_not_decayed(tiny_backbone: MakeBackbone) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    rates = {"stem": 0.1, "head": 0.2}
    found = [
        (parameter, group["lr"], group["weight_decay"])
        for group in parameter_groups(classifier, rates, 0.05)
        for parameter in group["params"]  # type: ignore[attr-defined]  # what torch types as a plain dict
    ]
    wanted = [parameter for name in rates for parameter in parameters_of(classifier, name)]
    assert {id(parameter) for parameter, _, _ in found} == {id(parameter) for parameter in wanted}
    assert all(decay == (0.05 if parameter.ndim > 1 else 0.0) for parameter, _, decay in found)
    assert all(rate == 0.2 for parameter, rate, _ in found if parameter.shape[0] == 2)

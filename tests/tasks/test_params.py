"""The parameter file: its defaults, and one sentence for everything it may not say."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters import params_file
from tasks.params import Params, check_params, declared_fields, flatten, read_params, require_consistent
from transfer.errors import UserError
from transfer.finetuning.strategies import NAMES
from transfer.heads.fits import HEADS, TRAINABLE


def test_defaults_are_what_the_shipped_file_says(root: Path) -> None:
    assert read_params(root / "params.yaml") == Params()


def test_shipped_file_names_every_parameter(root: Path) -> None:
    content = params_file.read(root / "params.yaml")
    named = {f"{block}.{key}" for block, fields in content.items() for key in fields}
    assert named == set(declared_fields()) == set(flatten(Params()))


def test_deployment_names_every_parameter_but_those_of_the_data_set(root: Path) -> None:
    (deployment,) = yaml.safe_load((root / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    expected = flatten(Params())
    assert deployment["parameters"]["data_path"] == expected.pop("data.path")
    assert deployment["parameters"]["settings"] == {
        key: value for key, value in expected.items() if not key.startswith("data.")
    }


def test_deployment_runs_one_at_a_time_every_night(root: Path) -> None:
    (deployment,) = yaml.safe_load((root / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    assert [schedule["cron"].split()[2:] for schedule in deployment["schedules"]] == [["*", "*", "*"]]


def test_flattened_values_are_the_files_own(root: Path) -> None:
    content = params_file.read(root / "params.yaml")
    for key, value in flatten(read_params(root / "params.yaml")).items():
        block, name = key.split(".")
        assert content[block][name] == value
        assert type(content[block][name]) is type(value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"finetune": {"epoch": 3}}, ["'finetune.epoch'", "did you mean finetune.epochs"]),
        ({"finetun": {"epochs": 3}}, ["'finetun'"]),
        ({"finetune": {"epochs": "ten"}}, ["finetune.epochs is 'ten'", "an integer of at least 1", "change it"]),
        ({"finetune": {"epochs": 0}}, ["finetune.epochs is 0", "of at least 1"]),
        ({"finetune": {"epochs": True}}, ["finetune.epochs is True", "an integer"]),
        ({"finetune": {"epochs": None}}, ["finetune.epochs is empty", "an integer"]),
        ({"finetune": {"head_lr": 2}}, ["finetune.head_lr is 2", "above 0 and of at most 1"]),
        ({"finetune": {"head_lr": float("nan")}}, ["finetune.head_lr is nan"]),
        (
            {"finetune": {"imbalance": "smote"}},
            ["finetune.imbalance is 'smote'", "auto, none, weights, sampling or logits"],
        ),
        ({"evaluate": {"on_negative": "climb"}}, ["evaluate.on_negative is 'climb'", "warn, stop or mitigate"]),
        ({"register": {"approval": "yes"}}, ["register.approval is 'yes'", "none or required"]),
        ({"finetune": {"l2_sp": "off"}}, ["finetune.l2_sp is 'off'", "auto"]),
        ({"finetune": {"norms": "own"}}, ["finetune.norms is 'own'", "that is auto, frozen, reestimated or trained"]),
        (
            {"finetune": {"strategy": "last-0"}},
            ["finetune.strategy is 'last-0'", "last-<number of", "norm-only", "change"],
        ),
        (
            {"finetune": {"head": "tree"}},
            ["finetune.head is 'tree'", "ridge, logistic, svm, forest or knn", "change it"],
        ),
        ({"select": {"candidates": []}}, ["select.candidates is []", "one or more"]),
        ({"select": {"candidates": ["a", "a"]}}, ["select.candidates", "different"]),
        ({"select": {"candidates": [1]}}, ["select.candidates[0] is 1"]),
        ({"select": {"candidates": "a"}}, ["select.candidates is 'a'", "a list"]),
        ({"select": {"weights_sha256": {"a.pth": "x"}}}, ["select.weights_sha256[a.pth] is 'x'", "64 hexadecimal"]),
        ({"select": None}, ["'select' is empty", "a block of keys"]),
        (
            {"register": {"promote": "best"}},
            ["register.promote is 'best'", "that is superior, non-inferior or by-hand"],
        ),
        ({"register": {"model_name": "a/b"}}, ["register.model_name is 'a/b'", "without /", "or null"]),
        ({"register": {"model_name": "a@b"}}, ["register.model_name is 'a@b'", "without / : % . @ or ?"]),
        ({"data": {"path": ""}}, ["data.path is ''", "not empty"]),
    ],
)
def test_refused_values_are_named_with_what_is_allowed(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        check_params(values)
    sentence = str(caught.value)
    assert sentence.startswith("params.yaml: ")
    assert "\n" not in sentence
    assert [word for word in words if word not in sentence] == []


def test_heads_and_strategies_are_those_that_there_are() -> None:
    for strategy in (*NAMES, "last-1", "last-12"):
        assert check_params({"finetune": {"strategy": strategy}}).finetune.strategy == strategy
    for head in HEADS:
        assert check_params({"finetune": {"head": head}}).finetune.head == head


@pytest.mark.parametrize("head", HEADS)
def test_a_head_that_no_step_can_train_goes_with_a_frozen_trunk(head: str) -> None:
    require_consistent(check_params({"finetune": {"head": head, "strategy": "features"}}))
    together = check_params({"finetune": {"head": head, "strategy": "gradual"}})
    sentence = rf"finetune\.head is '{head}', .* is 'gradual'; make the strategy features, or"
    with nullcontext() if head in TRAINABLE else pytest.raises(UserError, match=sentence):
        require_consistent(together)


def test_singular_values_are_not_shared_by_processes() -> None:
    require_consistent(check_params({"finetune": {"bss": 0.001}}))
    together = check_params({"finetune": {"bss": 0.001, "processes": 2}})
    with pytest.raises(
        UserError, match=r"finetune\.bss is 0\.001 and finetune\.processes 2, .* set bss=0 or processes=1"
    ):
        require_consistent(together)


def test_integer_is_taken_for_a_number() -> None:
    assert check_params({"finetune": {"head_lr": 1}}).finetune.head_lr == 1.0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"data: [", "not valid YAML"),
        (b"data:\n  path: a\n  path: b\n", "not valid YAML"),
        (b"- a\n", "must hold blocks of keys"),
        (b"data:\n  path: \xff\xfe\n", "not UTF-8"),
    ],
)
def test_unreadable_file_is_explained(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        read_params(path)
    assert "\n" not in str(caught.value)


def test_missing_file_says_how_to_get_it_back(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="git checkout"):
        read_params(tmp_path / "params.yaml")

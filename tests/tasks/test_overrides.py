"""Overrides: read by the declared type, all checked first, then written in place."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.overrides import check_values, parse_overrides, planned_changes, split_list, write_overrides
from tasks.params import read_params
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError


def parsed(project: Path, *texts: str) -> dict[str, Any]:
    return parse_overrides(texts, project, project)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("data.path=a=b?c&d@e#f", "a=b?c&d@e#f"),
        ("data.path=null", "null"),
        ("data.path=[x, y]", "[x, y]"),
        ("finetune.epochs=5", 5),
        ("finetune.head_lr=1e-4", 1e-4),
        ("finetune.head_lr=1", 1.0),
        ("finetune.head_lr=auto", "auto"),
        ("finetune.batch_size= Auto", "auto"),
        ("finetune.batch_size=16", 16),
        ("register.model_name=null", None),
        ("register.model_name=None", None),
        ("register.model_name=", None),
        ("register.model_name=my model", "my model"),
        ("select.candidates=rootstock/a", ["rootstock/a"]),
        ("select.candidates=rootstock/a,rootstock/b", ["rootstock/a", "rootstock/b"]),
        ("select.candidates=[rootstock/a, rootstock/b]", ["rootstock/a", "rootstock/b"]),
        ("select.candidates=['rootstock/a,b', \"rootstock/c d\"]", ["rootstock/a,b", "rootstock/c d"]),
        (
            "select.candidates=torchvision/mobilenet_v2?width_mult=0.35@none",
            ["torchvision/mobilenet_v2?width_mult=0.35@none"],
        ),
        ("select.candidates=rootstock/it's", ["rootstock/it's"]),
    ],
)
def test_values_are_read_by_the_declared_type(project: Path, text: str, value: Any) -> None:
    (read,) = parsed(project, text).values()
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["finetune.epochs"], "has no '='"),
        (["=5"], "no parameter ''"),
        (["finetune.epoch=5"], "did you mean finetune.epochs?"),
        (["+finetune.epochs=5"], "did you mean finetune.epochs?"),
        (["epochs=5"], "did you mean finetune.epochs?"),
        (["finetune.epochs=5", "finetune.epochs=6"], "given twice"),
        (["finetune.epochs=5.0"], "is '5.0', but must be an integer of at least 1"),
        (["finetune.epochs=0"], "is 0, but must be an integer of at least 1"),
        (["finetune.head_lr=fast"], "is 'fast', but must be a number above 0"),
        (["finetune.head_lr=inf"], "is inf, but must be a number above 0"),
        (["select.candidates="], "one or more"),
        (["select.candidates=[]"], "one or more"),
        (["select.candidates=a,,b"], "an item is empty"),
        (["select.candidates=['a]"], "is not closed"),
        (["select.candidates='a'b"], "follows a closing quote"),
        (["select.candidates=a,a"], "different"),
        (["select.candidates=resnet18"], "'resnet18' is not a backbone reference"),
        (["select.candidates=tim/resnet18"], "did you mean timm?"),
        (["select.weights_sha256={}"], "kept by `rootstock run` itself"),
        (["data.path="], "not empty"),
        (["validate.severities={sharp: fatal}"], "validate.severities"),
        (["validate.severities={sharp}"], "'sharp' has no value"),
        (["validate.severities.sharp=error"], "did you mean validate.severities?"),
    ],
)
def test_refused_overrides_are_explained_in_a_sentence(project: Path, texts: list[str], words: str) -> None:
    with pytest.raises(UserError) as caught:
        parsed(project, *texts)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mapping_is_read_as_yaml_writes_it(project: Path) -> None:
    for text in ("{sharp: error, upright: ignore}", "sharp:error,upright:ignore"):
        assert parsed(project, f"validate.severities={text}") == {
            "validate.severities": {"sharp": "error", "upright": "ignore"}
        }
    assert parsed(project, "validate.severities={}") == {"validate.severities": {}}


@given(st.lists(st.text(alphabet="ab /@?=.,#&[]", min_size=1).filter(str.strip), min_size=1))
def test_quoted_items_come_back_as_they_were(items: list[str]) -> None:
    assert split_list("[" + ",".join(f'"{item}"' for item in items) + "]") == items


@given(st.lists(st.text(alphabet="ab/@?=.'#&", min_size=1).filter(lambda item: item[0] != "'"), min_size=1))
def test_plain_items_need_no_quotes(items: list[str]) -> None:
    assert split_list(",".join(items)) == items


def test_paths_typed_in_a_folder_of_the_project_are_stored_from_its_root(project: Path) -> None:
    here = project / "sub"
    (here / "photos").mkdir(parents=True)
    (here / "w.pth").write_bytes(b"w")
    values = parse_overrides(
        ["data.path=photos", "select.candidates=torchvision/a@w.pth,torchvision/b@none"], project, here
    )
    assert values == {"data.path": "sub/photos", "select.candidates": ["torchvision/a@sub/w.pth", "torchvision/b@none"]}
    assert parse_overrides(["data.path=data/digits"], project, here) == {"data.path": "data/digits"}
    assert parse_overrides([f"data.path={here}/photos"], project, here) == {"data.path": f"{here}/photos"}


def test_folder_outside_the_project_is_stored_relative_to_the_root(project: Path) -> None:
    (project.parent / "photos").mkdir()
    (project / "sub").mkdir()
    assert parse_overrides(["data.path=../../photos"], project, project / "sub") == {"data.path": "../photos"}


def test_valid_overrides_are_written_and_others_are_not(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(UserError):
        write_overrides(project, {"finetune.epochs": 3, "finetune.seed": -1})
    assert (project / "params.yaml").read_bytes() == before
    assert planned_changes(project, {"finetune.epochs": 3, "finetune.seed": 0}) == {"finetune.epochs": 3}
    assert (project / "params.yaml").read_bytes() == before
    assert write_overrides(project, {"finetune.epochs": 3, "finetune.seed": 0}) == {"finetune.epochs": 3}
    assert read_params().finetune.epochs == 3
    assert write_overrides(project, {"finetune.epochs": 3}) == {}


def test_values_of_a_deployment_are_checked_like_typed_ones() -> None:
    assert check_values({"select.candidates": ["a"], "finetune.head_lr": 1}) == {
        "select.candidates": ["a"],
        "finetune.head_lr": 1.0,
    }
    with pytest.raises(UserError, match="must be an integer"):
        check_values({"finetune.epochs": "5"})
    with pytest.raises(UserError, match="no parameter"):
        check_values({"finetune": {"epochs": 5}})


def strokes_weights(file: Path, seed: int = 0) -> str:
    """Write weights that fit the shipped backbone; return their sha256."""
    reference = BackboneReference.parse("rootstock/strokes@none")
    torch.save(build_backbone(reference, None, seed=seed).trunk.state_dict(), file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_local_weights_are_recorded_and_a_changed_file_is_refused(project: Path) -> None:
    file = project / "w.pth"
    first = strokes_weights(file)
    named = {"select.candidates": ["rootstock/strokes@w.pth", "torchvision/resnet18@IMAGENET1K_V1"]}
    write_overrides(project, named)
    assert read_params().select.weights_sha256 == {"w.pth": first}
    second = strokes_weights(file, seed=1)
    with pytest.raises(UserError, match=r"w\.pth is not the weights file that was recorded"):
        write_overrides(project, {})
    write_overrides(project, named)
    assert read_params().select.weights_sha256 == {"w.pth": second} != {"w.pth": first}
    write_overrides(project, {"select.candidates": ["rootstock/strokes"]})
    assert read_params().select.weights_sha256 == {}


def named_by_hand(project: Path, candidate: str) -> None:
    path = project / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert "- rootstock/strokes\n" in text
    path.write_text(text.replace("- rootstock/strokes\n", f"- {candidate}\n"), encoding="utf-8")


def test_file_named_by_hand_gets_its_record_on_the_next_run(project: Path) -> None:
    digest = strokes_weights(project / "w.pth")
    named_by_hand(project, "rootstock/strokes@w.pth")
    assert list(write_overrides(project, {})) == ["select.weights_sha256"]
    assert read_params().select.weights_sha256 == {"w.pth": digest}


UNFIT = [
    ("torchvision/resnet17", "torchvision has no classification architecture 'resnet17'"),
    ("torchvision/resnet17@none", "torchvision has no classification architecture 'resnet17'"),
    ("torchvision/mobilenet_v2?width_mlt=0.35@none", "no option 'width_mlt'; its options are"),
    ("torchvision/mobilenet_v2?width_mult=0.35", "holds weights of another architecture"),
    ("torchvision/resnet18@IMAGENET1K_V9", "has no weights 'IMAGENET1K_V9'; it has DEFAULT, IMAGENET1K_V1"),
    ("rootstock/nothing@none", "rootstock has no architecture 'nothing'; it has strokes, cifar_resnet20"),
    ("rootstock/strokes@DEFAULT", "leave it out for the shipped weights"),
    ("rootstock/strokes@cut.pth", "cut.pth is truncated or is no weights file"),
    ("rootstock/strokes@cut.safetensors", "cut.safetensors is truncated or is no weights file"),
    ("rootstock/strokes@unsafe.pth", "unsafe.pth holds more than tensors and was refused"),
    ("torchvision/squeezenet1_1@whole.pth", "whole.pth holds weights of another architecture than"),
]


@pytest.mark.parametrize(("candidate", "words"), UNFIT)
@pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "override"])
def test_candidate_that_select_would_refuse_is_refused_at_once(
    project: Path, candidate: str, words: str, by_hand: bool
) -> None:
    strokes_weights(project / "whole.pth")
    for name in ("cut.pth", "cut.safetensors"):
        (project / name).write_bytes((project / "whole.pth").read_bytes()[:9999])
    (project / "unsafe.pth").write_bytes(b"cposix\nsystem\n(S'touch executed'\ntR.")
    if by_hand:
        named_by_hand(project, candidate)
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(UserError) as caught:
        write_overrides(project, {} if by_hand else {"select.candidates": ["rootstock/strokes", candidate]})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (project / "params.yaml").read_bytes() == before
    assert not (project / "executed").exists()


def test_published_weights_are_neither_downloaded_nor_demanded(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    planned_changes(project, {"select.candidates": ["torchvision/resnet18?crop_px=64", "torchvision/resnet18@none"]})
    assert not (tmp_path / "torch").exists()


IMPORTS = """
import sys
from pathlib import Path
from tasks.overrides import planned_changes
planned_changes(Path(), {"finetune.epochs": 3})
print("torch" in sys.modules)
"""


def test_candidates_that_ran_before_cost_no_import_of_torch(project: Path, root: Path) -> None:
    named_by_hand(project, "torchvision/squeezenet1_1@none")
    stage = {"params": {"params.yaml": {"select": read_params().select.model_dump(mode="json")}}}
    (project / "dvc.lock").write_text(json.dumps({"stages": {"select": stage}}), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "False\n", done.stderr


def test_pinned_digest_is_demanded_even_of_a_file_named_now(project: Path) -> None:
    (project / "w.pth").write_bytes(b"one")
    values = {"select.candidates": ["torchvision/a@w.pth"], "select.weights_sha256": {"w.pth": "0" * 64}}
    with pytest.raises(UserError, match="not the weights file"):
        write_overrides(project, values)


def test_missing_weights_file_is_refused(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(UserError, match=r"w\.pth of the candidate torchvision/a@w\.pth does not exist"):
        write_overrides(project, {"select.candidates": ["torchvision/a@w.pth"]})
    assert (project / "params.yaml").read_bytes() == before

"""A value edited by hand and not yet run is never overwritten."""

import subprocess
from pathlib import Path

import pytest

from tasks.hand_edits import WRITTEN_FILE
from tasks.overrides import write_overrides
from tasks.params import read_params
from transfer.errors import UserError

LOCK = """schema: '2.0'
stages:
  finetune:
    cmd: x
    params:
      params.yaml:
        finetune:
          epochs: {epochs}
          seed: 0
        data.path: data/digits
"""


def edit(project: Path, old: str, new: str) -> None:
    path = project / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def ran(project: Path, epochs: int) -> None:
    (project / "dvc.lock").write_text(LOCK.format(epochs=epochs), encoding="utf-8")


def test_edit_that_was_not_run_is_kept(project: Path) -> None:
    ran(project, 10)
    edit(project, "epochs: 10", "epochs: 7")
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(UserError) as caught:
        write_overrides(project, {"finetune.epochs": 3})
    for word in ("finetune.epochs: 7", "it was 10 before", "run it first", "set it back to 10"):
        assert word in str(caught.value)
    assert (project / "params.yaml").read_bytes() == before


def test_other_keys_may_be_overridden_beside_an_edit(project: Path) -> None:
    ran(project, 10)
    edit(project, "epochs: 10", "epochs: 7")
    write_overrides(project, {"finetune.seed": 1})
    assert (read_params().finetune.epochs, read_params().finetune.seed) == (7, 1)


def test_edit_that_the_override_repeats_is_no_loss(project: Path) -> None:
    ran(project, 10)
    edit(project, "epochs: 10", "epochs: 7")
    assert write_overrides(project, {"finetune.epochs": 7}) == {}


def test_edit_that_was_run_may_be_replaced(project: Path) -> None:
    edit(project, "epochs: 10", "epochs: 7")
    ran(project, 7)
    assert write_overrides(project, {"finetune.epochs": 3}) == {"finetune.epochs": 3}


def test_what_an_interrupted_run_wrote_may_be_replaced(project: Path) -> None:
    ran(project, 10)
    write_overrides(project, {"finetune.epochs": 3})
    write_overrides(project, {"finetune.epochs": 4})
    assert read_params().finetune.epochs == 4


def test_edit_after_an_override_is_kept(project: Path) -> None:
    ran(project, 10)
    write_overrides(project, {"finetune.epochs": 3})
    edit(project, "epochs: 3", "epochs: 7")
    with pytest.raises(UserError, match="edited by hand"):
        write_overrides(project, {"finetune.epochs": 4})


@pytest.mark.parametrize(
    ("interrupted", "run_between", "asked_between"), [(True, 7, False), (False, 7, False), (False, 10, True)]
)
def test_edit_back_to_what_rootstock_wrote_before_a_later_run_is_kept(
    project: Path, interrupted: bool, run_between: int, asked_between: bool
) -> None:
    ran(project, 10)
    write_overrides(project, {"finetune.epochs": 5})
    if not interrupted:
        ran(project, 5)
    edit(project, "epochs: 5", f"epochs: {run_between}")
    if asked_between:
        write_overrides(project, {})
    ran(project, run_between)
    edit(project, f"epochs: {run_between}", "epochs: 5")
    with pytest.raises(UserError, match=r"finetune\.epochs: 5, edited by hand and not yet run"):
        write_overrides(project, {"finetune.epochs": 3})


def test_what_an_interrupted_run_wrote_may_be_replaced_after_another_key_was_edited(project: Path) -> None:
    ran(project, 10)
    write_overrides(project, {"finetune.epochs": 3})
    edit(project, "knn_k: 5", "knn_k: 3")
    write_overrides(project, {})
    assert write_overrides(project, {"finetune.epochs": 4}) == {"finetune.epochs": 4}


@pytest.mark.parametrize("content", ["{", "[]", '{"finetune.epochs": 7}', '{"finetune.epochs": {"value": 7}}'])
def test_note_that_cannot_be_read_excuses_nothing(project: Path, content: str) -> None:
    ran(project, 10)
    edit(project, "epochs: 10", "epochs: 7")
    (project / WRITTEN_FILE).parent.mkdir(exist_ok=True)
    (project / WRITTEN_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="edited by hand"):
        write_overrides(project, {"finetune.epochs": 4})


def test_before_any_run_the_shipped_value_may_be_replaced_and_an_edit_may_not(project: Path) -> None:
    edit(project, "seed: 0\n  strategy", "seed: 5\n  strategy")
    assert write_overrides(project, {"finetune.epochs": 3}) == {"finetune.epochs": 3}
    with pytest.raises(UserError, match="it was 0 before"):
        write_overrides(project, {"finetune.seed": 1})


def test_before_any_run_the_committed_value_may_be_replaced(project: Path) -> None:
    edit(project, "epochs: 10", "epochs: 7")
    for arguments in (("add", "params.yaml"), ("commit", "-q", "-m", "x", "--no-gpg-sign")):
        subprocess.run(("git", *arguments), cwd=project, check=True)
    assert write_overrides(project, {"finetune.epochs": 3}) == {"finetune.epochs": 3}

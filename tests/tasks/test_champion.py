"""The champion on the test rows of today: loaded from the registry, asked about what it has not learned from."""

import contextlib
import csv
import errno
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.image_files import load_examples
from adapters.json_files import read_json
from adapters.manifest_file import read_manifest
from adapters.mlflow_aliases import aliased
from adapters.mlflow_registry import Release, register
from adapters.mlflow_runs import stage_run
from adapters.mlflow_store import open_client
from adapters.model_files import load_model, save_model
from adapters.sealed_labels import open_labels
from adapters.seen_rows import write_seen_rows
from tasks import evaluate
from tasks.champion import _compared, _predictions, compare_with_champion
from tasks.compared import is_outdated
from tasks.handoffs import CHAMPION, MODEL, PREDICTIONS, SCRATCH, SEEN
from transfer.backbones.card import ModelCard
from transfer.errors import EnvironmentFault
from transfer.finetuning.measuring import predict_logits
from transfer.records import Row

ORDER = [2, 0, 1]
PARTS = ("only_challenger", "only_champion", "n_rows")


@pytest.fixture(scope="module")
def evaluated_once(trained_once: Path, migrated_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "project"
    shutil.copytree(trained_once, folder)
    (folder / "mlruns").mkdir()
    shutil.copyfile(migrated_database, folder / "mlruns" / "mlflow.db")
    with contextlib.chdir(folder):
        evaluate.measure()
    return folder


@pytest.fixture
def evaluated(project: Path, evaluated_once: Path) -> Path:
    """Make a project whose test rows were predicted, with an empty registry."""
    return Path(shutil.copytree(evaluated_once, project, dirs_exist_ok=True))


def crown(model: Path, seen: Path | None = None) -> str:
    with stage_run("register") as run:
        return register(Path.cwd(), Release("digits", "champion", model, "", {}, {}, seen), run)


def compared() -> dict[str, Any]:
    compare_with_champion()
    return read_json(CHAMPION, made_from={"weights": MODEL / "model.safetensors"})


def mixed_up() -> Path:
    """Store the model trained from scratch with the outputs of its classes exchanged, so that it is wrong."""
    classifier, card = load_model(SCRATCH)
    with torch.no_grad():
        classifier.head.weight.copy_(classifier.head.weight[ORDER].clone())
        classifier.head.bias.copy_(classifier.head.bias[ORDER].clone())
    save_model(Path("mixed"), classifier, card)
    return Path("mixed")


def by_hand(folder: Path, rows: Any) -> tuple[int, int, int]:
    """Count what the model and another one got right, straight from the files."""
    labels = torch.tensor([row.label for row in rows])
    right = []
    for place in (MODEL, folder):
        classifier, card = load_model(place)
        pixels = torch.cat([*load_examples(Path("data/digits"), rows, card.preprocess)])
        right.append(predict_logits(classifier, pixels.permute(0, 3, 1, 2)).argmax(1) == labels)
    return int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum()), len(rows)


def opened() -> tuple[Row, ...]:
    return open_labels(Path.cwd(), read_manifest().of_split("test"), "a test", "", chosen=False)


def test_without_a_champion_there_is_nobody_to_compare_with(evaluated: Path) -> None:
    record = compared()
    assert (record["model"], record["champion"]) == ("digits", None)
    assert not is_outdated(evaluated)
    held_out = {row.sha256[:16] for row in read_manifest().of_split("test")}
    seen = set(SEEN.read_text(encoding="utf-8").split())
    assert seen == {row.sha256[:16] for row in read_manifest().rows} - held_out
    assert held_out


def test_both_are_asked_about_the_same_rows(evaluated: Path) -> None:
    compared()
    folder = mixed_up()
    crown(folder, SEEN)
    record = compared()
    assert tuple(record["paired"][part] for part in PARTS) == by_hand(folder, opened())
    assert record["paired"]["only_challenger"] > 0
    assert (record["problem"], record["n_left_out"], record["seen_known"]) == (None, 0, True)
    assert record["size_bytes"] == (folder / "model.safetensors").stat().st_size
    assert record["champion"]["version"] == "1"
    before = CHAMPION.read_bytes()
    compare_with_champion()
    assert CHAMPION.read_bytes() == before


def test_rows_that_the_champion_has_learned_from_are_left_out(evaluated: Path) -> None:
    rows = opened()
    write_seen_rows(Path("others.txt"), [row.sha256 for row in rows[:3]] + ["0" * 64])
    folder = mixed_up()
    crown(folder, Path("others.txt"))
    record = compared()
    assert record["n_left_out"] == 3
    assert tuple(record["paired"][part] for part in PARTS) == by_hand(folder, rows[3:])


def test_a_champion_that_has_learned_from_all_of_them_cannot_be_compared_with(evaluated: Path) -> None:
    write_seen_rows(Path("others.txt"), [row.sha256 for row in read_manifest().rows])
    crown(SCRATCH, Path("others.txt"))
    record = compared()
    assert (record["paired"], record["problem"]) == (
        None,
        "the champion, version 1, has learned from every test image of today",
    )


def test_a_champion_of_which_nobody_knows_what_it_saw_is_asked_about_all(evaluated: Path) -> None:
    crown(SCRATCH)
    record = compared()
    assert (record["seen_known"], record["n_left_out"]) == (False, 0)
    assert record["paired"]["n_rows"] == len(read_manifest().of_split("test"))


def renamed(change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Path:
    classifier, card = load_model(SCRATCH)
    folder = Path("renamed")
    save_model(folder, classifier, replace(ModelCard.of(classifier, change(card.classes)), reference=card.reference))
    return folder


def test_classes_in_another_order_are_told_by_their_names(evaluated: Path) -> None:
    folder, (_, card) = mixed_up(), load_model(SCRATCH)
    classifier, _ = load_model(folder)
    save_model(Path("turned"), classifier, replace(card, classes=tuple(card.classes[place] for place in ORDER)))
    crown(Path("turned"))
    found, rows = compared()["paired"], opened()
    assert tuple(found[part] for part in PARTS) == by_hand(SCRATCH, rows) != by_hand(folder, rows)


def test_a_champion_of_other_classes_is_not_compared_with(evaluated: Path) -> None:
    crown(renamed(lambda classes: ("spots", *classes[1:])))
    record = compared()
    assert record["paired"] is None
    assert record["problem"] == "the champion, version 1, knows other classes (not in both: bars, spots)"


@pytest.mark.parametrize("damage", ["weights", "gone", "foreign"])
def test_a_champion_that_cannot_be_read_is_told_of(evaluated: Path, damage: str) -> None:
    if damage == "foreign":
        client = open_client()
        client.create_registered_model("digits")
        Path("foreign").mkdir()
        client.create_model_version("digits", str(Path("foreign").resolve()))
        client.set_registered_model_alias("digits", "champion", "1")
    else:
        crown(SCRATCH)
        folder = Path(open_client().get_model_version_download_uri("digits", "1"))
        shutil.rmtree(folder) if damage == "gone" else (folder / "artifacts/model/model.safetensors").write_bytes(b"x")
    record = compared()
    assert record["paired"] is None
    assert record["problem"].startswith("the champion, version 1, cannot be read (")
    assert not is_outdated(evaluated)


def test_a_read_error_that_may_pass_is_no_decision(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crown(SCRATCH)

    def failing(_: Path) -> str:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("adapters.model_files.sha256_of", failing)
        with pytest.raises(EnvironmentFault, match=r"digits version 1, cannot be read at this time \(.*run again"):
            compare_with_champion()
    assert not CHAMPION.exists()
    assert compared()["problem"] is None


def test_a_store_that_does_not_answer_is_no_decision(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(**_: Any) -> str:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", refusing)
    client = open_client()
    client.create_registered_model("digits")
    client.create_model_version("digits", "http://127.0.0.1:9/model")
    client.set_registered_model_alias("digits", "champion", "1")
    with pytest.raises(EnvironmentFault, match=r"digits version 1 cannot be fetched from http://127.0.0.1:9/model \("):
        compare_with_champion()
    assert not CHAMPION.exists()


def test_copies_of_a_file_count_once(evaluated: Path) -> None:
    compared()
    crown(mixed_up(), SEEN)
    once = compared()["paired"]
    manifest = read_manifest()
    tests = manifest.of_split("test")
    copies = [replace(row, path=f"copy_of_{place}.png") for place, row in enumerate(tests)]
    predicted = _predictions()
    with PREDICTIONS.open("a", encoding="utf-8", newline="") as stream:
        columns = PREDICTIONS.read_text(encoding="utf-8").splitlines()[0].split(",")
        writer = csv.DictWriter(stream, columns, restval="")
        for row, copy in zip(tests, copies, strict=True):
            shutil.copyfile(Path("data/digits") / row.path, Path("data/digits") / copy.path)
            writer.writerow({"path": copy.path, "predicted": predicted[row.path]})
    found = aliased(evaluated, "digits", "champion")
    assert found is not None
    whole = replace(manifest, rows=(*manifest.rows, *copies))
    assert _compared(found, "digits", "data/digits", whole)["paired"] == once


def test_a_model_is_not_compared_with_itself(evaluated: Path) -> None:
    crown(MODEL)
    record = compared()
    assert (record["paired"], record["problem"]) == (None, None)
    assert record["champion"]["identity"] == record["own"]


def test_another_champion_makes_the_comparison_outdated_and_the_own_model_does_not(evaluated: Path) -> None:
    compared()
    crown(MODEL)
    assert not is_outdated(evaluated), "its own model was promoted: there is nothing to compare"
    crown(SCRATCH)
    assert is_outdated(evaluated)
    compared()
    assert not is_outdated(evaluated)
    open_client().set_registered_model_alias("digits", "champion", "1")
    assert not is_outdated(evaluated)
    open_client().delete_registered_model_alias("digits", "champion")
    assert is_outdated(evaluated)

"""Fine-tuning as a task: the model, its history, its picture; what is refused; the same inputs, the same bytes."""

import json
from pathlib import Path

import pytest

from adapters.json_files import read_json, sha256_of, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from tasks import finetune
from tasks.params import read_params
from transfer.errors import UserError
from transfer.records import EpochRecord

WEIGHTS = finetune.MODEL / "model.safetensors"


def test_it_writes_a_model_that_loads_and_a_history_that_tells_its_steps(ranked: Path) -> None:
    from adapters.model_files import load_model

    finetune.train()
    classifier, card = load_model(finetune.MODEL)
    epochs, outcomes = finetune.read_history(finetune.HISTORY)
    assert card.classes == read_manifest().classes
    assert not classifier.training
    assert [outcome.name for outcome in outcomes] == ["probe", "last", "all"]
    assert {epoch.step_name for epoch in epochs} == {"probe", "last", "all"}
    n_train, limit = len(read_manifest().of_split("train")), read_params().finetune.max_images_seen
    assert outcomes[0].images_seen == n_train
    assert all(0 < outcome.images_seen <= limit for outcome in outcomes[1:])
    recorded = read_json(finetune.HISTORY)["made_from"]
    assert recorded == {
        "manifest": sha256_of(MANIFEST),
        "quarantine": sha256_of(QUARANTINE),
        "ranking": sha256_of(finetune.RANKING),
    }


def test_a_step_is_kept_only_where_validation_gained(ranked: Path) -> None:
    finetune.train()
    _, outcomes = finetune.read_history(finetune.HISTORY)
    for outcome in outcomes[1:]:
        assert outcome.val_nll_before is not None
        assert outcome.kept == (outcome.val_nll_after < outcome.val_nll_before)


def test_the_same_inputs_give_the_same_bytes(ranked: Path) -> None:
    finetune.train()
    first = WEIGHTS.read_bytes(), finetune.HISTORY.read_bytes()
    finetune.train()
    assert (WEIGHTS.read_bytes(), finetune.HISTORY.read_bytes()) == first


def test_no_record_holds_a_time(ranked: Path) -> None:
    finetune.train()
    text = finetune.HISTORY.read_text(encoding="utf-8")
    assert not any(word in text for word in ("seconds", "time", '_s"', "run_id"))


def test_test_rows_are_not_read(ranked: Path) -> None:
    for row in read_manifest().of_split("test"):
        (Path("data/digits") / row.path).unlink()
    finetune.train()
    assert WEIGHTS.is_file()


def test_a_ranking_of_another_manifest_is_refused(ranked: Path) -> None:
    ranking = read_json(finetune.RANKING)
    stale = {"manifest": QUARANTINE, "quarantine": QUARANTINE}
    write_json(finetune.RANKING, {key: ranking[key] for key in ("candidates", "winner")}, stale)
    with pytest.raises(UserError, match="was made from another"):
        finetune.train()
    assert not finetune.MODEL.exists()


def test_no_validation_rows_are_refused(ranked: Path) -> None:
    paths = [row.path for row in read_manifest().of_split("val")]
    write_json(QUARANTINE, {"paths": paths}, {"manifest": MANIFEST})
    ranking = json.loads(finetune.RANKING.read_text(encoding="utf-8"))
    payload = {key: ranking[key] for key in ("candidates", "winner", "why", "pixel_baseline")}
    write_json(finetune.RANKING, payload, {"manifest": MANIFEST, "quarantine": QUARANTINE})
    with pytest.raises(UserError, match=r"no validation images; raise manifest\.val_fraction"):
        finetune.train()


def test_epochs_are_placed_over_all_images() -> None:
    def epoch(name: str, number: int, images_seen: int) -> EpochRecord:
        return EpochRecord(name, number, images_seen, 1.0, 1.0, 0.5)

    epochs = [epoch("probe", 1, 20), epoch("last", 1, 20), epoch("last", 2, 30), epoch("all", 1, 20)]
    assert [place for place, _ in finetune.over_all_images(epochs)] == [20, 40, 50, 70]


def test_the_picture_is_drawn_from_the_history(ranked: Path) -> None:
    finetune.train()
    finetune.draw()
    assert finetune.PICTURE.read_bytes().startswith(b"\x89PNG")

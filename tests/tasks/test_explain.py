"""Explanations: which answers are shown, what the record says of them, and what is alike."""

import csv
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from adapters.json_files import read_json, sha256_of
from adapters.manifest_file import read_manifest
from adapters.model_files import load_model, save_model
from tasks import evaluate, explain
from tasks.explained import Answer, confident_errors, confused_pairs, read_answers, right_answers
from tasks.handoffs import EXPLANATIONS, EXPLANATIONS_PICTURE, MODEL, PREDICTIONS
from tasks.params import read_params
from transfer.errors import UserError


@pytest.fixture(scope="session")
def evaluated_once(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the trained project with its test rows answered, some of them wrongly."""
    import contextlib

    folder = tmp_path_factory.mktemp("evaluated") / "project"
    shutil.copytree(trained_once, folder)
    with contextlib.chdir(folder):
        evaluate.measure()
        _call_otherwise(3)
    return folder


@pytest.fixture
def evaluated(project: Path, evaluated_once: Path) -> Path:
    """Make a project of its own, as `evaluated_once` is."""
    return shutil.copytree(evaluated_once, project, dirs_exist_ok=True)


def _call_otherwise(n_answers: int) -> None:
    """Give the first images of the table another class: the drawings of the tests are too easy to be confused."""
    with PREDICTIONS.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = sorted({row["actual"] for row in rows})
    for row in rows[:n_answers]:
        row["actual"] = names[(names.index(row["actual"]) + 1) % len(names)]
    with PREDICTIONS.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def test_the_record_agrees_with_the_answers(evaluated: Path) -> None:
    explain.explain()
    found, answers = read_json(EXPLANATIONS, made_from={"predictions": PREDICTIONS}), read_answers(PREDICTIONS)
    wrong = [answer for answer in answers if answer.actual != answer.predicted]
    assert [one["path"] for one in found["confident_errors"]] == [answer.path for answer in wrong][:8]
    assert sum(pair["n"] for pair in found["confused_pairs"]) == len(wrong)
    n_of_class = Counter(answer.actual for answer in answers)
    for pair in found["confused_pairs"]:
        assert pair["share"] == pytest.approx(pair["n"] / n_of_class[pair["actual"]], abs=1e-6)
    right = {answer.actual for answer in answers if answer.actual == answer.predicted}
    assert {one["actual"] for one in found["examples"]} == right
    assert all(one["actual"] == one["predicted"] for one in found["examples"])


def test_every_map_says_how_it_was_checked(evaluated: Path) -> None:
    explain.explain()
    maps = read_json(EXPLANATIONS)["maps"]
    assert [one["method"] for one in maps] == ["grad-cam", "occlusion"]
    assert maps[0]["layers"] == ["stage2"]
    assert maps[1]["layers"] == []
    for one in maps:
        sanity = one["sanity"]
        assert -1 <= sanity["low"] <= sanity["similarity"] <= sanity["high"] <= 1
        assert sanity["passed"] == (sanity["high"] < sanity["threshold"])
        assert sanity["n_networks"] == 5
        assert f"{sanity['similarity']:.2f}" in sanity["sentence"]


def test_pictures_are_small_and_whole(evaluated: Path) -> None:
    explain.explain()
    explain.draw()
    files = [EXPLANATIONS_PICTURE, *explain.PICTURES.iterdir()]
    for path in files:
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == "PNG"
        assert path == EXPLANATIONS_PICTURE or path.stat().st_size < 60_000


def test_a_planted_copy_is_the_nearest_image(evaluated: Path) -> None:
    data, manifest = Path(read_params().data.path), read_manifest()
    copied = manifest.of_split("train")[5]
    wrong = next(one for one in read_answers(PREDICTIONS) if one.actual != one.predicted)
    shutil.copyfile(data / copied.path, data / wrong.path)
    explain.explain()
    (shown,) = [one for one in read_json(EXPLANATIONS)["confident_errors"] if one["path"] == wrong.path]
    first, *others = shown["nearest"]
    assert (first["path"], first["class"]) == (copied.path, manifest.classes[copied.label])
    assert first["similarity"] == pytest.approx(1, abs=1e-4)
    assert [one["similarity"] for one in others] == sorted((one["similarity"] for one in others), reverse=True)


def test_features_that_an_earlier_stage_computed_are_not_computed_again(
    evaluated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfer.backbones import executors

    explain.explain()
    n_rows: list[int] = []
    ran = executors.run_rows

    def counted(run: Any, rows: Any, *others: Any) -> Any:
        n_rows.append(len(rows))
        return ran(run, rows, *others)

    monkeypatch.setattr(executors, "run_rows", counted)
    explain.explain()
    assert sum(n_rows) == 0


def test_the_same_inputs_give_the_same_bytes(evaluated: Path) -> None:
    explain.explain()
    explain.draw()
    before = {path: sha256_of(path) for path in EXPLANATIONS.parent.rglob("*") if path.is_file()}
    explain.explain()
    explain.draw()
    assert {path: sha256_of(path) for path in EXPLANATIONS.parent.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("method", ["integrated-gradients", "occlusion"])
def test_a_method_can_be_named(evaluated: Path, set_params: Callable[..., None], method: str) -> None:
    set_params(explain={"method": method, "networks": 2, "errors": 1, "right": 1})
    explain.explain()
    found = read_json(EXPLANATIONS)
    assert [one["method"] for one in found["maps"]] == [method]
    assert (len(found["confident_errors"]), len(found["examples"])) == (1, 1)


def test_a_head_that_counts_votes_is_explained_by_occlusion(evaluated: Path, set_params: Callable[..., None]) -> None:
    import torch

    from transfer.backbones.backbone import Classifier
    from transfer.backbones.card import ModelCard
    from transfer.heads.neighbours import fit_neighbours

    classifier, card = load_model(MODEL)
    draw = torch.Generator().manual_seed(0)
    features, labels = torch.rand(30, card.feature_dim, generator=draw), torch.arange(30) % 3
    voting = Classifier(classifier.backbone, 3, fit_neighbours(features, labels, 3).head)
    save_model(MODEL, voting, ModelCard.of(voting, card.classes))
    explain.explain()
    assert [one["method"] for one in read_json(EXPLANATIONS)["maps"]] == ["occlusion"]
    set_params(explain={"method": "grad-cam"})
    with pytest.raises(UserError, match="set it to auto or occlusion"):
        explain.explain()


def test_a_missing_image_is_one_sentence(evaluated: Path) -> None:
    (Path(read_params().data.path) / read_answers(PREDICTIONS)[0].path).unlink()
    with pytest.raises(UserError, match="cannot be read"):
        explain.explain()


def _answers(*of: tuple[str, str, float]) -> tuple[Answer, ...]:
    return tuple(Answer(f"{place}.png", *one) for place, one in enumerate(of))


def test_pairs_are_counted_within_the_actual_class() -> None:
    answers = _answers(
        ("a", "b", 0.9), ("b", "a", 0.8), ("a", "b", 0.7), ("a", "a", 0.6), ("b", "b", 0.5), ("a", "c", 0.4)
    )
    found = [(pair.actual, pair.predicted, len(pair.answers), pair.share) for pair in confused_pairs(answers)]
    assert found == [("a", "b", 2, 0.5), ("b", "a", 1, 0.5), ("a", "c", 1, 0.25)]
    assert [answer.probability for answer in confident_errors(answers, 2)] == [0.9, 0.8]


def test_every_class_has_a_right_answer_before_any_has_two() -> None:
    answers = _answers(("a", "a", 0.9), ("a", "a", 0.8), ("b", "b", 0.7), ("c", "b", 0.6), ("a", "a", 0.5))
    assert [answer.probability for answer in right_answers(answers, 3)] == [0.9, 0.7, 0.8]
    assert len(right_answers(answers, 10)) == 4

"""What came out of making a model again, in words and exit codes; and when it cannot be made again."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.dvc_cache import code_digest
from adapters.lock_records import read_lock
from adapters.machine import described
from adapters.version_records import Version
from tasks.handoffs import PREDICTIONS
from tasks.reproduce import Reproduction, reproduce
from tasks.reproduce_compare import DIFFERENT, IDENTICAL, WITHIN, compare
from tasks.reproduce_copy import Origin, changed_code, moved, read_origin, require_data
from tasks.reproduce_tables import sentence_of
from transfer.errors import UserError

DATA, OTHER = "d" * 32 + ".dir", "e" * 32 + ".dir"
HEADER = "path,actual,predicted,confidence\n"
BEFORE = f"{HEADER}a/1.png,a,a,0.9000\nb/2.png,b,b,0.8000\n"


def lock_of(project: Path, predictions: str, **more: Any) -> dict[str, Any]:
    """Return stages as DVC records them; the predictions lie in the project's cache."""
    digest = kept(project, predictions)
    stages: dict[str, Any] = {
        "manifest": {
            "deps": [{"path": "data/tiny", "md5": DATA}],
            "outs": [{"path": "artifacts/manifest/manifest.parquet", "md5": "m"}],
        },
        "finetune": {
            "deps": [
                {"path": "artifacts/manifest/manifest.parquet", "md5": "m"},
                {"path": "tasks/finetune.py", "md5": "code"},
            ],
            "params": {"params.yaml": {"finetune": {"seed": 0}}},
            "outs": [{"path": "artifacts/finetune/model", "md5": "w"}],
        },
        "evaluate": {
            "deps": [{"path": "artifacts/finetune/model", "md5": "w"}],
            "outs": [
                {"path": str(PREDICTIONS), "md5": digest},
                {"path": "artifacts/evaluate/champion.json", "md5": "c"},
            ],
        },
    }
    for stage, kinds in more.items():
        stages[stage] |= kinds
    return stages


def kept(project: Path, content: str) -> str:
    place = project / "content"
    place.write_text(content, encoding="utf-8")
    digest = code_digest(place)
    target = project / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(place, target)
    return digest


def write_lock(folder: Path, stages: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")
    return folder / "dvc.lock"


VERSION = Version("tiny", "1", 0, "/gone", "", (), {"data_digest": DATA})


@pytest.fixture
def made(project: Path) -> Callable[..., Reproduction]:
    """Return what compares stages that ran again with those of a record, and says what came out."""

    def compared(again: str, tolerance: float = 0.01, moved: tuple[str, ...] = (), **more: Any) -> Reproduction:
        origin = Origin(
            VERSION,
            project,
            read_lock(write_lock(project, lock_of(project, BEFORE))),
            {"data": {"path": "data/tiny"}},
            None,
        )
        copy = project / "copy"
        write_lock(copy, lock_of(project, again, **more))
        (copy / PREDICTIONS).parent.mkdir(parents=True, exist_ok=True)
        (copy / PREDICTIONS).write_text(again, encoding="utf-8")
        comparison = compare(project, origin, copy, tolerance)
        return Reproduction(VERSION, comparison, moved, (), {"copy": 1.0, "finetune": 2.0}, None)

    return compared


def test_identical_is_every_output(made: Callable[..., Reproduction]) -> None:
    found = made(BEFORE)
    assert found.comparison.outcome == IDENTICAL
    assert sentence_of(found) == "Identical: tiny version 1 was made again, all 3 outputs byte for byte (3 s)."


def test_the_champion_of_the_day_counts_for_nothing(made: Callable[..., Reproduction]) -> None:
    evaluate = lock_of(Path.cwd(), BEFORE)["evaluate"]["outs"]
    evaluate[1]["md5"] = "another champion"
    assert made(BEFORE, evaluate={"outs": evaluate}).comparison.outcome == IDENTICAL


OTHER_SEED = {"params": {"params.yaml": {"finetune": {"seed": 1}}}}
OTHER_CODE = {
    "deps": [{"path": "artifacts/manifest/manifest.parquet", "md5": "m"}, {"path": "tasks/finetune.py", "md5": "x"}]
}
WEIGHTS = {"finetune": {"outs": [{"path": "artifacts/finetune/model", "md5": "w2"}]}}


@pytest.mark.parametrize(
    ("again", "tolerance", "outcome", "words"),
    [
        (BEFORE.replace("0.9000", "0.9040"), 0.01, WITHIN, "0 of 2 test images get another class"),
        (BEFORE.replace("0.9000", "0.9040"), 0.01, WITHIN, "differs by 0.004 at most (tolerance 0.01)"),
        (BEFORE.replace("0.9000", "0.9040"), 0.001, DIFFERENT, "differs by 0.004 at most (tolerance 0.001)"),
        (BEFORE.replace("b,b", "b,a"), 0.01, DIFFERENT, "1 of 2 test images get another class"),
        (BEFORE, 0.0, WITHIN, "differs by 0 at most"),
        (f"{HEADER}a/1.png,a,a,0.9\n", 0.01, DIFFERENT, "the predictions cannot be compared"),
    ],
)
def test_other_weights_are_judged_by_their_predictions(
    made: Callable[..., Reproduction], again: str, tolerance: float, outcome: str, words: str
) -> None:
    found = made(again, tolerance, **WEIGHTS)
    assert found.comparison.outcome == outcome
    sentence = sentence_of(found)
    assert sentence.startswith(outcome.capitalize())
    assert words in sentence
    assert "It diverges first at finetune, artifacts/finetune/model: " in sentence


@pytest.mark.parametrize(
    ("more", "moved", "words"),
    [
        (OTHER_SEED, (), "what differs there is finetune.seed was 0, is 1."),
        (OTHER_CODE, (), "what differs there is the code tasks/finetune.py."),
        ({}, ("torch 3, was 2",), "what they run on is not: torch 3, was 2."),
        ({}, (), "so it is chance."),
    ],
)
def test_why_it_diverges_is_told(
    made: Callable[..., Reproduction], more: dict[str, Any], moved: tuple[str, ...], words: str
) -> None:
    found = made(BEFORE.replace("0.9", "0.1"), moved=moved, finetune={**WEIGHTS["finetune"], **more})
    assert sentence_of(found).endswith(words)


def test_a_stage_that_did_not_run_is_different(made: Callable[..., Reproduction]) -> None:
    found = made(BEFORE, finetune={"outs": []})
    assert found.comparison.first is not None
    assert found.comparison.first.differing == ("artifacts/finetune/model",)


def test_other_data_are_refused_unless_a_stage_made_them(project: Path, made: Callable[..., Reproduction]) -> None:
    made(BEFORE, manifest={"deps": [{"path": "data/tiny", "md5": OTHER}]})
    stages = read_lock(project / "dvc.lock")
    origin = Origin(VERSION, project, stages, {"data": {"path": "data/tiny"}}, None)
    with pytest.raises(
        UserError, match=f"data/tiny is not the data that tiny version 1 was made from.*now it is {OTHER}"
    ):
        require_data(origin, project / "copy")
    sampled = {**stages, "sample": replace(stages["manifest"], deps={}, outs={"data/tiny": DATA})}
    require_data(replace(origin, stages=sampled), project / "copy")


def test_code_is_compared_with_the_record(project: Path) -> None:
    (project / "tasks").mkdir()
    (project / "tasks" / "finetune.py").write_text("x = 1\n", encoding="utf-8")
    stages = lock_of(project, BEFORE)
    stages["finetune"]["deps"][1]["md5"] = code_digest(project / "tasks" / "finetune.py")
    origin = Origin(VERSION, project, read_lock(write_lock(project, stages)), {}, None)
    assert changed_code(origin, project) == []
    (project / "tasks" / "finetune.py").write_text("x = 2\n", encoding="utf-8")
    assert changed_code(origin, project) == ["tasks/finetune.py"]


def test_another_machine_is_told(project: Path) -> None:
    tags = {"machine": "Linux x86_64, an old processor, 3 threads"}
    (difference,) = moved(Origin(replace(VERSION, tags=tags), project, {}, {}, None))
    assert difference.endswith("was Linux x86_64, an old processor, 3 threads")
    assert moved(Origin(replace(VERSION, tags={"machine": described()}), project, {}, {}, None)) == []


def test_a_memory_that_was_not_kept_is_told_and_a_cause(project: Path, made: Callable[..., Reproduction]) -> None:
    tags = {"origin_files": json.dumps({"memory.jsonl": "not kept: 12 MB"})}
    differences = tuple(moved(Origin(replace(VERSION, tags=tags), project, {}, {}, None)))
    assert differences == ("the memory of runs is missing (not kept: 12 MB)",)
    found = made(BEFORE.replace("0.9", "0.1"), moved=differences, **WEIGHTS)
    assert sentence_of(found).endswith("what they run on is not: the memory of runs is missing (not kept: 12 MB).")


class TestWhatCannotBeMadeAgain:
    """Each has a sentence that says what is missing."""

    def version(self, project: Path, commit: str, **files: str) -> Version:
        import hashlib

        folder = project / "files" / "origin"
        folder.mkdir(parents=True)
        lock = write_lock(project, lock_of(project, BEFORE)).read_text(encoding="utf-8")
        contents = {"dvc.lock": lock, "params.yaml": (project / "params.yaml").read_text(encoding="utf-8")}
        for name, text in contents.items():
            (folder / name).write_text(text, encoding="utf-8")
        digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in contents.items()}
        tags = {"data_digest": DATA, "git_commit": commit, "origin_files": json.dumps(digests | files)}
        return Version("tiny", "1", 0, str(project / "files"), "", (), tags)

    def test_an_older_version(self, mlflow_project: Path) -> None:
        with pytest.raises(UserError, match="tiny version 1 keeps no record of how it was made"):
            read_origin(mlflow_project, VERSION)

    def test_a_commit_that_is_gone(self, mlflow_project: Path) -> None:
        with pytest.raises(UserError, match="was made by commit 000000000000, which this repository does not have"):
            read_origin(mlflow_project, self.version(mlflow_project, "0" * 40))

    def test_code_without_a_commit_that_was_not_kept(self, mlflow_project: Path) -> None:
        with pytest.raises(UserError, match="was in no commit and is not kept"):
            read_origin(mlflow_project, self.version(mlflow_project, "none"))

    def test_files_that_were_altered(self, mlflow_project: Path) -> None:
        version = self.version(mlflow_project, "0" * 40)
        (mlflow_project / "files" / "origin" / "params.yaml").write_text("data: {}\n", encoding="utf-8")
        with pytest.raises(UserError, match=r"is gone from .*files, or was altered"):
            read_origin(mlflow_project, version)

    def test_a_commit_that_is_here_is_enough(self, mlflow_project: Path) -> None:
        subprocess.run(("git", "add", "params.yaml"), cwd=mlflow_project, check=True)
        subprocess.run(("git", "commit", "--quiet", "-m", "first"), cwd=mlflow_project, check=True)
        head = subprocess.run(
            ("git", "rev-parse", "HEAD"), cwd=mlflow_project, check=True, capture_output=True, text=True
        ).stdout.strip()
        origin = read_origin(mlflow_project, self.version(mlflow_project, head))
        assert list(origin.stages) == ["manifest", "finetune", "evaluate"]
        assert origin.commit == head


@pytest.mark.parametrize("tolerance", [-0.1, 2.0, float("nan")])
def test_a_tolerance_that_is_no_probability_is_refused(tolerance: float) -> None:
    with pytest.raises(UserError, match=f"--tolerance is {tolerance:g}, but must be a number from 0 to 1"):
        reproduce("digits", print, tolerance=tolerance)

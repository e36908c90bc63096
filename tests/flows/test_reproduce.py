"""A registered model made again, for real: the same, nearly so, another one; and a project that stays as it was."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.json_files import sha256_of
from adapters.working_copies import room
from tasks.reproduce import rerun
from tasks.reproduce_compare import DIFFERENT, IDENTICAL, WITHIN, Comparison, compare
from tasks.reproduce_copy import Origin, lay_out, read_origin
from tasks.versions import resolve

pytestmark = pytest.mark.slow

SAVING = "    save_model(MODEL, classifier, "
STATE = ("mlruns", ".dvc/cache", ".rootstock/memory.jsonl", "artifacts", "dvc.lock", "params.yaml", "data")


def rooms_of(project: Any) -> set[str]:
    """Return what lies where models are made again; what `again` holds is among it once a test has asked for that."""
    place = project.folder / ".rootstock" / "reproduce"
    return {path.name for path in place.iterdir()} if place.exists() else set()


def state(folder: Path) -> dict[str, str]:
    """Return a digest of everything that making a model again must leave alone."""
    files = [path for name in STATE for path in (folder / name, *(folder / name).rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): sha256_of(path) for path in files if path.suffix != ".lock"}


def of_kind(kind: str, ending: Any) -> Any:
    plain = json.loads(ending.out)
    assert plain["outcome"] == kind, ending
    return plain


def test_the_digits_are_identical_from_a_commit_and_what_it_lacks(
    tmp_path: Path, lay_out_with_code: Callable[[Path], None], project_in: Callable[[Path], Any]
) -> None:
    lay_out_with_code(tmp_path / "digits")
    digits = project_in(tmp_path / "digits")
    digits.commit()
    code = digits.folder / "tasks" / "finetune.py"
    kept = code.read_text(encoding="utf-8")
    code.write_text(kept.replace(SAVING, f"    classifier.head.bias.data.add_(1)\n{SAVING}"), encoding="utf-8")
    run = digits.rootstock("run", *digits.quick)
    assert run.code == 0, run.err
    code.write_text(kept, encoding="utf-8")
    digits.commit()
    plain = of_kind(IDENTICAL, digits.rootstock("reproduce", "digits", "--json"))
    assert plain["stages"][0]["name"] == "sample"
    assert plain["changed_code"] == []
    told = json.loads(digits.rootstock("lineage", "digits", "--json").out)
    assert told["code"]["beyond_the_commit"].endswith("origin/changes.patch")
    assert told["data"]["digest_note"] == "all 1797 files are in the DVC cache"


def test_it_is_identical_and_the_project_stays_as_it_was(finished: Any) -> None:
    before, rooms = state(finished.folder), rooms_of(finished)
    assert "mlruns/looks.jsonl" in before
    assert any(path.startswith("mlruns/test_sets/") for path in before)
    ending = finished.rootstock("reproduce", "tiny", "--json")
    assert ending.code == 0, ending.err
    plain = of_kind(IDENTICAL, ending)
    assert [stage["name"] for stage in plain["stages"]] == [
        "manifest", "validate", "select", "finetune", "reference", "evaluate",
    ]  # fmt: skip
    assert plain["sentence"].startswith("Identical: tiny version 1 was made again, all ")
    assert state(finished.folder) == before
    assert rooms_of(finished) == rooms
    assert finished.processes() == []


def test_data_and_code_of_then_are_brought_back(finished: Any, draw: Callable[..., None]) -> None:
    draw(finished.folder / "data" / "more", n_per_class=3, seed=9)
    for folder in (finished.folder / "data" / "more").iterdir():
        for picture in folder.iterdir():
            picture.rename(finished.folder / "data" / "tiny" / folder.name / f"new{picture.name}")
    assert "ERROR" not in finished.dvc("add", "-q", "data/tiny")
    code = finished.folder / "tasks" / "finetune.py"
    kept = code.read_text(encoding="utf-8")
    code.write_text(kept.replace(SAVING, f"    classifier.head.bias.data.zero_()\n{SAVING}"), encoding="utf-8")
    try:
        of_kind(IDENTICAL, finished.rootstock("reproduce", "tiny/1", "--json"))
    finally:
        code.write_text(kept, encoding="utf-8")


def test_a_killed_one_leaves_a_folder_that_the_next_removes(finished: Any) -> None:
    others = rooms_of(finished)
    process = finished.start("reproduce", "tiny")
    rooms = finished.folder / ".rootstock" / "reproduce"
    while process.poll() is None and not list(rooms.glob("*/project/artifacts/manifest/manifest.parquet")):
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 30
    while finished.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert finished.processes() == []
    assert rooms_of(finished) > others
    refused = finished.rootstock("reproduce", "tiny", "--into", "data")
    assert refused.code == 2
    assert "holds something already" in refused.err
    assert rooms_of(finished) == others


@pytest.fixture(scope="module")
def again(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Origin, Path]]:
    """Return what made the model and a copy in which it was made again."""
    origin = read_origin(finished.folder, resolve(finished.folder, "tiny/1"))
    with room(finished.folder, tmp_path_factory.mktemp("again") / "room", keep=False) as folder:
        copy = lay_out(finished.folder, origin, folder)
        rerun(origin, copy, lambda _: None)
        yield origin, copy


def planted(finished: Any, again: tuple[Origin, Path], name: str, old: str, new: str, tolerance: float) -> Comparison:
    """Change a file of the copy, run what that changes, compare, and put the file back."""
    origin, copy = again
    place = copy / name
    kept = place.read_text(encoding="utf-8")
    assert kept.count(old) == 1
    place.write_text(kept.replace(old, new), encoding="utf-8")
    try:
        rerun(origin, copy, lambda _: None)
        return compare(finished.folder, origin, copy, tolerance)
    finally:
        place.write_text(kept, encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "tolerance", "outcome"),
    [
        ("    classifier.head.bias.data.add_(1)\n", 0.01, WITHIN),  # of all classes alike: other weights, same answers
        ("    classifier.head.bias.data[0] += 9\n", 0.01, DIFFERENT),
    ],
)
def test_altered_code_is_found_in_the_stage_that_runs_it(
    finished: Any, again: tuple[Origin, Path], change: str, tolerance: float, outcome: str
) -> None:
    found = planted(finished, again, "tasks/finetune.py", SAVING, change + SAVING, tolerance)
    assert found.outcome == outcome
    assert found.first is not None
    assert found.first.name == "finetune"
    assert "artifacts/finetune/model" in found.first.differing
    assert "the code tasks/finetune.py" in found.first.causes
    assert found.agreement is not None
    assert (found.agreement.n_other_class > 0) == (outcome == DIFFERENT)


def test_an_altered_parameter_is_named(finished: Any, again: tuple[Origin, Path]) -> None:
    found = planted(finished, again, "params.yaml", "head: ridge", "head: logistic", 0.0)
    assert found.outcome == DIFFERENT
    assert found.first is not None
    assert (found.first.name, found.first.causes) == ("finetune", ("finetune.head was ridge, is logistic",))

"""Decisions on labels: applied all together to the very images that were reviewed, as a new version; else refused."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters import dvc_commands, relabelling
from adapters.json_files import sha256_of, write_json
from adapters.kept_labels import kept_labels
from adapters.locks import project_lock
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from tasks import manifest
from tasks.relabel import relabel
from tasks.run import run
from tests.tasks.refused_relabelling import refuse
from transfer.errors import UserError

DATA = Path("data/photos")
HEAD = "path,given,suggested,confidence,decision,sha256"
SPLITS = ("train", "val", "test")


def _paint(place: int, folder: Path) -> None:
    path = folder / f"{place}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([*folder.name.encode(), place]).integers(0, 255, (8, 8, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def _describe() -> None:
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("path: data/digits", f"path: {DATA}"))
    manifest.describe()
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})


@pytest.fixture
def reviewed(project: Path) -> Path:
    """Make a project whose data set has splits of its own and is described."""
    for place in range(12):
        for name in ("ant", "bee", "cat"):
            _paint(place, DATA / SPLITS[place % 3] / name)
    _describe()
    return project


@pytest.fixture
def untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave DVC out, whose part has tests of its own and takes seconds."""
    monkeypatch.setattr("tasks.data_source.track", lambda *_: "")


def _table(decisions: dict[str, str], **changes: str) -> Path:
    path = Path("labels.csv")
    lines = [
        ",".join((name, changes.get("given", name.split("/")[1]), "x", "0.9", said, _digest(name, **changes)))
        for name, said in decisions.items()
    ]
    path.write_text("\n".join((HEAD, *lines)) + "\n")
    return path


def _digest(name: str, sha256: str = "", **_: str) -> str:
    return sha256 or sha256_of(DATA / name)


def _state() -> dict[str, str]:
    return {str(path.relative_to(DATA)): sha256_of(path) for path in DATA.rglob("*") if path.is_file()}


def _version() -> str:
    return Path("data/photos.dvc").read_text()


def test_decisions_become_a_new_version_that_can_be_taken_back(
    reviewed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dvc_commands.add(reviewed, str(DATA))
    before, first = _state(), _version()
    table = _table({"train/ant/0.png": "relabel:bee", "train/ant/3.png": "keep", "val/cat/1.png": "remove"})
    relabel(table, undo=False)
    told = capsys.readouterr().out
    assert "1 image has another label now, 1 left data/photos." in told
    assert "1 label stays as decided, not to be named again." in told
    assert kept_labels(reviewed) == {(sha256_of(DATA / "train/ant/3.png"), "ant")}
    after = _state()
    expected = {**before, "train/bee/0-from-ant.png": before["train/ant/0.png"]}
    assert after == {name: sha for name, sha in expected.items() if name not in ("train/ant/0.png", "val/cat/1.png")}
    assert _version() != first
    relabel(table, undo=False)
    assert "Nothing to change" in (told := capsys.readouterr().out)
    assert "2 decisions had been applied before" in told
    relabel(None, undo=True)
    assert "Relabelling 1 is taken back: 2 images of data/photos are labelled as before." in capsys.readouterr().out
    assert _state() == before
    assert _version() == first
    with pytest.raises(UserError, match=r"No relabelling is there to be taken back"):
        relabel(None, undo=True)


@pytest.mark.parametrize(
    ("decisions", "changes", "words"),
    [
        ({"train/ant/0.png": "relabel:dog"}, {}, r"Line 3: there is no class 'dog' \(ant, bee, cat\); write one"),
        ({"train/ant/0.png": "remove"}, {"sha256": "0" * 64}, r"Line 3: 'train/ant/0.png' is not the image that was"),
        ({"train/ant/0.png": "remove"}, {"given": "bee"}, r"is labelled 'ant', not 'bee' as the table says"),
        ({"test/ant/2.png": "relabel:bee"}, {}, r"'test/ant/2.png' is a test image, whose labels are sealed"),
        ({"../photos/train/ant/0.png": "remove"}, {"given": "ant"}, r"'../photos/train/ant/0.png' is no image of"),
        (
            {f"val/cat/{place}.png": "relabel:ant" for place in (1, 4, 7, 10)},
            {},
            r"would leave class 'cat' of val without an image",
        ),
    ],
)
def test_what_cannot_be_applied_changes_nothing(
    reviewed: Path, decisions: dict[str, str], changes: dict[str, str], words: str
) -> None:
    before = _state()
    table = _table({"train/bee/0.png": "keep", **decisions}, **changes)  # on line 2
    refuse(reviewed, table, words)
    assert _state() == before


@pytest.mark.usefixtures("untracked")
def test_a_label_that_is_right_already_is_kept(reviewed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _state()
    relabel(_table({"train/ant/0.png": "relabel:ant"}), undo=False)
    assert "Nothing to change" in capsys.readouterr().out
    relabel(_table({"train/ant/0.png": "relabel:ant", "train/ant/3.png": "remove"}), undo=False)
    assert "0 images have another label now, 1 left data/photos." in capsys.readouterr().out
    assert _state() == {name: sha256 for name, sha256 in before.items() if name != "train/ant/3.png"}


@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("splits", [("train",), SPLITS])
def test_a_class_may_be_called_like_a_split(project: Path, splits: tuple[str, ...]) -> None:
    for place in range(18):
        for name in ("train", "bee"):
            _paint(place, DATA / splits[place % len(splits)] / name)
    _describe()
    path = next(row.path for row in read_manifest().rows if row.path.startswith("train/train/") and row.split != "test")
    relabel(_table({path: "relabel:bee"}), undo=False)
    assert f"train/bee/{Path(path).stem}-from-train.png" in _state()


def test_an_image_that_changed_since_is_refused(reviewed: Path) -> None:
    table = _table({"train/ant/0.png": "remove"})
    (DATA / "train/ant/0.png").write_bytes((DATA / "train/ant/3.png").read_bytes())
    with pytest.raises(UserError, match=r"has changed since it was reviewed; run `rootstock run`"):
        relabel(table, undo=False)


def test_a_data_set_that_a_stage_writes_is_refused(reviewed: Path) -> None:
    table = _table({"train/ant/0.png": "remove"})
    params = Path("params.yaml")
    params.write_text(params.read_text().replace(f"path: {DATA}", "path: data/digits"))
    with pytest.raises(UserError, match=r"data/digits is written by a stage of dvc\.yaml, which would undo"):
        relabel(table, undo=False)


@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("undo", [False, True])
def test_what_was_cut_off_is_finished_or_taken_back_before_anything_else(reviewed: Path, undo: bool) -> None:
    before = _state()
    sha256 = before["train/ant/0.png"]
    relabelling.begin(reviewed, str(DATA), [relabelling.Move("train/ant/0.png", "train/bee/new.png", sha256)])
    table = _table({"train/ant/3.png": "remove"})
    for refused in (lambda: relabel(table, undo=False), lambda: run([], _no_pipeline)):
        with pytest.raises(UserError, match=r"Relabelling 1 of data/photos was cut off in between"):
            refused()
    assert _state() == before
    relabel(None, undo=undo)
    assert ("train/bee/new.png" in _state()) is not undo
    relabelling.refuse_if_cut_off(reviewed)


def _no_pipeline() -> Callable[..., object]:
    raise AssertionError("the pipeline was asked for")


def test_without_a_table_there_has_to_be_something_to_finish(reviewed: Path) -> None:
    with pytest.raises(UserError, match=r"No relabelling was cut off; name the table to apply"):
        relabel(None, undo=False)
    with pytest.raises(UserError, match=r"--undo takes no table, but labels\.csv was given"):
        relabel(Path("labels.csv"), undo=True)


def test_while_a_run_is_at_work_nothing_is_relabelled(reviewed: Path, root: Path) -> None:
    table = _table({"train/ant/0.png": "remove"})
    with project_lock(reviewed), pytest.raises(UserError, match=r"is busy"):
        _in_another_process(table, root)


def _in_another_process(table: Path, root: Path) -> None:
    import sys

    code = f"from pathlib import Path; from tasks.relabel import relabel; relabel(Path({str(table)!r}), undo=False)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(root)}, check=False
    )
    raise UserError(done.stderr.splitlines()[-1])


def test_the_labels_of_test_images_stay_sealed(reviewed: Path) -> None:
    assert {row.label for row in read_manifest().rows if row.split == "test"} == {-1}

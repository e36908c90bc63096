"""Where the data set lives: refused when absent, tracked inside the project, pointed out outside of it."""

import shlex
import subprocess
from pathlib import Path

import pytest

from adapters import dvc_commands
from tasks import data_source
from tasks.params import Params, flatten
from tasks.params_blocks import DataParams
from transfer.errors import UserError


@pytest.fixture
def photos(project: Path) -> Path:
    folder = project / "data" / "photos"
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        (folder / name / "0.png").write_bytes(name.encode())
    return folder


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    folders: list[str] = []
    monkeypatch.setattr(dvc_commands, "add", lambda _, folder: folders.append(folder))
    return folders


def test_absent_data_set_is_refused_by_its_name(project: Path) -> None:
    with pytest.raises(UserError, match=r"data\.path is '\.\./nowhere', .* no such folder; name .*data\.path="):
        data_source.check(project, "../nowhere")


@pytest.mark.parametrize("path", ["data/digits", "./data/digits/", "data/x/../digits"])
def test_data_set_that_a_stage_writes_may_be_absent(project: Path, path: str, added: list[str]) -> None:
    data_source.check(project, path)
    data_source.check(project, str(project / path))
    assert data_source.track(project, path) is None
    assert added == []


def test_data_set_that_dvc_can_check_out_may_be_absent(project: Path) -> None:
    (project / "data").mkdir()
    (project / "data/photos.dvc").write_text("outs: []\n")
    data_source.check(project, "data/photos")
    data_source.check(project, "data/photos/train")
    assert data_source.dvc_file(project, str(project / "data/photos")) == Path("data/photos.dvc")


def test_folder_outside_names_the_command_that_versions_it(project: Path, added: list[str]) -> None:
    outside = project.parent / "photos"
    outside.mkdir()
    note = data_source.track(project, "../photos")
    assert note is not None
    assert "`dvc add ../photos -o data/photos`" in note
    assert added == []


def test_command_that_versions_a_folder_can_be_pasted(project: Path, added: list[str]) -> None:
    (project.parent / "my $HOME (2)").mkdir()
    note = data_source.track(project, "../my $HOME (2)")
    assert note is not None
    assert shlex.split(note.split("`")[1]) == ["dvc", "add", "../my $HOME (2)", "-o", "data/my $HOME (2)"]


def test_folder_inside_is_added_once(project: Path, photos: Path) -> None:
    note = data_source.track(project, "data/photos")
    assert note == "data/photos is now tracked by DVC; commit data/photos.dvc to keep this version."
    assert (project / "data/photos.dvc").is_file()
    assert sorted(path.name for path in photos.iterdir()) == ["ant", "bee"]
    assert data_source.track(project, "data/photos") is None


def test_folder_that_git_tracks_stays_with_git(project: Path, photos: Path, added: list[str]) -> None:
    subprocess.run(("git", "add", "data/photos"), cwd=project, check=True)
    assert data_source.track(project, "data/photos") is None
    assert added == []


def test_folder_that_dvc_refuses_loses_no_run(project: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise UserError("`dvc add data/photos` failed: no.")

    monkeypatch.setattr(dvc_commands, "add", refuse)
    assert data_source.track(project, "data/photos") == "data/photos has no versions: `dvc add data/photos` failed: no."


def test_a_table_is_noted_apart_from_its_folder(project: Path, photos: Path) -> None:
    (photos / "labels.csv").write_text("path,label\n")
    before = DataParams(path="data/digits")
    settled = data_source.settle(project, {"data.path": "data/photos/labels.csv", "finetune.epochs": 2}, before)
    assert settled == {"data.path": "data/photos", "data.table": "labels.csv", "finetune.epochs": 2}
    assert data_source.settle(project, {"data.path": "data/photos"}, before) == {"data.path": "data/photos"}


def test_what_was_said_of_another_table_is_taken_back(project: Path, photos: Path) -> None:
    before = DataParams(path="data/photos/", table="labels.csv", label="kind", columns=("site",))
    other = data_source.settle(project, {"data.path": "data/digits", "data.label": "x"}, before)
    assert other == {"data.path": "data/digits", "data.table": None, "data.columns": None, "data.label": "x"}
    assert data_source.settle(project, {"data.path": "data/photos"}, before) == {"data.path": "data/photos"}
    assert data_source.settle(project, {"finetune.epochs": 2}, before) == {"finetune.epochs": 2}


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (
            "data/photos/labels.csv",
            r"a table; in params.yaml write its folder \(data/photos\) as data.path and labels.csv as",
        ),
        ("data/photos.zip", r"an archive; make a folder of it first with `rootstock data import data/photos.zip`"),
        ("data/x.txt", r"a file, but must be a folder of images, a table"),
        ("torchvision/CIFAR10", r"a published data set; make .* `rootstock data import torchvision/CIFAR10`"),
        ("..", r"which holds the project itself"),
        (".", r"which holds the project itself"),
    ],
)
def test_what_is_no_folder_of_images_is_refused_with_what_to_do(
    project: Path, photos: Path, path: str, sentence: str
) -> None:
    for name in ("photos/labels.csv", "photos.zip", "x.txt"):
        (project / "data" / name).touch()
    with pytest.raises(UserError, match=sentence):
        data_source.check(project, path)


def test_a_data_set_is_examined_before_anything_starts(project: Path, photos: Path) -> None:
    said = {key: value for key, value in flatten(Params()).items() if key.startswith("data.")}
    data_source.examine({**said, "data.path": "data/nowhere"})  # a stage may make it
    data_source.examine({**said, "data.path": "data/photos"})
    (photos / "labels.csv").write_text("path,kind\nant/0.png,x\nbee/0.png,y\n")
    data_source.examine({**said, "data.path": "data/photos", "data.table": "labels.csv", "data.label": "kind"})
    with pytest.raises(UserError, match=r"^data.columns names 'no', but data/photos/labels.csv has only path, kind"):
        data_source.examine({**said, "data.path": "data/photos", "data.table": "labels.csv", "data.columns": ["no"]})

"""Decisions on the labels of data sets that tables describe: the tables change, all or none, and can be taken back."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from adapters import dvc_commands, relabelling
from adapters.json_files import sha256_of
from adapters.table_text import TableEdit
from tasks.data_diff import difference
from tasks.data_diff_tables import plain
from tasks.relabel import relabel
from tests.tasks.changed_data import commit, describe_and_record
from tests.tasks.described_photos import (
    CLASSES,
    DATA,
    SAID,
    classes_now,
    decided,
    describe,
    files_now,
    labelled,
    paint,
    rows_of,
    write_csv,
)
from transfer.errors import UserError


@pytest.fixture
def untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave DVC out, whose part has tests of its own and takes seconds."""
    monkeypatch.setattr("tasks.data_source.track", lambda *_: "")


def test_labels_of_a_table_change_as_a_version_that_can_be_taken_back(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = write_csv(rows_of())
    describe(**SAID)
    dvc_commands.add(project, str(DATA))
    describe_and_record(project, str(DATA))
    commit(project, "as it came", str(DATA))
    before, first = files_now(), Path("data/photos.dvc").read_text()
    table = decided({"images/0.png": "relabel:bee", "images/3.png": "keep", "images/5.png": "remove"})
    relabel(table, undo=False)
    told = capsys.readouterr().out
    assert (
        "1 image has another label now, 1 left data/photos. Changed: labels.csv; the file whose row went still" in told
    )
    lines = content.split(b"\r\n")
    lines[1] = lines[1].replace(b"ant", b"bee")
    assert files_now() == before | {"labels.csv": b"\r\n".join(lines[:6] + lines[7:])}
    assert Path("data/photos.dvc").read_text() != first
    assert classes_now()["images/0.png"] == "bee"
    assert "images/5.png" not in classes_now()
    relabel(table, undo=False)
    assert "2 decisions had been applied before" in capsys.readouterr().out
    image, changed = [{"from": name, "to": name} for name in ("images/0.png", "labels.csv")]
    for described in (False, True):  # the table says of the folder what no run has read yet
        if described:
            describe_and_record(project, str(DATA))
            assert "or that no table names, were ignored: 1 .png" in capsys.readouterr().out
        found = plain(difference("HEAD", "workspace"), None)["paths"]
        assert (found["moved_between_classes"], found["removed"]) == ([image], ["images/5.png"])
        assert (found["added"], found["other_files"]) == ([], [changed])
    relabel(None, undo=True)
    assert "Relabelling 1 is taken back: 2 images of data/photos are labelled as before." in capsys.readouterr().out
    assert files_now() == before
    assert Path("data/photos.dvc").read_text() == first


@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_numbers_of_classes_stay_numbers(project: Path, kind: str) -> None:
    rows = [{"file_name": path, "label": CLASSES.index(name), "split": split} for path, name, split in rows_of("a/")]
    path = DATA / f"metadata.{kind}"
    if kind == "jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        noted = {"info": {"features": {"label": {"names": CLASSES, "_type": "ClassLabel"}}}}
        table = pa.Table.from_pylist(rows).cast(
            pa.schema([("file_name", pa.string()), ("label", pa.int64()), ("split", pa.string())])
        )
        parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(noted)}), path)
    describe()
    bee = "bee" if kind == "parquet" else "1"
    relabel(decided({"a/0.png": f"relabel:{bee}", "a/1.png": "remove"}), undo=False)
    rows[0]["label"] = 1
    del rows[1]
    if kind == "jsonl":
        assert path.read_text() == "".join(f"{json.dumps(row)}\n" for row in rows)
    else:
        after = parquet.read_table(path)
        assert after.to_pylist() == rows
        assert json.loads(after.schema.metadata[b"huggingface"])["info"]["features"]["label"]["names"] == [*CLASSES]
    assert classes_now()["a/0.png"] == bee


@pytest.mark.usefixtures("untracked")
def test_a_label_is_written_as_the_table_writes_it_most_often(project: Path) -> None:
    written = ["1", '"1"', "1", "2", '"2"', '"2"']
    paint(*(f"{place}.png" for place in range(18)))
    lines = [f'{{"path": "{place}.png", "class": {written[place % 6]}}}' for place in range(18)]
    (DATA / "labels.jsonl").write_text("\n".join(lines))
    describe(table="labels.jsonl")
    image = next(row.path for row, name in labelled() if name == "1")
    relabel(decided({image: "relabel:2"}), undo=False)
    place = int(image.removesuffix(".png"))
    lines[place] = f'{{"path": "{image}", "class": "2"}}'
    assert (DATA / "labels.jsonl").read_text() == "\n".join(lines)


@pytest.mark.usefixtures("untracked")
def test_each_table_of_a_split_changes_by_itself(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "valid", "test"):
        names = [f"{place}.png" for place in range(6)]
        paint(*(f"{split}/{name}" for name in names))
        lines = [f"{name},{CLASSES[place % 3]}" for place, name in enumerate(names)]
        (DATA / split / "metadata.csv").write_text("\n".join(("file_name,label", *lines, "")))
    describe()
    before = files_now()
    relabel(decided({"train/0.png": "relabel:bee", "valid/5.png": "remove"}), undo=False)
    assert "Changed: train/metadata.csv and valid/metadata.csv;" in capsys.readouterr().out
    assert files_now() == before | {
        "train/metadata.csv": before["train/metadata.csv"].replace(b"0.png,ant", b"0.png,bee"),
        "valid/metadata.csv": before["valid/metadata.csv"].replace(b"5.png,cat\n", b""),
    }
    relabel(None, undo=True)
    assert files_now() == before


@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("split_column", [False, True])
def test_a_table_beside_class_folders_follows_the_files(project: Path, split_column: bool) -> None:
    rows = [(rf"{name}\{Path(path).name}", name, split) for path, name, split in rows_of("x/")]
    for path, *_ in rows:
        paint(path.replace("\\", "/"))
    for path in (DATA / "x").iterdir():
        path.unlink()
    (DATA / "x").rmdir()
    lines = [f"{path},p{place // 2}" + f",{split}" * split_column for place, (path, _, split) in enumerate(rows)]
    content = "\n".join(("file_name,patient" + ",split" * split_column, *lines[:10]))  # two images have no row
    (DATA / "metadata.csv").write_text(content)
    if split_column:
        (DATA / "metadata.csv").write_text("\n".join(("file_name,patient,split", *lines)))
        content = (DATA / "metadata.csv").read_text()
    describe()
    before = files_now()
    image = next(row.path for row, name in labelled() if name == "ant")
    gone = next(row.path for row, name in labelled() if name == "cat")
    relabel(decided({image: "relabel:bee", gone: "remove"}), undo=False)
    moved = image.replace("ant/", "bee/")
    kept = [line for line in content.split("\n") if not line.startswith(gone.replace("/", "\\"))]
    kept = [line.replace(image.replace("/", "\\"), moved.replace("/", "\\")) for line in kept]
    expected = {name: told for name, told in before.items() if name not in (image, gone)}
    assert files_now() == expected | {moved: before[image], "metadata.csv": "\n".join(kept).encode()}
    assert classes_now()[moved] == "bee"
    relabel(None, undo=True)
    assert files_now() == before


@pytest.mark.usefixtures("untracked")
def test_a_file_that_moves_is_not_taken_for_one_that_a_table_names_without_its_ending(project: Path) -> None:
    paint(*(f"{name}/{place}.png" for name in CLASSES for place in range(4)))
    for path in (DATA / "bee").iterdir():
        path.rename(path.with_name(path.with_suffix(".PNG").name))
    rows = [f"{name}/{place},p{place}" for name in CLASSES for place in range(4)]
    (DATA / "metadata.csv").write_text("\n".join(("path,who", *rows, "")))
    describe()
    image = next(row.path for row, name in labelled() if name == "ant" and row.split != "test")
    relabel(decided({image: "relabel:bee"}), undo=False)
    moved = image.replace("ant/", "bee/").replace(".png", "-from-ant.png")
    assert (DATA / moved).is_file()
    assert set(classes_now()) == {path for path in files_now() if path != "metadata.csv"}


@pytest.mark.usefixtures("untracked")
def test_a_table_is_relabelled_in_several_sittings(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = write_csv(rows_of())
    describe(**SAID)
    first = decided({"images/0.png": "relabel:bee"}).rename("first.csv")
    both = decided({"images/0.png": "relabel:bee", "images/2.png": "relabel:ant"})
    relabel(first, undo=False)
    relabel(both, undo=False)
    assert "1 decision had been applied before." in capsys.readouterr().out
    expected = content.replace(b"0.png;ant", b"0.png;bee").replace(b";2.png;cat", b";2.png;ant")
    assert (DATA / "labels.csv").read_bytes() == expected
    relabel(None, undo=True)
    relabel(None, undo=True)
    assert (DATA / "labels.csv").read_bytes() == content
    with pytest.raises(UserError, match=r"No relabelling is there to be taken back"):
        relabel(None, undo=True)


@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("undo", [False, True])
def test_a_table_whose_change_was_cut_off_is_finished_or_taken_back(
    project: Path, capsys: pytest.CaptureFixture[str], undo: bool
) -> None:
    content = write_csv(rows_of())
    describe(**SAID)
    table = decided({"images/0.png": "relabel:bee"})
    edit = TableEdit("labels.csv", sha256_of(DATA / "labels.csv"), "Art", like={0: 1})
    image = relabelling.Decided("images/0.png", sha256_of(DATA / "images/0.png"), "bee")
    begun = relabelling.begin(project, str(DATA), [], [edit], [image])
    if undo:  # cut off after the table was replaced, before that was written down
        relabelling.carry_out(project, begun)
    with pytest.raises(UserError, match=r"Relabelling 1 of data/photos was cut off in between"):
        relabel(table, undo=False)
    relabel(None, undo=undo)
    told = (
        "taken back: 1 image of" if undo else "1 image has another label now, 0 left data/photos. Changed: labels.csv."
    )
    assert told in capsys.readouterr().out
    expected = content if undo else content.replace(b"0.png;ant", b"0.png;bee")
    assert (DATA / "labels.csv").read_bytes() == expected
    relabelling.refuse_if_cut_off(project)


def test_a_table_outside_of_the_project_changes_without_versions(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = write_csv(rows_of())
    describe(**SAID)
    table = decided({"images/0.png": "relabel:bee"})
    DATA.rename(tmp_path / "elsewhere")
    params = Path("params.yaml")
    params.write_text(params.read_text().replace(f"path: {DATA}", "path: ../elsewhere"))
    relabel(table, undo=False)
    assert "../elsewhere is outside the project: DVC hashes it" in capsys.readouterr().out
    changed = tmp_path / "elsewhere/labels.csv"
    assert changed.read_bytes() == content.replace(b"0.png;ant", b"0.png;bee")
    relabel(None, undo=True)
    assert changed.read_bytes() == content


@pytest.mark.slow
def test_a_table_that_dvc_tracks_by_itself_is_tracked_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(rows_of())
    describe(**SAID)
    dvc_commands.add(project, str(DATA / "labels.csv"))
    first = (DATA / "labels.csv.dvc").read_text()
    relabel(decided({"images/0.png": "relabel:bee"}), undo=False)
    assert "data/photos/labels.csv.dvc describes this version" in capsys.readouterr().out
    assert (DATA / "labels.csv.dvc").read_text() != first

"""`rootstock data import`: a folder that a run can use, of archives, tables elsewhere and published sets."""

import csv
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from adapters import archive_members
from adapters.json_files import sha256_of
from tasks.data_import import ORIGIN, Choices, bring, sorted_out
from tasks.data_import_tables import show_import
from transfer.errors import UserError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make class folders with two images each outside the project."""
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(2):
            pixels = draw.integers(0, 256, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def _zip(photos: Path, below: str = "photos", *extra: tuple[str, str]) -> Path:
    path = photos.parent / "my photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(photos.rglob("*.png")):
            archive.write(file, f"{below}/{file.relative_to(photos).as_posix()}")
        for name, text in extra:
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize("below", ["photos", ".", "x/y"])
def test_class_folders_in_a_zip(project: Path, photos: Path, below: str, capsys: pytest.CaptureFixture[str]) -> None:
    archive = _zip(photos, below, ("photos/README.md", "hello"), ("__MACOSX/._x.png", "x"))
    if below == "photos":
        show_import(str(archive), Choices())
        assert capsys.readouterr().out.splitlines() == [
            "data/my photos: 4 images of 2 classes (a, b).",
            "Files of other kinds stayed in the archive: 1 .md.",
            "Next: rootstock run 'data.path=data/my photos'",
        ]
    else:
        assert bring(str(archive), Choices()).overrides == ("data.path=data/my photos",)
    made = project / "data/my photos"
    assert {path.relative_to(made).as_posix() for path in made.rglob("*.png")} == {
        "a/0.png",
        "a/1.png",
        "b/0.png",
        "b/1.png",
    }
    assert (made / "a/0.png").read_bytes() == (photos / "a/0.png").read_bytes()
    assert json.loads((made / ORIGIN).read_text()) == {"source": "my photos.zip", "sha256": sha256_of(archive)}


def test_train_alone_is_no_wrapping(project: Path, photos: Path) -> None:
    assert len(bring(str(_zip(photos, "photos/train")), Choices()).listing.files) == 4
    assert (project / "data/my photos/train/a").is_dir()


def test_a_table_in_a_tar_has_to_be_named(project: Path, photos: Path) -> None:
    (photos / "labels.csv").write_text("path,label,site\na/0.png,x,1\na/1.png,y,1\nb/0.png,x,2\n")
    with tarfile.open(photos.parent / "t.tgz", "w:gz") as archive:
        for file in (photos / "a", photos / "b", photos / "labels.csv"):
            archive.add(file, file.name)
    assert bring(str(photos.parent / "t.tgz"), Choices(Path("data/t"))).overrides == (
        "data.path=data/t",
    )  # class folders win
    (photos / "labels.csv").write_text("path,label,site\nall/0.png,x,1\nall/1.png,y,1\n")
    with tarfile.open(photos.parent / "u.tar.gz", "w:gz") as archive:
        archive.add(photos / "a", "all")
        archive.add(photos / "labels.csv", "labels.csv")
    done = bring(str(photos.parent / "u.tar.gz"), Choices())
    assert (done.overrides, done.listing.columns) == (("data.path=data/u/labels.csv",), {"site": "float64"})


def test_a_table_of_images_anywhere_is_copied_with_them(project: Path, photos: Path) -> None:
    with (photos.parent / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["image", "class", "patient", "note"])
        for number, name in enumerate(("a/0", "a/1", "b/0", "b/1")):
            place = photos / f"{name}.png" if number % 2 else f"photos/{name}.png"
            writer.writerow([place, name[0], f"p{number // 2}", '=1+1; "quoted"\nand on'])
    done = bring(str(photos.parent / "list.csv"), Choices(Path("data/study")))
    assert done.overrides == ("data.path=data/study",)
    assert [file.path for file in done.listing.files] == [f"images/{name}.png" for name in ("a/0", "a/1", "b/0", "b/1")]
    assert {file.group for file in done.listing.files} == {"p0", "p1"}
    assert {file.columns for file in done.listing.files} == {('=1+1; "quoted"\nand on',)}
    assert (project / "data/study/images/b/1.png").read_bytes() == (photos / "b/1.png").read_bytes()


def test_a_published_set_from_files_that_are_here(project: Path, tmp_path: Path) -> None:
    raw = tmp_path / "root/MNIST/raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, 10, 28, 28) + bytes(range(10)) * 784)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, 10) + bytes(range(10)))
    done = bring("torchvision/mnist", Choices(root=tmp_path / "root"))
    assert (done.folder, len(done.listing.files), done.listing.given_splits) == ("data/mnist", 20, ("train", "test"))
    assert json.loads((project / "data/mnist" / ORIGIN).read_text()) == {"source": "torchvision/mnist"}


def _write_shard(place: Path, images: list[bytes | None], labels: list[int], **columns: list[object]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    held = [None if image is None else {"bytes": image, "path": "x"} for image in images]
    table = pa.table({"image": pa.array(held, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))} | {
        "labels": pa.array(labels), **{name: pa.array(values) for name, values in columns.items()}
    })  # fmt: skip
    names = {"info": {"features": {"labels": {"names": ["ant", "bee"], "_type": "ClassLabel"}}}}
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), place, compression="zstd")


def test_images_inside_parquet_files_become_files(project: Path, photos: Path) -> None:
    images = [file.read_bytes() for file in sorted(photos.rglob("*.png"))]
    for split in ("train", "validation", "test"):
        _write_shard(photos.parent / f"beans/data/{split}-00000-of-00001.parquet", images[:2], [0, 1], site=["s", None])
    with pytest.raises(UserError, match=r"^../beans/metadata.csv has no column of labels .* data.label=COLUMN"):
        bring("../beans", Choices())
    done = bring("../beans", Choices(label="labels"))
    assert done.overrides == ("data.path=data/beans", "data.label=labels")
    assert (done.listing.classes, done.listing.given_splits) == (("ant", "bee"), ("train", "val", "test"))
    assert {file.columns for file in done.listing.files} == {("s",), (None,)}
    written = sorted((project / "data/beans/images").rglob("*.png"))
    assert [path.read_bytes() for path in written] == images[:2] * 3
    only = bring("../beans/data/train-00000-of-00001.parquet", Choices(Path("data/one"), label="labels"))
    assert len(only.listing.files) == 2


def test_parquet_files_that_cannot_be_used(project: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_members, "_HARMLESS_BYTES", 2_000_000)
    image = (photos / "a/0.png").read_bytes()
    _write_shard(photos.parent / "gone/train-0.parquet", [image, None], [0, 1])
    _write_shard(photos.parent / "bomb/train-0.parquet", [bytes(1_000_000)] * 9, [0] * 9)
    _write_shard(photos.parent / "two/train-0.parquet", [image], [0])
    _write_shard(photos.parent / "two/train-1.parquet", [image], [0], site=["s"])
    (photos.parent / "bad").mkdir()
    (photos.parent / "bad/x.parquet").write_bytes(b"PAR1")
    for name, sentence in {
        "gone": r"Row 2 of \S+train-0.parquet holds no image",
        "bomb": r"unpacks to more than [\d,]+ bytes",
        "two": r"train-1.parquet has other columns than",
        "bad": r"x.parquet is no Parquet file that can be read",
    }.items():
        with pytest.raises(UserError, match=sentence):
            bring(f"../{name}", Choices(label="labels"))
    assert not (project / "data").exists() or [*(project / "data").iterdir()] == []


def test_parquet_files_of_one_name_are_told_apart_by_their_folders(project: Path, photos: Path) -> None:
    images = [file.read_bytes() for file in sorted(photos.rglob("*.png"))]
    for split in ("train", "test"):
        _write_shard(photos.parent / f"hub/default/{split}/0000.parquet", images[:2], [0, 1], path=["x", "y"])
    done = bring("../hub", Choices(label="labels"))
    assert (done.listing.given_splits, done.listing.columns) == (("train", "test"), {"path": "string"})
    assert [file.path for file in done.listing.files][:2] == [
        "images/test/0000/000000.png",
        "images/test/0000/000001.png",
    ]


def test_damaged_pages_of_a_parquet_file_are_the_files_fault(project: Path, photos: Path) -> None:
    path = photos.parent / "torn/train-0.parquet"
    _write_shard(path, [b"x" * 9000] * 20, [0, 1] * 10)
    content = bytearray(path.read_bytes())
    content[8:60] = bytes(52)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"train-0.parquet is no Parquet file that can be read .*; get it again"):
        bring("../torn", Choices(label="labels"))


def test_what_the_hub_calls_an_image_is_no_way_to_name_a_file(project: Path, photos: Path) -> None:
    content = (photos / "a/0.png").read_bytes()
    held = [{"bytes": b"?" + content, "path": name} for name in ("x.p\0y", "x.PY", "x.JPG", None)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(held, kind), "mask": pa.array(held, kind), "label": ["a", "b"] * 2})
    parquet.write_table(table, photos.parent / "odd.parquet")
    with pytest.raises(UserError, match=r"holds images in image and mask; say which with data.image=image"):
        bring("../odd.parquet", Choices(Path("data/odd")))
    with pytest.raises(UserError, match=r"holds images in image and mask, not in 'x'"):
        bring("../odd.parquet", Choices(Path("data/odd"), image="x"))
    found = bring("../odd.parquet", Choices(Path("data/odd"), image="mask")).listing.files
    assert [file.path.rpartition(".")[2] for file in found] == ["png", "png", "jpg", "png"]


def test_what_is_told_of_a_table_is_what_a_run_is_told(project: Path, photos: Path) -> None:
    rows = "".join(f"{name}.png,x{name},{name[0]},p{name[2]},q,1,2\n" for name in ("a/0", "a/1", "b/0", "b/1"))
    text = f'path,image,kind,group,patient,"a,b",c\n{rows}'
    (photos / "train.csv").write_text(text)
    with pytest.raises(
        UserError, match=r"group and patient, which may both hold the group; say which with data.group="
    ):
        bring("../photos/train.csv", Choices(Path("data/t"), image="path"))
    said = ("data.group=group", "data.label=kind", 'data.columns=["a,b",c]')
    done = bring("../photos/train.csv", Choices(*sorted_out(["data/t", *said]), image="path"))
    assert done.overrides == ("data.path=data/t", "data.label=kind", "data.group=group", 'data.columns=["a,b", c]')
    assert [*done.listing.columns] == ["a,b", "c"]
    archive = photos.parent / "kaggle.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in photos.rglob("*.png"):
            packed.write(file, f"all/{file.relative_to(photos).as_posix()}")
        packed.writestr("train.csv", text)
        packed.writestr("submission.csv", "id,kind\n")
    with pytest.raises(UserError, match=r"or name its table with `data.table=submission.csv`; nothing was imported"):
        bring(str(archive), Choices())
    named = ("data.table=train.csv", "data.image=path", "data.images=all", *said)
    done = bring(str(archive), Choices(settings=named))
    assert set(done.overrides) == {"data.path=data/kaggle/train.csv", *named[1:5], 'data.columns=["a,b", c]'}


def test_what_says_nothing_of_the_source_is_refused(project: Path, photos: Path) -> None:
    archive = str(_zip(photos))
    _write_shard(photos.parent / "held.parquet", [(photos / "a/0.png").read_bytes()], [0])
    cases = {
        r"data.images is about tables that name images": ("../held.parquet", Choices(settings=("data.images=x",))),
        r"finetune.epochs says nothing of a table": (archive, Choices(settings=("finetune.epochs=3",))),
        r"data.path says nothing of a table": (archive, Choices(settings=("data.path=x",))),
        r"--root is about torchvision's sets alone": (archive, Choices(root=Path("x"))),
        r"--encoding is about archives alone": ("torchvision/MNIST", Choices(encoding="cp932")),
        r"data.table is about archives alone": ("torchvision/MNIST", Choices(settings=("data.table=x.csv",))),
    }
    for sentence, (source, choices) in cases.items():
        with pytest.raises(UserError, match=sentence):
            bring(source, choices)
    with pytest.raises(UserError, match=r"a and b cannot both be made; name one folder"):
        sorted_out(["a", "data.label=x", "b"])


def test_sources_that_cannot_be_used(project: Path, photos: Path) -> None:
    (photos.parent / "x.7z").touch()
    (photos.parent / "note.txt").touch()
    (photos.parent / "bad.csv").write_text("path,label\nnowhere.png,x\n")
    (photos.parent / "secret.csv").write_text("path,label\n/etc/passwd,x\n")
    (photos.parent / "twice.csv").write_text("path,label\nphotos/a/0.png,x\nphotos/b/../a/0.png,y\n")
    cases = {
        "nowhere.zip": r"nowhere.zip is not there; name a zip or tar archive, a table \(.csv",
        "../photos": r"../photos is a folder, which needs no import; run `rootstock run data.path=../photos`",
        "../x.7z": r"../x.7z is neither an archive",
        "../note.txt": r"neither an archive",
        "https://example.org/x.zip": r"is an address; download the file first",
        "torchvision/CelebA": r"none of torchvision's data sets that give every image one label",
        "../bad.csv": r"The image 'nowhere.png' in line 2 of the table is not there",
        "../secret.csv": r"'/etc/passwd' in line 2 of the table is no image file",
        "../twice.csv": r"names 0.png in line 2 and in line 3; remove one row",
    }
    for source, sentence in cases.items():
        with pytest.raises(UserError, match=sentence):
            bring(source, Choices())
    assert not (project / "data").exists() or [*(project / "data").iterdir()] == []


def test_an_archive_that_is_no_data_set_leaves_nothing(project: Path, photos: Path) -> None:
    archive = photos.parent / "flat.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(photos / "a/0.png", "0.png")
    with pytest.raises(
        UserError, match=r"^\S*flat.zip holds 1 files \(0.png, ...\) but no class folders; .* imported.$"
    ):
        bring(str(archive), Choices())
    assert [*(project / "data").iterdir()] == []
    _zip(photos)
    bring("../my photos.zip", Choices())
    with pytest.raises(UserError, match=r"data/my photos is there already"):
        bring("../my photos.zip", Choices())
    with pytest.raises(UserError, match=r"\.\. holds the project itself"):
        bring("../my photos.zip", Choices(Path("..")))

"""Sides of images in a project: the ledger, copies across given splits, groups, growth, and what DVC keeps of it."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image, ImageOps
from pyarrow import parquet

from adapters.manifest_file import MANIFEST
from adapters.split_ledger import LEDGER
from tasks import manifest as steps
from transfer.errors import UserError

SEED_0 = "seed=0 val=0.2 test=0.2"


def _image(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((90, 90), Image.Resampling.BICUBIC)


def _paint(folder: Path, seeds: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        _image(seed).save(folder / f"{seed:03d}.png")


@pytest.fixture
def photos(unmade_photos: Path) -> Path:
    return unmade_photos


def _made() -> pd.DataFrame:
    steps.describe()
    return pd.read_parquet(MANIFEST).set_index("path")


def _set(key: str, value: object) -> None:
    params = Path("params.yaml")
    lines = params.read_text().splitlines()
    block = lines.index("manifest:")
    at = next(at for at in range(block, len(lines)) if lines[at].startswith(f"  {key}:"))
    lines[at] = f"  {key}: {value}"
    params.write_text("\n".join(lines) + "\n")


def test_the_ledger_holds_every_image_and_the_next_run_changes_nothing(photos: Path) -> None:
    _paint(photos / "a", range(12))
    _paint(photos / "b", range(20, 32))
    frame, ledger = _made(), LEDGER.read_bytes()
    lines = ledger.decode().splitlines()
    assert lines[0] == "draw,sha256,split,group"
    assert lines[1:] == sorted(f"{SEED_0},{row.sha256[:16]},{row.split}," for row in frame.itertuples())
    manifest = MANIFEST.read_bytes()
    steps.describe()
    assert (LEDGER.read_bytes(), MANIFEST.read_bytes()) == (ledger, manifest)


def test_what_comes_fills_what_is_missing_and_moves_nothing(photos: Path) -> None:
    for name, start in (("a", 0), ("b", 100)):
        _paint(photos / name, range(start, start + 10))
    before = _made()["split"]
    for name, start in (("a", 10), ("b", 110)):
        _paint(photos / name, range(start, start + 20))
    after = _made()
    assert after.loc[before.index, "split"].equals(before)
    counts = after.groupby(["class_name", "split"]).size().to_dict()
    assert counts == {(name, split): n for name in "ab" for split, n in (("train", 18), ("val", 6), ("test", 6))}


def test_an_image_that_was_away_comes_back_to_its_side(photos: Path) -> None:
    for name, start in (("a", 0), ("b", 100)):
        _paint(photos / name, range(start, start + 12))
    before = _made()["split"]
    away = [photos / path for path in before.index[:5]]
    kept = [path.read_bytes() for path in away]
    for path in away:
        path.unlink()
    _paint(photos / "a", range(40, 52))
    _made()
    for path, content in zip(away, kept, strict=True):
        path.write_bytes(content)
    assert _made().loc[before.index, "split"].equals(before)


def test_a_run_that_ends_between_the_ledger_and_the_manifest_moves_nothing(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for name, start in (("a", 0), ("b", 100)):
        _paint(photos / name, range(start, start + 12))
    before = _made()["split"]
    _paint(photos / "a", range(40, 60))
    with monkeypatch.context() as patched:
        patched.setattr(steps, "write_manifest", interrupted)
        with pytest.raises(KeyboardInterrupt):
            steps.describe()
    drawn = LEDGER.read_bytes()
    assert pd.read_parquet(MANIFEST).set_index("path")["split"].equals(before)
    MANIFEST.unlink()  # as DVC does before it runs a stage again
    after = _made()
    assert after.loc[before.index, "split"].equals(before)
    assert LEDGER.read_bytes() == drawn
    lines = {f"{SEED_0},{row.sha256[:16]},{row.split}," for row in after.itertuples()}
    assert lines == set(drawn.decode().splitlines()[1:])


def test_another_seed_draws_anew_and_going_back_finds_the_former_sides(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, start in (("a", 0), ("b", 100)):
        _paint(photos / name, range(start, start + 20))
    before = _made()["split"]
    assert "drawn anew" not in capsys.readouterr().out
    _set("seed", 1)
    assert not _made()["split"].equals(before)
    assert "drawn anew (seed=1 val=0.2 test=0.2)" in capsys.readouterr().out
    _paint(photos / "a", range(40, 60))
    _set("seed", 0)
    assert _made().loc[before.index, "split"].equals(before)


def test_near_duplicates_stay_together_and_bear_one_name(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, start in (("a", 0), ("b", 100)):
        _paint(photos / name, range(start, start + 20))
    for seed in range(10):
        ImageOps.mirror(_image(seed)).crop((0, 2, 88, 90)).resize((60, 60)).save(photos / "a" / f"copy{seed}.jpg")
    frame = _made()
    for seed in range(10):
        one, other = frame.loc[f"a/{seed:03d}.png"], frame.loc[f"a/copy{seed}.jpg"]
        assert (one["split"], one["group"], one["copies"]) == (other["split"], other["group"], other["copies"])
        assert one["group"] == min(one["sha256"], other["sha256"])
    assert frame["copies"].nunique() == 40
    assert "10 of 50 images are near-duplicates of others" in capsys.readouterr().out
    _set("near_duplicates", "false")
    assert _made()["copies"].nunique() == 50


def test_copies_of_images_that_came_later_are_found_as_if_all_were_compared(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, start in (("a", 0), ("b", 100)):
        _paint(photos / name, range(start, start + 20))
    _made()
    (photos / "a/001.png").unlink()
    _image(5).transpose(Image.Transpose.ROTATE_90).save(photos / "b/105.png")
    ImageOps.mirror(_image(110)).resize((60, 60)).save(photos / "b/new.jpg")
    frame, content = _made(), MANIFEST.read_bytes()
    for one, other in (("a/005.png", "b/105.png"), ("b/110.png", "b/new.jpg")):
        assert frame.loc[one, "copies"] == frame.loc[other, "copies"]
    assert frame["copies"].nunique() == len(frame) - 2
    monkeypatch.setenv("ROOTSTOCK_CACHE_GB", "0")
    _made()
    assert MANIFEST.read_bytes() == content


def test_given_splits_are_honoured_and_an_image_that_was_moved_is_told(photos: Path) -> None:
    for split, start in (("train", 0), ("val", 200), ("test", 400)):
        for name, more in (("a", 0), ("b", 100)):
            _paint(photos / split / name, range(start + more, start + more + 4))
    frame = _made()
    assert (frame.index.str.split("/").str[0] == frame["split"]).all()
    assert (frame["first_split"] == frame["split"]).all()
    (photos / "train/a/000.png").rename(photos / "test/a/000.png")
    for _ in range(2):
        moved = _made()
        assert moved.index[moved["first_split"] != moved["split"]].tolist() == ["test/a/000.png"]
        assert moved.loc["test/a/000.png", ["split", "first_split"]].tolist() == ["test", "train"]


def test_a_drawn_copy_of_a_given_test_image_has_not_changed_side(photos: Path) -> None:
    for name, start in (("a", 0), ("b", 100)):
        _paint(photos / name, range(start, start + 8))
    shutil.copyfile(photos / "a/000.png", photos / "a/copy.png")
    named = {"a/000.png": "test", "b/100.png": "test"}
    paths = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    lines = [f"{path},{path[0]},{named.get(path, '')}" for path in paths]
    (photos / "metadata.csv").write_text("\n".join(["file_name,label,split", *lines]))
    frame, manifest = _made(), MANIFEST.read_bytes()
    assert frame.loc["a/000.png", "split"] == "test" != frame.loc["a/copy.png", "split"]
    assert (frame["first_split"] == frame["split"]).all()
    steps.describe()
    assert MANIFEST.read_bytes() == manifest


def test_leaks_across_given_splits_are_findings_with_their_files(photos: Path) -> None:
    from adapters.json_files import read_json
    from tasks import validate

    for split, start in (("train", 0), ("test", 400)):
        for name, more in (("a", 0), ("b", 100)):
            _paint(photos / split / name, range(start + more, start + more + 8))
    _made()
    ImageOps.mirror(_image(3)).resize((70, 70)).save(photos / "test" / "a" / "copy.jpg")
    (photos / "train/b/105.png").rename(photos / "test/b/105.png")
    frame = _made()
    frame["user_group"] = ["p1" if path in ("train/a/000.png", "test/a/400.png") else None for path in frame.index]
    frame["user_group"] = frame["user_group"].astype("string")
    table = pa.Table.from_pandas(frame.reset_index(), schema=parquet.read_schema(MANIFEST), preserve_index=False)
    parquet.write_table(table, MANIFEST)
    validate.check()
    found = {
        check["name"]: {example["row"] for example in check["examples"]}
        for check in read_json(validate.REPORT)["checks"]
        if not check["passed"]
    }
    assert found["no_near_copy_across_splits"] == {"train/a/003.png", "test/a/copy.jpg"}
    assert found["no_group_across_splits"] == {"train/a/000.png", "test/a/400.png"}
    assert found["no_image_changed_side"] == {"test/b/105.png"}
    assert "no_training_copy_in_test" not in found


def test_a_deleted_ledger_comes_back_from_the_cache_or_stops_the_run(photos: Path) -> None:
    for name, start in (("a", 0), ("b", 100)):
        _paint(photos / name, range(start, start + 12))
    before = _made()["split"]
    content = LEDGER.read_bytes()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    kept = Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    Path("dvc.lock").write_text(
        f"schema: '2.0'\nstages:\n  manifest:\n    cmd: x\n    outs:\n    - path: {LEDGER}\n      md5: {md5}\n"
    )
    shutil.rmtree("artifacts")
    _paint(photos / "a", range(40, 60))
    assert _made().loc[before.index, "split"].equals(before)
    shutil.rmtree("artifacts")
    kept.unlink()
    with pytest.raises(UserError, match=r"splits.csv, which says where each image was put, is missing"):
        steps.describe()
    LEDGER.parent.mkdir(parents=True)
    LEDGER.touch()
    assert len(_made()) == 44


@pytest.mark.slow
def test_dvc_keeps_the_ledger_between_runs_and_brings_back_the_one_of_an_old_revision(
    project_with_code: Path,
) -> None:
    """The real thing: `dvc repro`, `dvc checkout` and a folder of artifacts that was deleted."""
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("path: data/digits", "path: photos"))
    for name, start in (("a", 0), ("b", 100)):
        _paint(Path("photos") / name, range(start, start + 12))

    def dvc(*arguments: str) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = (sys.executable, "-m", "dvc", *arguments)
        done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def repro() -> pd.Series:
        dvc("repro", "manifest")
        return pd.read_parquet(MANIFEST).set_index("path")["split"]

    before, first = repro(), LEDGER.read_bytes()
    subprocess.run(("git", "add", "-A", "-f", "dvc.lock", "params.yaml", "dvc.yaml"), check=True)
    subprocess.run(("git", "commit", "-qm", "one"), check=True)
    _paint(Path("photos/a"), range(40, 60))
    after, second = repro(), LEDGER.read_bytes()
    assert after[before.index].equals(before)
    assert set(first.splitlines()) < set(second.splitlines())
    shutil.rmtree("artifacts")
    assert repro().equals(after)
    subprocess.run(("git", "checkout", "-q", "dvc.lock"), check=True)
    dvc("checkout", "--force", LEDGER.as_posix())
    assert LEDGER.read_bytes() == first

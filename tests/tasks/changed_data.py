"""A project whose data set has changed: from a commit tagged v1 to a second one, and once more in the folder."""

import contextlib
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from adapters import dvc_cache
from adapters.manifest_file import MANIFEST
from tasks.manifest import describe
from transfer.data.encoding import grey_png

N_PER_CLASS = 6
LOCK = """schema: '2.0'
stages:
  manifest:
    cmd: python -m flows.manifest
    deps:
    - path: {path}
      md5: {data}
    outs:
    - path: artifacts/manifest/manifest.parquet
      md5: {manifest}
"""


def dvc(project: Path, *arguments: str) -> None:
    words = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def git(project: Path, *arguments: str) -> None:
    subprocess.run(("git", *arguments), cwd=project, check=True, capture_output=True)


def draw(path: Path, seed: int, level: float = 0.5) -> None:
    """Write a noisy image of a brightness."""
    pixels = np.random.default_rng(seed).integers(-30, 30, (16, 16)) + round(255 * level)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(grey_png(np.clip(pixels, 0, 255).astype(np.uint8), 16))


def digest_of(project: Path, path: str = "data/set") -> str:
    return str(yaml.safe_load((project / f"{path}.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"])


def describe_and_record(project: Path, path: str = "data/set") -> None:
    """Leave the manifest of the folder in DVC's cache and dvc.lock, as `dvc repro` does."""
    describe()
    md5 = hashlib.md5(MANIFEST.read_bytes(), usedforsecurity=False).hexdigest()
    place = dvc_cache.object_place(project, md5)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(MANIFEST, place)
    (project / "dvc.lock").write_text(
        LOCK.format(path=path, data=digest_of(project, path), manifest=md5), encoding="utf-8"
    )


def commit(project: Path, message: str, path: str = "data/set") -> None:
    git(project, "add", "--force", f"{path}.dvc", "data/.gitignore", "dvc.lock", "params.yaml")
    git(project, "commit", "--quiet", "--message", message)


def make(folder: Path, lay_out: Callable[[Path], None]) -> Path:
    """Make the project, its remote beside it."""
    project = folder / "project"
    lay_out(project)
    params = project / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("data/digits", "data/set"), encoding="utf-8")
    data = project / "data" / "set"
    for name in "abc":
        for number in range(N_PER_CLASS):
            draw(data / name / f"{number}.png", seed=1000 * ord(name) + number)
    (data / "notes.txt").write_text("of the first day", encoding="utf-8")
    with contextlib.chdir(project):
        dvc(project, "remote", "add", "-d", "store", "../store")
        dvc(project, "add", "data/set")
        describe_and_record(project)
        commit(project, "the first images")
        git(project, "tag", "v1")
        dvc(project, "push", "data/set.dvc")
        shutil.copyfile(MANIFEST, project / "before.parquet")
        change(data)
        text = params.read_text(encoding="utf-8")
        params.write_text(text.replace("manifest:\n  seed: 0", "manifest:\n  seed: 1"), encoding="utf-8")  # drawn anew
        dvc(project, "add", "data/set")
        describe_and_record(project)
        commit(project, "more images")
    (data / "c" / "5.png").unlink()
    return project


def change(data: Path) -> None:
    """Change the data set in every way once, and add bright images to a class."""
    (data / "a" / "0.png").rename(data / "b" / "from_a.png")  # another class
    (data / "a" / "1.png").rename(data / "a" / "renamed.png")
    (data / "c" / "0.png").unlink()
    draw(data / "c" / "1.png", seed=77)  # other content
    shutil.copyfile(data / "a" / "2.png", data / "c" / "copy.png")
    for number in range(20):
        draw(data / "b" / f"bright_{number:02d}.png", seed=500 + number, level=0.9)
    (data / "notes.txt").write_text("of the second day", encoding="utf-8")

"""What versions of many small images cost: as files, as files that are links, and packed into shards.

    python -m benchmarks.data_versions [--data ../shared] [--images 10000 50000] [--arms files hardlinks tar]

Every step is a whole process (packing and unpacking are functions), timed on a data set of real small images below a
temporary folder: those of CIFAR-10 and MNIST, upright first, then mirrored and turned until there are enough. Runs are
kept in docs/data_versions.json; the table in docs/data.md is made of all of them.
"""

import argparse
import io
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.kept import put_table, read_runs, write_runs

ROOT = Path(__file__).resolve().parents[1]
RUNS, DOCUMENT = ROOT / "docs" / "data_versions.json", ROOT / "docs" / "data.md"
N_SHARDS = 64
ARMS = {
    "files": "files, DVC's own setting (reflinks, else copies)",
    "hardlinks": "files, `cache.type` hardlink",
    "symlinks": "files, `cache.type` symlink",
    "tar": f"{N_SHARDS} tar shards by content",
    "zip": f"{N_SHARDS} zip shards by content",
    "parquet": f"{N_SHARDS} Parquet shards by content",
}
STEPS = ("add", "status", "push", "pull", "checkout", "add again", "push again")
DIFFS = {
    "diff": "two commits, no manifest here",
    "diff with manifests": "two commits, 50 images of each class moved, with both manifests",
    "diff folder": "a commit and the folder as it is",
}
STAGE = """stages:
  manifest:
    cmd: {python} -c 'from tasks.manifest import describe; describe()'
    deps: [data/set]
    outs: [artifacts/manifest/manifest.parquet]
"""


def main(shared: Path, sizes: list[int], arms: list[str]) -> None:
    """Measure, keep the runs, and write the table."""
    for n_images in sizes:
        with tempfile.TemporaryDirectory(prefix="rootstock-") as scratch:
            source = Path(scratch) / "images"
            _write(source, _images(shared, n_images))
            extra = [*_images(shared, n_images + n_images // 100)][n_images:]
            for arm in arms:
                run = {"arm": arm, "images": n_images, "megabytes": _size_mb(source)}
                run |= _measured(Path(scratch) / arm, source, arm, extra)
                print(run, flush=True)
                kept = [one for one in read_runs(RUNS) if (one["arm"], one["images"]) != (arm, n_images)]
                write_runs(RUNS, sorted([*kept, run], key=lambda one: (one["images"], [*ARMS].index(one["arm"]))))
                shutil.rmtree(Path(scratch) / arm)
    if DOCUMENT.is_file():
        put_table(DOCUMENT, "data versions", table(read_runs(RUNS)))


def table(runs: list[Any]) -> str:
    """Return the runs as a table: seconds of wall and, in brackets, of processor time."""
    head = ["images", "kept as", *STEPS, "stored for 1 % more"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for run in runs:
        cells = [f"{run[step][0]:.1f} ({run[step][1]:.1f})" for step in STEPS]
        lines.append(
            f"| {run['images']:,} | {ARMS[run['arm']]} | {' | '.join(cells)} | "
            f"{run['grown_mb']:.1f} of {run['megabytes']:.1f} MB |"
        )
    compared = [run for run in runs if "diff" in run]
    lines += ["", "| images | `rootstock data diff` of | wall | processor |", "|---|---|---|---|"] if compared else []
    for run in compared:
        lines += [f"| {run['images']:,} | {DIFFS[one]} | {run[one][0]:.1f} s | {run[one][1]:.1f} s |" for one in DIFFS]
    return "\n".join(lines)


def _measured(place: Path, source: Path, arm: str, extra: list[tuple[str, bytes]]) -> dict[str, Any]:
    project, clone = place / "project", place / "clone"
    _begin(project, arm)
    data = project / "data" / "set"
    shutil.copytree(source, data)
    packed = arm in _PACK
    target = "data/packed" if packed else "data/set"
    packing, unpacking = (_PACK[arm], _UNPACK[arm]) if packed else (_nothing, _nothing)
    taken: dict[str, Any] = {}
    taken["add"] = _sum(_timed(packing, data, project / target), _dvc(project, "add", target))
    taken["status"] = _dvc(project, "status")
    taken["push"] = _dvc(project, "push")
    _commit(project)
    subprocess.run(("git", "clone", "--quiet", project, clone), check=True)
    _settle(clone)
    taken["pull"] = _sum(_dvc(clone, "pull"), _timed(unpacking, clone / target, clone / "data" / "set"))
    shutil.rmtree(data)
    shutil.rmtree(project / target, ignore_errors=True)
    taken["checkout"] = _sum(_dvc(project, "checkout"), _timed(unpacking, project / target, data))
    before = _size_mb(project / ".dvc" / "cache")
    _write(data, extra)
    taken["add again"] = _sum(_timed(packing, data, project / target), _dvc(project, "add", target))
    taken["push again"] = _dvc(project, "push")
    taken["grown_mb"] = _size_mb(project / ".dvc" / "cache") - before
    _commit(project)
    return taken | (_diffs(project) if arm == "files" else {})


def _diffs(project: Path) -> dict[str, Any]:
    """Time `rootstock data diff` of files: without manifests, with both, and with the folder as it is."""
    ask = (sys.executable, "-m", "flows.cli", "data", "diff")
    taken = {"diff": _process(project, *ask, "HEAD~1", "HEAD"), "diff folder": _process(project, *ask, "HEAD~1")}
    (project / "dvc.yaml").write_text(STAGE.format(python=sys.executable), encoding="utf-8")
    taken["describe"] = _dvc(project, "repro", "manifest")
    _commit(project)
    for folder in (one for one in sorted((project / "data" / "set").iterdir()) if one.is_dir()):
        for image in sorted(folder.iterdir())[:50]:
            image.rename(image.with_name(f"moved_{image.name}"))
    _dvc(project, "repro", "manifest")
    _commit(project)
    return taken | {"diff with manifests": _process(project, *ask, "HEAD~1", "HEAD")}


def _begin(project: Path, arm: str) -> None:
    (project / "data").mkdir(parents=True)
    (project / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    text = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("data/digits", "data/set")
    (project / "params.yaml").write_text(text, encoding="utf-8")
    for arguments in (("init", "--quiet"), ("config", "user.name", "n"), ("config", "user.email", "n@example.invalid")):
        subprocess.run(("git", *arguments), cwd=project, check=True)
    _dvc(project, "init", "--quiet")
    _dvc(project, "remote", "add", "--default", "store", str(project.parent / "store"))
    _dvc(project, "config", "core.analytics", "false")
    if arm in ("hardlinks", "symlinks"):
        _dvc(project, "config", "cache.type", arm.removesuffix("s"))
    _settle(project)


def _settle(project: Path) -> None:
    """Keep DVC's record of what it has read beside the project."""
    _dvc(project, "config", "--local", "core.site_cache_dir", str(project / ".dvc" / "tmp" / "site"))


def _commit(project: Path) -> None:
    (project / ".gitignore").write_text("/data/set\n/data/packed\n/artifacts\n/.rootstock\n", encoding="utf-8")
    subprocess.run(("git", "add", "--all"), cwd=project, check=True)
    subprocess.run(("git", "commit", "--quiet", "--message", "a state"), cwd=project, check=True)


def _images(shared: Path, n_images: int) -> Iterator[tuple[str, bytes]]:
    from PIL import Image

    folders = [shared / "datasets" / name for name in ("cifar10/train", "cifar10/test", "mnist")]
    files = sorted(path for folder in folders for path in folder.rglob("*.*"))
    turns = (None, Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_90)
    for number, (turn, path) in enumerate((turn, path) for turn in turns for path in files):
        if number == n_images:
            return
        stream = io.BytesIO(path.read_bytes())
        if turn is not None:
            image = Image.open(stream)
            stream = io.BytesIO()
            image.transpose(turn).save(
                stream, format=image.format, **({"quality": 95} if image.format == "JPEG" else {})
            )
        yield f"{path.parent.name}/{number:06d}{path.suffix}", stream.getvalue()


def _write(folder: Path, images: Iterable[tuple[str, bytes]]) -> None:
    for name, content in images:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _shards(data: Path) -> dict[int, list[tuple[str, bytes]]]:
    """Return shard -> name and bytes of its images: by their content, so that an image that comes changes one shard."""
    import hashlib

    shards: dict[int, list[tuple[str, bytes]]] = {}
    for path in sorted(path for path in data.rglob("*") if path.is_file()):
        content = path.read_bytes()
        number = hashlib.sha256(content).digest()[0] % N_SHARDS
        shards.setdefault(number, []).append((path.relative_to(data).as_posix(), content))
    return shards


def _pack_tar(data: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for number, images in _shards(data).items():
        with tarfile.open(target / f"{number:02d}.tar", "w") as stream:
            for name, content in images:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                stream.addfile(entry, io.BytesIO(content))


def _pack_zip(data: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for number, images in _shards(data).items():
        with zipfile.ZipFile(target / f"{number:02d}.zip", "w") as stream:
            for name, content in images:
                stream.writestr(zipfile.ZipInfo(name), content)


def _pack_parquet(data: Path, target: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    target.mkdir(exist_ok=True)
    for number, images in _shards(data).items():
        names, contents = zip(*images, strict=True)
        columns = pa.table({"path": names, "bytes": pa.array(contents, pa.binary())})
        parquet.write_table(columns, target / f"{number:02d}.parquet", compression="none")


def _unpack_tar(packed: Path, data: Path) -> None:
    for path in sorted(packed.iterdir()):
        with tarfile.open(path) as stream:
            stream.extractall(data, filter="data")


def _unpack_zip(packed: Path, data: Path) -> None:
    for path in sorted(packed.iterdir()):
        with zipfile.ZipFile(path) as stream:
            stream.extractall(data)  # noqa: S202 made a moment ago, here


def _unpack_parquet(packed: Path, data: Path) -> None:
    from pyarrow import parquet

    for path in sorted(packed.iterdir()):
        table = parquet.read_table(path)
        _write(data, zip(table["path"].to_pylist(), table["bytes"].to_pylist(), strict=True))


def _nothing(*_: Path) -> None:
    return


_PACK: dict[str, Callable[[Path, Path], None]] = {"tar": _pack_tar, "zip": _pack_zip, "parquet": _pack_parquet}
_UNPACK: dict[str, Callable[[Path, Path], None]] = {"tar": _unpack_tar, "zip": _unpack_zip, "parquet": _unpack_parquet}


def _dvc(project: Path, *arguments: str) -> tuple[float, float]:
    return _process(project, sys.executable, "-m", "dvc", *arguments)


def _process(project: Path, *words: str) -> tuple[float, float]:
    """Return the seconds of wall and of processor time of a command that ended well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return round(wall, 2), round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2)


def _timed(step: Callable[[Path, Path], None], first: Path, second: Path) -> tuple[float, float]:
    began, worked = time.perf_counter(), time.process_time()
    step(first, second)
    return round(time.perf_counter() - began, 2), round(time.process_time() - worked, 2)


def _sum(*parts: tuple[float, float]) -> tuple[float, float]:
    return round(sum(part[0] for part in parts), 2), round(sum(part[1] for part in parts), 2)


def _size_mb(folder: Path) -> float:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared", help="folder with datasets/")
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=[*ARMS])
    chosen = parser.parse_args()
    main(chosen.data, chosen.images, chosen.arms)

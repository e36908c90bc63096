"""What the contract tests read: the tracked files, the stages of both graphs, the graph of imports."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

ROOMS = ("flows", "tasks", "adapters", "transfer")


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage as its dvc.yaml states it; paths are relative to the project's root."""

    word: str
    folder: Path
    command: str
    deps: frozenset[Path]
    params: tuple[str, ...]
    outs: frozenset[Path]


@pytest.fixture(scope="session")
def tracked_files(root: Path) -> tuple[Path, ...]:
    """Return every file that git tracks or would track, absolute."""
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return tuple(path for name in sorted(set(listed.split("\0"))) if name and (path := root / name).is_file())


@pytest.fixture(scope="session")
def python_files(root: Path) -> tuple[Path, ...]:
    """Return every Python file of the rooms, the tests and the benchmarks, absolute."""
    return tuple(sorted(path for room in (*ROOMS, "tests", "benchmarks") for path in (root / room).rglob("*.py")))


@pytest.fixture(scope="session")
def modules(root: Path) -> tuple[str, ...]:
    """Return the dotted name of every module of the four rooms."""
    files = (path for room in ROOMS for path in (root / room).rglob("*.py"))
    return tuple(
        sorted(".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in files)
    )


@pytest.fixture(scope="session")
def import_graph() -> grimp.ImportGraph:
    """Return who imports whom among the four rooms, imports inside functions included."""
    return grimp.build_graph(*ROOMS, cache_dir=None, exclude_type_checking_imports=True)


@pytest.fixture(scope="session")
def pipeline_stages(root: Path) -> Mapping[str, Stage]:
    """Return the stages of the pipeline, by word."""
    return _stages(root, Path())


@pytest.fixture(scope="session")
def every_stage(root: Path, pipeline_stages: Mapping[str, Stage]) -> Mapping[str, Stage]:
    """Return the stages of the pipeline and of the shipped backbones' own graph, by word."""
    return {**pipeline_stages, **_stages(root, Path("backbones"))}


def _stages(root: Path, folder: Path) -> dict[str, Stage]:
    file = root / folder / "dvc.yaml"
    if not file.is_file():
        return {}
    return {word: _stage(word, stated, folder) for word, stated in yaml.safe_load(file.read_text())["stages"].items()}


def _stage(word: str, stated: Mapping[str, Any], folder: Path) -> Stage:
    base = folder / stated.get("wdir", ".")
    outs = [*stated.get("outs", ()), *stated.get("metrics", ()), *stated.get("plots", ())]
    params = (block for entry in stated.get("params", ()) for block in _blocks(entry))
    return Stage(
        word=word,
        folder=folder,
        command=stated["cmd"],
        deps=frozenset(_inside(base, dep) for dep in stated.get("deps", ())),
        params=tuple(params),
        outs=frozenset(_inside(base, out if isinstance(out, str) else next(iter(out))) for out in outs),
    )


def _blocks(entry: str | Mapping[str, list[str] | None]) -> tuple[str, ...]:
    names = [entry] if isinstance(entry, str) else [name for listed in entry.values() for name in listed or ()]
    return tuple(name.split(".")[0] for name in names)


def _inside(base: Path, stated: str) -> Path:
    """Resolve a path of dvc.yaml against its folder, with the default data set for `${data.path}`."""
    resolved = stated.replace("${data.path}", "data/digits")
    parts: list[str] = []
    for part in (base / resolved).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return Path(*parts)

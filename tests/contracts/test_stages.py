"""One stage, one word; DVC's graph is the graph that the flow runs; every stage depends on the code it runs."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from grimp import ImportGraph

from tests.stages import ORDER

ROOMS = ("flows", "tasks", "adapters", "transfer")


def test_the_pipeline_has_the_stages_it_is_known_for(pipeline_stages: Mapping[str, Any]) -> None:
    assert set(ORDER) <= set(pipeline_stages)


def test_one_stage_is_one_word_everywhere(root: Path, every_stage: Mapping[str, Any]) -> None:
    missing = []
    for word, stage in every_stage.items():
        places = (f"flows/{word}.py", f"tasks/{word}.py", f"tests/flows/test_{word}.py", f"tests/tasks/test_{word}.py")
        missing += [f"{word}: {place} is missing" for place in places if not (root / place).is_file()]
        if not re.search(rf"python -m (adapters\.launch )?flows\.{word}$", stage.command):
            missing.append(f"{word}: its command runs something else than flows.{word}: {stage.command}")
        blocks = yaml.safe_load((root / stage.folder / "params.yaml").read_text())
        if word not in blocks or word not in stage.params:
            missing.append(f"{word}: no params block of this name, or the stage does not depend on it")
        homes = (Path("artifacts", word), Path("data"), Path("backbones"))
        missing += [f"{word}: {out} lies outside artifacts/{word}" for out in stage.outs if not _lies_in(out, homes)]
    assert missing == []


def test_no_params_block_without_its_stage(root: Path, pipeline_stages: Mapping[str, Any]) -> None:
    blocks = yaml.safe_load((root / "params.yaml").read_text())
    assert set(blocks) - set(pipeline_stages) == {"data"}


def test_every_parameter_makes_a_stage_stale(root: Path) -> None:
    """A stage may name its parameters one by one, so that what it does not read leaves it as it is."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    named = {entry for stage in stages.values() for entry in stage["params"]}
    blocks = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    keys = {(block, f"{block}.{key}") for block, values in blocks.items() for key in values}
    assert [key for block, key in sorted(keys) if not {block, key} & named] == []


def test_the_graph_of_dvc_is_the_graph_of_the_flow(pipeline_stages: Mapping[str, Any]) -> None:
    from tasks import pipeline

    stated = {
        word: {other for other, made in pipeline_stages.items() if other != word and _reads(stage.deps, made.outs)}
        for word, stage in pipeline_stages.items()
    }
    assert {word: set(upstream) for word, upstream in pipeline.STAGES.items()} == stated


def test_the_flow_runs_every_stage_once_after_what_it_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from flows import pipeline as ordered

    ran: list[str] = []

    @contextlib.contextmanager
    def nothing(*_: Any) -> Iterator[Path]:
        yield tmp_path

    monkeypatch.setattr(ordered.steps, "project_run", nothing)
    monkeypatch.setattr(ordered.steps, "parent_run", nothing)
    monkeypatch.setattr(ordered.steps, "apply_settings", lambda *_: None)
    monkeypatch.setattr(ordered.steps, "stale_stages", lambda *_: set(ordered.steps.STAGES))
    monkeypatch.setattr(ordered.steps, "repro", lambda stage, *_, **__: ran.append(stage))
    monkeypatch.setattr(ordered.steps, "climb", lambda *_: [])
    monkeypatch.setattr(ordered.steps, "settle", lambda *_: {})
    ordered.pipeline.fn()
    assert sorted(ran) == sorted(ordered.steps.STAGES)
    for place, stage in enumerate(ran):
        assert set(ordered.steps.STAGES[stage]) <= set(ran[:place]), f"{stage} ran before something it reads"


def test_every_stage_depends_on_the_code_it_runs(
    root: Path, every_stage: Mapping[str, Any], import_graph: ImportGraph
) -> None:
    wrong = []
    for word, stage in every_stage.items():
        needed = _code_of(root, import_graph, f"flows.{word}")
        if stage.folder.parts:  # shipped weights grow stale when what computes them changes, not when what runs it does
            needed = {file for file in needed if file.parts[0] == "transfer" or file.stem == word}
        stated = {dep for dep in stage.deps if dep.parts[0] in ROOMS}
        uncovered = sorted(str(file) for file in needed if not _lies_in(file, stated))
        idle = sorted(str(dep) for dep in stated if not any(_lies_in(file, (dep,)) for file in needed))
        if uncovered or idle:
            up = "../" * len(stage.folder.parts)
            lines = "\n".join(f"      - {up}{line}" for line in _as_deps(root, needed))
            wrong.append(f"{word}: not covered {uncovered}, not needed {idle}; its code deps are\n{lines}")
    assert wrong == [], "\n".join(wrong)


def test_an_edit_of_what_is_expected_of_the_data_makes_validate_stale(
    root: Path, pipeline_stages: Mapping[str, Any], tracked_files: tuple[Path, ...]
) -> None:
    """DVC refuses a stage that depends on what is not there: the folder, and so a file in it, has to be in git."""
    assert Path("expectations") in pipeline_stages["validate"].deps
    assert any(path.relative_to(root).parts[0] == "expectations" for path in tracked_files)


def test_compiled_files_make_nothing_stale(root: Path) -> None:
    assert "__pycache__" in (root / ".dvcignore").read_text()


def test_no_stage_reads_what_changes_with_every_run(every_stage: Mapping[str, Any]) -> None:
    assert [word for word, stage in every_stage.items() if any(dep.name == "observed.json" for dep in stage.deps)] == []


def _code_of(root: Path, graph: ImportGraph, module: str) -> set[Path]:
    if module not in graph.modules:
        return set()
    files = (Path(*name.split(".")).with_suffix(".py") for name in {module, *graph.find_upstream_modules(module)})
    return {file for file in files if (root / file).is_file()}


def _as_deps(root: Path, needed: set[Path]) -> list[str]:
    """Name a folder where all of its modules are needed, single files elsewhere."""
    lines: set[str] = set()
    for file in needed:
        siblings = {path.relative_to(root) for path in (root / file.parent).rglob("*.py") if path.name != "__init__.py"}
        whole = len(file.parts) > 2 and siblings <= needed
        lines.add(str(file.parent if whole else file))
    return sorted(lines)


def _reads(deps: frozenset[Path], outs: frozenset[Path]) -> bool:
    return any(_lies_in(dep, (out,)) or _lies_in(out, (dep,)) for dep in deps for out in outs)


def _lies_in(path: Path, folders: Any) -> bool:
    return any(path == folder or folder in path.parents for folder in folders)


def test_no_output_switches_off_the_run_cache(root: Path) -> None:
    """An output without cache makes DVC forget the stage's earlier runs: going back would train again."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    outs = [out for stage in stages.values() for out in stage.get("outs", ()) if isinstance(out, dict)]
    assert [out for out in outs if not next(iter(out.values())).get("cache", True)] == []

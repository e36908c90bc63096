"""The warm process has what stages import, nothing of the project, and lives exactly as long as the run."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from grimp import build_graph

from adapters import dvc_commands, environment, launch
from tasks import warm
from tasks.staleness import STAGES

ROOMS = {"flows", "tasks", "adapters", "transfer"}
# By pandas, Prefect, MLflow and jinja2.
BY_THEM = {"numpy", "pydantic", "annotated_types", "sqlalchemy", "markupsafe", "packaging"}
FOR_TERMINALS = {"rich"}
OF_EXTRAS = {"timm"}  # imported where a reference names it


def test_warm_process_holds_what_stages_import_and_none_of_the_project() -> None:
    graph = build_graph(*sorted(ROOMS), include_external_packages=True)
    held = {package.partition(".")[0] for group in warm.PACKAGES for package in group}
    assert held.isdisjoint(ROOMS)
    modules = {name for stage in STAGES for name in graph.find_upstream_modules(f"flows.{stage}")}
    imported = {name for name in modules if graph.is_module_squashed(name)} - set(sys.stdlib_module_names)
    assert imported - held == BY_THEM | FOR_TERMINALS | OF_EXTRAS


def test_command_of_a_stage_imports_the_standard_library_alone(root: Path) -> None:
    code = "import sys; before = set(sys.modules); import adapters.launch; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in done.stdout.split()}
    assert roots - set(sys.stdlib_module_names) == {"adapters"}


@pytest.mark.skipif(sys.platform != "linux", reason="a warm process forks, which is safe on Linux alone")
def test_warm_process_serves_the_run_and_ends_with_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "PACKAGES", (("wave",),))
    copies: list[Any] = []
    ask = launch.ask
    monkeypatch.setattr(launch, "ask", lambda *given, **named: copies.append(ask(*given, **named)) or copies[-1])
    with warm.warm_process(project):
        assert "manifest" in dvc_commands.status(project)
        address = environment.get(launch.WARM)
        with warm.warm_process(project):  # the flow finds that of `rootstock run`
            assert environment.get(launch.WARM) == address
    assert [type(copy) for copy in copies] == [launch.Copy]
    assert environment.get(launch.WARM) is None
    assert not (project / str(address)).exists()
    assert "manifest" in dvc_commands.status(project)
    assert copies[1:] == [None]

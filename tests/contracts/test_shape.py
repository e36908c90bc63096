"""The shape of the code: short functions and files, four packages, empty `__init__.py`, nothing happens on import."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

MAX_FUNCTION_LINES = 40
MAX_FILE_LINES = 300
ROOMS = {"flows", "tasks", "adapters", "transfer"}
HEAVY = ("torch", "torchvision", "mlflow", "great_expectations", "sklearn", "matplotlib", "pandas", "scipy")
TESTING = (Path("tasks", "evaluate.py"), Path("tasks", "champion.py"))  # of the stage that opens test rows
IMAGE_ROOMS = (
    "transfer/data/",
    "transfer/backbones/",
    "adapters/image_files.py",
    "adapters/picture_data.py",
    "adapters/explanation_pictures.py",
)
IMAGE_IMPORT = re.compile(r"^\s*(?:from|import) (?:PIL|torchvision\.(?:transforms|io|datasets))\b", re.MULTILINE)

IMPORT_ALL = """
import json, sys, threading
{before}

events = []
sys.addaudithook(lambda event, args: events.append(event) if event in {watched!r} else None)
import importlib
for name in {modules!r}:
    importlib.import_module(name)
heavy = [name for name in {heavy!r} if name in sys.modules]
print("@" + json.dumps({{"events": events, "threads": threading.active_count(), "heavy": heavy}}))
"""
WATCHED = (
    "socket.connect",
    "socket.bind",
    "subprocess.Popen",
    "os.system",
    "os.fork",
    "os.mkdir",
    "os.rename",
    "os.remove",
)


def test_functions_are_short(root: Path, python_files: tuple[Path, ...]) -> None:
    long = [
        f"{path.relative_to(root)}:{node.lineno} {node.name}: {_length(node)} lines, at most {MAX_FUNCTION_LINES}"
        for path in python_files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _length(node) > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_files_are_short(root: Path, python_files: tuple[Path, ...]) -> None:
    lengths = {str(path.relative_to(root)): len(path.read_text().splitlines()) for path in python_files}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_init_files_are_empty(root: Path, python_files: tuple[Path, ...]) -> None:
    inits = [path for path in python_files if path.name == "__init__.py"]
    assert [str(path.relative_to(root)) for path in inits if path.read_text().strip()] == []


def test_every_folder_of_a_room_is_a_package(root: Path, python_files: tuple[Path, ...]) -> None:
    folders = {path.parent for path in python_files if path.relative_to(root).parts[0] in ROOMS}
    assert [str(folder.relative_to(root)) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_there_are_four_rooms_and_no_fifth(root: Path, tracked_files: tuple[Path, ...]) -> None:
    tops = {path.relative_to(root).parts[0] for path in tracked_files if path.suffix == ".py"}
    assert tops - {"tests", "benchmarks"} == ROOMS
    packaged = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    assert set(packaged) == ROOMS


def test_no_room_has_a_utils(root: Path, modules: tuple[str, ...]) -> None:
    assert [name for name in modules if {"utils", "util", "helpers", "common", "misc"} & set(name.split("."))] == []


def test_only_the_image_rooms_know_that_a_row_is_an_image(root: Path, python_files: tuple[Path, ...]) -> None:
    rooms = [path for path in python_files if path.relative_to(root).parts[0] in ROOMS]
    strangers = [path for path in rooms if not str(path.relative_to(root)).startswith(IMAGE_ROOMS)]
    guilty = [str(path.relative_to(root)) for path in strangers if IMAGE_IMPORT.search(path.read_text())]
    assert guilty == []


def test_only_evaluate_opens_the_test_rows(root: Path, python_files: tuple[Path, ...]) -> None:
    guilty = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in python_files
        if path.relative_to(root).parts[0] in ROOMS and path.relative_to(root) not in TESTING
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "of_split" and _asks_for_test(node)
    ]
    assert guilty == []


def test_only_what_evaluate_runs_opens_labels_of_test_rows(root: Path, python_files: tuple[Path, ...]) -> None:
    callers = {
        (name, str(path.relative_to(root)))
        for path in python_files
        if path.relative_to(root).parts[0] in ROOMS
        for name in ("open_labels", "read_label_of")
        if re.search(rf"(?<!def )\b{name}\(", path.read_text())
    }
    assert callers == {
        ("open_labels", "tasks/tested.py"),
        ("open_labels", "tasks/champion.py"),
        ("read_label_of", "adapters/sealed_labels.py"),
    }


def test_flows_and_tasks_evaluate_their_annotations(root: Path, python_files: tuple[Path, ...]) -> None:
    """Prefect reads signatures at run time; postponed annotations can leave it without the types."""
    held = [path for path in python_files if path.relative_to(root).parts[0] in {"flows", "tasks"}]
    line = "from __future__ import " + "annotations"
    assert [str(path.relative_to(root)) for path in held if line in path.read_text()] == []


def test_importing_a_module_does_nothing(tmp_path: Path, modules: tuple[str, ...]) -> None:
    seen = _import_all(tmp_path, modules, before="import torch")  # on some machines it asks ldconfig for CUDA
    assert seen["events"] == []
    assert seen["threads"] == 1
    assert list(tmp_path.iterdir()) == []


def test_ordering_and_talking_modules_import_nothing_heavy(tmp_path: Path, modules: tuple[str, ...]) -> None:
    light = tuple(name for name in modules if name.split(".")[0] in {"flows", "tasks", "adapters"})
    guilty = _import_all(tmp_path, light)["heavy"]
    assert guilty == [], f"{guilty} are imported at the top of a module; import them in the function that uses them"


def _import_all(folder: Path, modules: tuple[str, ...], before: str = "") -> dict[str, object]:
    """Import modules in a process of their own; whatever it prints beside the report is a failure."""
    code = IMPORT_ALL.format(before=before, watched=WATCHED, modules=modules, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed, _, report = done.stdout.rpartition("@")
    assert (printed, done.stderr) == ("", "")
    seen: dict[str, object] = json.loads(report)
    return seen


def _asks_for_test(call: ast.Call) -> bool:
    return any(isinstance(node, ast.Constant) and node.value == "test" for node in ast.walk(call))


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1

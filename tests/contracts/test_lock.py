"""The lock installs from any index, carries the caps that keep the scheduler alive, and agrees with pyproject.toml."""

import ast
import sys
import tomllib
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

OWN = {"flows", "tasks", "adapters", "transfer", "tests", "benchmarks"}
CAPS = {"fastapi": Version("0.151"), "sqlalchemy": Version("2.1")}


@pytest.fixture(scope="module")
def locked(root: Path) -> dict[str, list[Requirement]]:
    """Return the lock's requirements by name; a universal lock may pin one package differently by Python version."""
    found: dict[str, list[Requirement]] = {}
    for line in (root / "requirements.lock").read_text().splitlines():
        if line and not line.lstrip().startswith("#"):
            requirement = Requirement(line)
            found.setdefault(_canonical(requirement.name), []).append(requirement)
    return found


@pytest.fixture(scope="module")
def stated(root: Path) -> list[Requirement]:
    """Return the direct dependencies of pyproject.toml, development included."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in (*project["dependencies"], *project["optional-dependencies"]["dev"])]


@pytest.fixture(scope="module")
def bench(root: Path) -> list[Requirement]:
    """Return what only `make bench` needs; it has a lock and an environment of its own."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in project["optional-dependencies"]["bench"]]


@pytest.fixture(scope="module")
def extra(root: Path) -> list[Requirement]:
    """Return what can be added, which no lock holds: everything else works without it."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    locked_apart = {"dev", "bench"}
    added = {name: part for name, part in project["optional-dependencies"].items() if name not in locked_apart}
    return [Requirement(line) for part in added.values() for line in part]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-bench.lock"])
def test_a_lock_names_no_place(root: Path, name: str) -> None:
    text = (root / name).read_text()
    assert [mark for mark in ("://", "--index", "--extra-index", "--find-links", " @ ") if mark in text] == []


def test_everything_is_pinned_exactly(locked: dict[str, list[Requirement]]) -> None:
    loose = [str(one) for pins in locked.values() for one in pins if [pin.operator for pin in one.specifier] != ["=="]]
    assert loose == []


@pytest.mark.parametrize("name", CAPS)
def test_the_caps_hold(locked: dict[str, list[Requirement]], name: str) -> None:
    assert all(_version(pin) < CAPS[name] for pin in locked[name])


def test_the_lock_satisfies_pyproject(locked: dict[str, list[Requirement]], stated: list[Requirement]) -> None:
    unmet = [
        f"{wanted}: the lock has {[str(pin) for pin in locked.get(_canonical(wanted.name), [])]}; run `make lock`"
        for wanted in stated
        if not all(_version(pin) in wanted.specifier for pin in locked.get(_canonical(wanted.name), []))
        or _canonical(wanted.name) not in locked
    ]
    assert unmet == []


def test_the_lock_of_the_benchmark_adds_to_the_other(
    root: Path, locked: dict[str, list[Requirement]], bench: list[Requirement]
) -> None:
    added = [Requirement(line) for line in (root / "requirements-bench.lock").read_text().splitlines()]
    assert [str(one) for one in added if [pin.operator for pin in one.specifier] != ["=="]] == []
    assert {_canonical(one.name) for one in added} & set(locked) == set()
    for wanted in bench:
        assert [str(one) for one in added if one.name == wanted.name and _version(one) in wanted.specifier] != []


def test_what_is_imported_is_stated(
    root: Path,
    python_files: tuple[Path, ...],
    stated: list[Requirement],
    bench: list[Requirement],
    extra: list[Requirement],
) -> None:
    product, measured = ({_canonical(wanted.name) for wanted in part} for part in ([*stated, *extra], bench))
    providers = packages_distributions()
    unstated = {}
    for path in python_files:
        named = product | measured if "benchmarks" in path.relative_to(root).parts[:1] else product
        for package in _imported(path) - set(sys.stdlib_module_names) - OWN:
            if not named & {_canonical(name) for name in providers.get(package, (package,))}:
                unstated[package] = str(path.relative_to(root))
    assert unstated == {}, "import only what pyproject.toml names; a transitive package can disappear"


def test_every_direct_dependency_has_its_reason(
    root: Path, stated: list[Requirement], bench: list[Requirement], extra: list[Requirement]
) -> None:
    reasons = (root / "docs" / "dependencies.md").read_text()
    assert [wanted.name for wanted in (*stated, *bench, *extra) if f"| `{wanted.name}` |" not in reasons] == []


def test_the_server_can_be_imported() -> None:
    """With fastapi 0.155 or newer, Prefect 3.8.8 fails here with a TypeError about `min_items`."""
    assert import_module("prefect.server.api.server").create_app is not None


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def _version(pin: Requirement) -> Version:
    return Version(next(iter(pin.specifier)).version)


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")

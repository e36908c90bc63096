"""What people read: the README's commands exist, links lead somewhere, nothing in the repository names one machine."""

import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FENCED = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ASSIGNMENT = re.compile(r"[A-Z_]+=")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b|@@\w+@@")
ONE_MACHINE = re.compile(
    r"(?<![\w.])/(?:wo" + r"rk|ro" + r"ot|Us" + r"ers|ho" + r"me/(?!user\b|you\b)\w+)/|\btmp/r" + r"s\b|/opt/py" + r"pi"
)
INDEX_PLACE = re.compile(r"https?://[^\s\"')]*/(?:simp" + r"le|pack" + r"ages)\b|--(?:extra-)?index-url[ =]\S*://")
TEXTS = {".py", ".md", ".toml", ".yaml", ".yml", ".lock", ".txt", ".cfg", ".json", ".sh", ".html", ".j2", ".csv", ""}
PLAIN_WORDS = {"git", "cd", "cp", "curl", "ls", "printf", "export"}


def _commands(root: Path) -> Iterator[str]:
    for block in FENCED.findall((root / "README.md").read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line.strip().removeprefix("$ ")


def test_every_command_of_the_readme_exists(root: Path) -> None:
    parsers: dict[str, Callable[[Path, list[str]], str | None]] = {
        "make": _make,
        "rootstock": _rootstock,
        "dvc": _dvc,
        "prefect": _prefect,
        "mlflow": _mlflow,
    }
    problems, seen = [], set()
    for line in _commands(root):
        words = shlex.split(line, comments=True)
        word, *arguments = itertools.dropwhile(ASSIGNMENT.match, words)
        name = word.removeprefix(".venv/bin/")
        seen.add(name)
        problem = None if name in PLAIN_WORDS else parsers.get(name, _unknown)(root, arguments)
        problems += [f"{line}: {problem}"] if problem else []
    assert problems == []
    assert {"make", "rootstock", "dvc"} <= seen


def test_the_two_commands_come_first(root: Path) -> None:
    assert [line.partition("#")[0].strip() for line in _commands(root)][:2] == ["make demo", "make test"]


def test_links_lead_to_files_that_exist(root: Path, tracked_files: tuple[Path, ...]) -> None:
    dead = [
        f"{path.relative_to(root)}: {target}"
        for path in tracked_files
        if path.suffix == ".md"
        for target in LINK.findall(path.read_text())
        if not re.match(r"[a-z]+:|#", target) and not (path.parent / target.partition("#")[0]).exists()
    ]
    assert dead == []


@pytest.mark.parametrize("pattern", [UNFINISHED, ONE_MACHINE, INDEX_PLACE], ids=["unfinished", "one machine", "index"])
def test_no_tracked_file_says(root: Path, tracked_files: tuple[Path, ...], pattern: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(root)}:{number}: {line.strip()[:100]}"
        for path in tracked_files
        if path.suffix in TEXTS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


def test_every_source_has_its_function_and_its_test(root: Path) -> None:
    text = (root / "docs" / "sources.md").read_text()
    cited = [
        path for path in (root / "transfer").rglob("*.py") if re.search(r"^\s*Source:", path.read_text(), re.MULTILINE)
    ]
    assert [str(path.relative_to(root)) for path in cited if f"`{path.relative_to(root)}" not in text] == []
    dangling = [
        f"{file}::{name}"
        for file, name in re.findall(r"`((?:transfer|tests)/[\w/]+\.py)(?:::(\w+))?`", text)
        if not (root / file).is_file() or (name and not re.search(rf"\b{name}\b", (root / file).read_text()))
    ]
    assert dangling == []


def test_decisions_are_numbered_without_a_gap(root: Path) -> None:
    names = sorted(path.name for path in (root / "docs" / "decisions").glob("*.md"))
    assert [name[:5] for name in names] == [f"{number:04d}-" for number in range(1, len(names) + 1)]


def test_every_word_of_a_test_marker_is_known(root: Path) -> None:
    targets = re.findall(r"^test-([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE)
    assert {"slow", "service"} <= set(targets)


def _unknown(_: Path, arguments: list[str]) -> str | None:
    return f"no rule here knows this command (arguments {arguments})"


def _make(root: Path, arguments: list[str]) -> str | None:
    targets = {word for word in arguments if "=" not in word}
    known = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    return None if targets and targets <= known else f"the Makefile knows {sorted(known)}"


def _rootstock(root: Path, arguments: list[str]) -> str | None:
    import typer.main

    from flows import cli
    from tasks.overrides import parse_overrides

    problem = _click(typer.main.get_command(cli.app), arguments)
    if problem is None and arguments[0] == "run":
        parse_overrides([word for word in arguments[1:] if not word.startswith("-")], root, root)
    return problem


def _dvc(_: Path, arguments: list[str]) -> str | None:
    from dvc.cli.parser import get_main_parser

    try:
        get_main_parser().parse_args(arguments)
    except (SystemExit, Exception) as error:  # noqa: BLE001  whatever it is, dvc refused
        return f"dvc does not understand it: {error}"
    return None


def _mlflow(_: Path, arguments: list[str]) -> str | None:
    from mlflow.cli import cli

    return _click(cli, arguments)


def _prefect(_: Path, arguments: list[str]) -> str | None:
    words = [word for word in arguments if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]
    command = [str(Path(sys.executable).parent / "prefect"), *words[:2], "--help"]
    return (
        None
        if subprocess.run(command, capture_output=True, check=False).returncode == 0
        else "prefect has no such command"
    )


def _click(command: Any, arguments: list[str]) -> str | None:
    """Walk click's groups to the command and let it parse the rest."""
    rest = list(arguments)
    while hasattr(command, "commands") and rest and not (command.invoke_without_command and rest[0].startswith("-")):
        name = rest.pop(0)
        if name not in command.commands:
            return f"{name!r} is none of {sorted(command.commands)}"
        command = command.commands[name]
    try:
        command.make_context(command.name, rest, resilient_parsing=False)
    except Exception as error:  # noqa: BLE001  click and typer's own copy of it raise different classes
        return str(error)
    return None

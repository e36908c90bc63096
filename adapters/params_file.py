"""Read params.yaml, and change values in it without touching anything else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.json_files import atomic_write
from adapters.yaml_places import replaced
from transfer.errors import UserError


def read(path: Path) -> dict[str, Any]:
    """Return the file's content as plain nested values (YAML 1.2, as DVC reads it).

    Raises:
        UserError: the file is missing, is not UTF-8, is not YAML or is not a block of keys.
    """
    return parse(_text(path), str(path))


def parse(text: str, source: str) -> dict[str, Any]:
    """Return a YAML text as plain nested values.

    Args:
        text: the content of a parameter file.
        source: what an error sentence calls it.

    Raises:
        UserError: the text is not YAML or is not a block of keys.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(f"{source} is not valid YAML ({_one_line(error)}); mend that line and run again.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{source} must hold blocks of keys (data:, select:, ...); restore it from git and run again.")
    return content


def change(path: Path, values: Mapping[str, Any]) -> bool:
    """Set values in the file, in place: comments, order, mode and every other value stay; return whether it changed.

    Args:
        path: the file.
        values: dotted key ("block.name") -> plain value (numbers, texts, None, lists, mappings).

    Raises:
        UserError: the file cannot be read.
        EnvironmentFault: it cannot be written.
    """
    text = _text(path)
    current = parse(text, str(path))
    changed = {key: value for key, value in values.items() if _differs(current, key, value)}
    if not changed:
        return False
    with atomic_write(path.resolve()) as temporary:
        temporary.write_bytes(_rewritten(text, current, changed, str(path)).encode("utf-8"))
    return True


def _rewritten(text: str, current: dict[str, Any], changed: Mapping[str, Any], source: str) -> str:
    expected = {block: dict(fields or {}) for block, fields in current.items()}
    for key, value in changed.items():
        text = replaced(text, key, value)
        block, _, name = key.partition(".")
        expected.setdefault(block, {})[name] = value
        if not _holds(text, expected):  # aliases, a block on one line: nothing that parameters need
            raise UserError(f"{source}: {key} cannot be changed in place in the file's layout; set it there by hand.")
    return text


def _holds(text: str, expected: Mapping[str, Any]) -> bool:
    try:
        return parse(text, "") == expected
    except UserError:
        return False


def _differs(current: Mapping[str, Any], key: str, value: Any) -> bool:
    block, _, name = key.partition(".")
    fields = current.get(block) or {}
    return name not in fields or fields[name] != value or type(fields[name]) is not type(value)


def _text(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path} is missing; restore it with `git checkout -- {path.name}` and run again.")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8 and run again.") from error


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = " ".join(str(getattr(error, "problem", None) or "unreadable").split())
    return f"{problem}, line {mark.line + 1}" if mark else problem

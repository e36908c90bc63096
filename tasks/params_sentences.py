"""Say in words which values a parameter may have."""

import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

_NOUNS = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
_PATTERNS = {
    r"^[0-9a-f]{64}$": "of 64 hexadecimal digits",
    r"^(auto|cpu|cuda(:\d+)?)$": "that is auto, cpu, cuda or cuda:<number>",
    r"\S": "that is not blank",
    r"^[^/:%.@?]+$": "without / : % . @ or ?",
    r"^(staged|features|last-[1-9][0-9]*|gradual|full|norm-only|bias-only|scratch)$": (
        "that is staged, features, last-<number of depth groups>, gradual, full, norm-only, bias-only or scratch"
    ),
}
_CHOICE = re.compile(r"\^\(([\w|-]+)\)\$")  # of whole words
_LONGEST_SHOWN = 80


def allowed_values(field: FieldInfo) -> str:
    """Describe what a field accepts, for example "an integer of at least 1"."""
    return _described(field.annotation, field.metadata)


def plain_type(field: FieldInfo) -> tuple[Any, bool]:
    """Return a field's type without its constraints, and whether it may be None.

    The type is one of int, float, bool, str, tuple (a list of texts) and dict.
    """
    return _plain(field.annotation)


def words(field: FieldInfo) -> tuple[str, ...]:
    """Return the texts that a field accepts instead of a value of its type, for example "auto"."""
    annotation = field.annotation
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    return tuple(word for part in parts if get_origin(part) is Literal for word in get_args(part))


def shown(value: object) -> str:
    """Return a value as an error sentence quotes it, cut when it is long."""
    text = "empty" if value is None else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _plain(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        inner = [part for part in get_args(annotation) if part is not NoneType]
        return _plain(inner[0])[0], NoneType in get_args(annotation)
    return get_origin(annotation) or annotation, False


def _described(annotation: Any, metadata: list[Any]) -> str:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _described(inner, [*metadata, *_unpacked(more)])
    if get_origin(annotation) in (Union, UnionType):
        inner, *others = (part for part in get_args(annotation) if part is not NoneType)
        named = [word for part in others for word in get_args(part)]
        named += ["null"] if NoneType in get_args(annotation) else []
        return f"{_described(inner, metadata)}, or {' or '.join(named)}"
    if get_origin(annotation) is tuple:
        inner = get_args(annotation)[0]
        return f"a list of one or more different texts{_each(inner)}"
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(str, get_args(annotation)))}"
    if get_origin(annotation) is dict:
        return f"a block of texts, each {_described(get_args(annotation)[1], [])}"
    return f"{_NOUNS[annotation]}{_limits(metadata)}"


def _each(annotation: Any) -> str:
    """Return what each text of a list must be, where that is more than not empty."""
    described = _described(annotation, [])
    return "" if described == "a text that is not empty" else f", each {described}"


def _unpacked(metadata: list[Any]) -> list[Any]:
    return [part for entry in metadata for part in (entry.metadata if isinstance(entry, FieldInfo) else [entry])]


def _limits(metadata: list[Any]) -> str:
    """Join the bounds found in a field's metadata: " above 0 and at most 1"."""
    words = []
    for entry in metadata:
        match entry:
            case annotated_types.Ge(ge=bound):
                words.append(f"of at least {bound}")
            case annotated_types.Gt(gt=bound):
                words.append(f"above {bound}")
            case annotated_types.Le(le=bound):
                words.append(f"of at most {bound}")
            case annotated_types.Lt(lt=bound):
                words.append(f"below {bound}")
            case annotated_types.MinLen():
                words.append("that is not empty")
            case _ if pattern := getattr(entry, "pattern", None):
                words.append(_in_words(pattern))
    return "".join(f" {word}" for word in words[:1]) + "".join(f" and {word}" for word in words[1:])


def _in_words(pattern: str) -> str:
    choice = _CHOICE.fullmatch(pattern)
    if choice is None:
        return _PATTERNS.get(pattern, f"that matches {pattern}")
    *others, last = choice[1].split("|")
    return f"that is {', '.join(others)} or {last}"

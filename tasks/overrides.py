"""Overrides of parameters: read `key=value` by the declared type, check everything, then write params.yaml once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters import params_file
from tasks import candidate_check, hand_edits, weights_records
from tasks.params import PARAMS_FILE, Params, check_params, declared_fields, flatten, require_consistent, unknown_key
from tasks.params_sentences import allowed_values, plain_type, shown, words
from tasks.typed_paths import from_project
from transfer.errors import UserError

SOURCE = "override"
CANDIDATES, RECORDS = "select.candidates", "select.weights_sha256"
_NOTHING = ("", "null", "none")
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def parse_overrides(texts: Sequence[str], project: Path, typed_in: Path) -> dict[str, Any]:
    """Read overrides by the declared type of each parameter; nothing is written.

    A text is split at its first `=`. A list is split at commas outside quotes; every other text is taken as it is.

    Args:
        texts: "key=value" each.
        project: the project's root.
        typed_in: the directory the user was in; relative paths that exist there are meant from there.

    Returns:
        dotted key -> value, checked.

    Raises:
        UserError: no `=`, an unknown key, a key named twice, or a value that is not allowed.
    """
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"{SOURCE} {text!r} has no '='; write key=value, for example finetune.epochs=5.")
        if key in values:
            raise UserError(f"{SOURCE}: {key} is given twice; give it once.")
        values[key] = _read(key, value)
    return {key: from_project(key, value, project, typed_in) for key, value in check_values(values).items()}


def check_values(values: Mapping[str, Any], source: str = SOURCE) -> dict[str, Any]:
    """Check values under their dotted keys, without the file.

    Raises:
        UserError: an unknown key, or a value that is not allowed.
    """
    nested: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        if key not in declared_fields():
            raise unknown_key(key, source)
        block, _, name = key.partition(".")
        nested.setdefault(block, {})[name] = value
    checked = flatten(check_params(nested, source))
    return {key: checked[key] for key in values}


def planned_changes(project: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check everything against the project and return what `write_overrides` would change; nothing is written.

    Also to be called with no values: it checks the file, and finds weights files that have no recorded sha256 yet.
    Candidates that `select` did not last run with are checked in full, down to the weights in their files.

    Args:
        project: the project's root.
        values: dotted key -> value; `select.weights_sha256` holds digests that the files must have.

    Returns:
        dotted key -> new value, of the parameters whose value in the file differs.

    Raises:
        UserError: the file or a value is at fault, a hand edit that was not run would be lost, a weights file is
            missing or not the recorded one, or a candidate cannot be built, or not be fine-tuned as asked.
    """
    pinned = dict(values.get(RECORDS) or {})
    chosen = _chosen(values)
    before = params_file.read(project / PARAMS_FILE)
    params = _merged(before, chosen)
    select = params.select
    hand_edits.refuse_loss(project, before, chosen)
    records = weights_records.current(
        project, select.candidates, select.weights_sha256, named=CANDIDATES in chosen, pinned=pinned
    )
    candidate_check.check_changed(project, select.candidates, records)
    candidate_check.check_strategy(project, params)
    now = hand_edits.dotted(before)
    wanted = {**chosen, **({RECORDS: records} if records != select.weights_sha256 else {})}
    return {key: value for key, value in wanted.items() if key not in now or now[key] != value}


def write_overrides(project: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check everything as `planned_changes` does, then write params.yaml in place, once at most; return the changes."""
    changes = planned_changes(project, values)
    if changes:
        params_file.change(project / PARAMS_FILE, changes)
    hand_edits.note_written(project, changes)
    return changes


def _chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in check_values(values).items() if key != RECORDS}


def _merged(before: Mapping[str, Any], chosen: Mapping[str, Any]) -> Params:
    nested = {block: dict(fields) if isinstance(fields, Mapping) else fields for block, fields in before.items()}
    for key, value in chosen.items():
        block, _, name = key.partition(".")
        fields = nested.setdefault(block, {})
        if isinstance(fields, dict):
            fields[name] = value
    params = check_params(nested)
    require_consistent(params)
    return params


def _read(key: str, text: str) -> Any:
    field = declared_fields().get(key)
    if field is None:
        raise unknown_key(key, SOURCE)
    kind, optional = plain_type(field)
    if key == RECORDS:
        raise UserError(f"{SOURCE}: {key} is kept by `rootstock run` itself; name the files in {CANDIDATES} instead.")
    if optional and text.strip().lower() in _NOTHING:
        return None
    if text.strip().lower() in words(field):
        return text.strip().lower()
    if kind is str:
        return text
    try:
        if kind is tuple:
            return split_list(text)
        if kind is dict:
            return _split_mapping(text)
        return _TRUTH[text.strip().lower()] if kind is bool else kind(text)
    except (ValueError, KeyError) as error:
        why = "" if kind not in (tuple, dict) else f" ({error})"
        raise UserError(
            f"{SOURCE}: {key} is {shown(text)}{why}, but must be {allowed_values(field)}; change it."
        ) from error


def _split_mapping(text: str) -> dict[str, str]:
    """Read `{name: value, other: value}`; quotes count as in `split_list`.

    Raises:
        ValueError: an item without a colon, or an empty one.
    """
    text = text.strip()
    items = split_list(text[1:-1]) if text.startswith("{") and text.endswith("}") else split_list(text)
    pairs = [item.partition(":") for item in items]
    for name, colon, value in pairs:
        if not (name.strip() and colon and value.strip()):
            raise ValueError(f"{name.strip()!r} has no value; write {{name: value}}")
    return {name.strip(): value.strip() for name, _, value in pairs}


def split_list(text: str) -> list[str]:
    """Split a list at commas outside quotes; brackets around it and quotes around an item are dropped.

    A quote counts only at the start of an item, so that an apostrophe inside a path is a letter like any other.

    Raises:
        ValueError: an empty item, or a quote that is never closed.
    """
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
    items: list[str] = []
    while text or items:
        item, text, more = _first_item(text.lstrip())
        items.append(item)
        if not more:
            break
    return items


def _first_item(text: str) -> tuple[str, str, bool]:
    """Return the first item, what follows its comma, and whether there was a comma."""
    quote = text[:1] if text[:1] in ("'", '"') else ""
    if quote:
        end = text.find(quote, 1)
        if end < 0:
            raise ValueError(f"the quote {quote} is not closed")
        item, (between, comma, rest) = text[1:end], text[end + 1 :].partition(",")
        if between.strip():
            raise ValueError(f"{between.strip()!r} follows a closing quote")
    else:
        item, comma, rest = text.partition(",")
        item = item.strip()
    if not item:
        raise ValueError("an item is empty")
    return item, rest, bool(comma)

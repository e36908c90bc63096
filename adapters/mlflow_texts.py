"""How MLflow's runs show a parameter: a name of the characters it allows, and a text that is cut if it is too long."""

import re
from typing import Any

_LONGEST_VALUE = 6000
_NOT_IN_KEYS = re.compile(r"[^\w\-. :/]")  # MLflow allows only these in the names of metrics and parameters


def key_of(name: str) -> str:
    """Return the name under which a metric or parameter is recorded."""
    return _NOT_IN_KEYS.sub("_", name)


def text_of(value: Any) -> str:
    """Return the text by which a parameter's value is recorded."""
    return str(value)[:_LONGEST_VALUE]

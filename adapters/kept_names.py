"""What is kept of a data set's folder: under which name, and behind a digest by which damage is noticed."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

_DIGEST_BYTES = hashlib.sha256().digest_size


def name_for(data_path: Path, *facts: Any) -> str:
    """Return the name of what is kept of a folder: another one wherever anything that it depends on is.

    Args:
        data_path: the data set's folder.
        facts: JSON-able, that what is kept depends on beside the files.
    """
    text = json.dumps([os.path.realpath(data_path), *facts], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def sealed(magic: bytes, body: Any) -> tuple[bytes, Any]:
    """Return the parts of a file: what kind it is with the digest of its body, and the body.

    Args:
        magic: what files of this kind and format begin with.
        body: bytes, or what gives them without a copy.
    """
    return magic + hashlib.sha256(body).digest(), body


def unsealed(magic: bytes, content: bytes) -> memoryview:
    """Return the body of a file.

    Args:
        magic: as `sealed` was given.
        content: the parts, one after the other.

    Raises:
        ValueError: it is of another kind, or damaged.
    """
    start = len(magic) + _DIGEST_BYTES
    body = memoryview(content)[start:]
    if not content.startswith(magic) or hashlib.sha256(body).digest() != content[len(magic) : start]:
        raise ValueError("it is of another kind, or damaged")
    return body

"""The interpreter's collector of garbage, which looks at all objects again and again while very many are made."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Look for no garbage meanwhile: for code that makes an object a row, none of which refers back to another.

    With 50,000 rows looking takes 40 % of the time. Code in it that decodes or trains needs `resumed_collector`.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def resumed_collector() -> Iterator[None]:
    """Look for garbage again inside code that pauses it: what is large, or refers back to itself, must go at once."""
    was_enabled = gc.isenabled()
    gc.enable()
    try:
        yield
    finally:
        if not was_enabled:
            gc.disable()

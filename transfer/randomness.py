"""Randomness that belongs to somebody: one generator a purpose, all from one seed, never the global state."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def generator(seed: int, purpose: str) -> torch.Generator:
    """Return a generator whose stream depends on the seed and on what it is for, and on nothing else.

    Args:
        seed: non-negative.
        purpose: any text; two purposes get independent streams from the same seed.
    """
    made = torch.Generator()
    made.manual_seed(_stream(seed, purpose))
    return made


@contextmanager
def global_randomness(seed: int, purpose: str, device: torch.device | None = None) -> Iterator[None]:
    """Give operators that take no generator, such as dropout, a stream of their own; restore the global state after.

    Args:
        seed: non-negative.
        purpose: see `generator`.
        device: where the operators run; the processor when None.
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(_stream(seed, purpose))
        for one in devices:
            with torch.cuda.device(one):
                torch.cuda.manual_seed(_stream(seed, purpose))
        yield


@contextmanager
def drawn_ahead(device: torch.device) -> Iterator[None]:
    """Let operators that take no generator draw what those after the block will draw once more.

    Args:
        device: where the operators run.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _stream(seed: int, purpose: str) -> int:
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1

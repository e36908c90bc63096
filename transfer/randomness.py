"""Randomness that belongs to somebody: one generator a purpose, all from one seed, never the global state."""

import hashlib

import torch


def generator(seed: int, purpose: str) -> torch.Generator:
    """Return a generator whose stream depends on the seed and on what it is for, and on nothing else.

    Args:
        seed: non-negative.
        purpose: any text; two purposes get independent streams from the same seed.
    """
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    made = torch.Generator()
    made.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return made

"""What parameters make of the limits of a step: penalties that hold a trunk, where there is one to be held."""

import math
from typing import Any

import pytest

from tasks.adaptation import budget
from tasks.params_blocks import FinetuneParams


@pytest.mark.parametrize(
    ("settings", "images_per_class", "anchor", "bss"),
    [
        ({}, 19.9, 0.01, 0.0),
        ({}, 20.0, 0.0, 0.0),
        ({"l2_sp": 0.0}, 5.0, 0.0, 0.0),
        ({"l2_sp": 0.3, "bss": 0.001}, 500.0, 0.3, 0.001),
        ({"l2_sp": 0.3, "bss": 0.001}, math.inf, 0.0, 0.0),
    ],
)
def test_penalties_are_those_asked_for_where_weights_are_pretrained(
    settings: dict[str, Any], images_per_class: float, anchor: float, bss: float
) -> None:
    found = budget(FinetuneParams(**settings), 32, images_per_class)
    assert (found.anchor, found.bss) == (anchor, bss)

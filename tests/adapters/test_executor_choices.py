"""Remembered executors: what was chosen for the same machine and network comes back, and damage is forgotten."""

import json
from pathlib import Path

import pytest

from adapters.executor_choices import FILE, recall, remember
from adapters.machine import machine_facts
from adapters.project import STATE_FOLDER
from transfer.backbones.trial import Choice, Measured

FACTS = {"cpu": "a processor", "backbone": "torchvision/resnet18", "crop_px": 224}
CHOICE = Choice(
    "onnxruntime", 16, 500, (Measured("onnxruntime", 0.5, 0.1, 1e-6, True), Measured("eager", why_not="slow"))
)


def test_a_choice_comes_back_for_the_same_facts_alone(tmp_path: Path) -> None:
    assert recall(tmp_path, FACTS) is None
    remember(tmp_path, FACTS, CHOICE)
    assert recall(tmp_path, dict(reversed(FACTS.items()))) == CHOICE
    assert recall(tmp_path, FACTS | {"cpu": "another"}) is None
    other = Choice("eager")
    remember(tmp_path, FACTS | {"cpu": "another"}, other)
    assert recall(tmp_path, FACTS | {"cpu": "another"}) == other
    assert recall(tmp_path, FACTS) == CHOICE


def test_a_person_can_read_what_was_chosen_for_what(tmp_path: Path) -> None:
    remember(tmp_path, FACTS, CHOICE)
    (entry,) = json.loads((tmp_path / STATE_FOLDER / FILE).read_text()).values()
    assert entry["facts"] == FACTS
    assert entry["found"]["executor"] == "onnxruntime"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b'{"x": 1}'])
def test_a_damaged_file_remembers_nothing_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE_FOLDER).mkdir()
    (tmp_path / STATE_FOLDER / FILE).write_bytes(content)
    assert recall(tmp_path, FACTS) is None
    remember(tmp_path, FACTS, CHOICE)
    assert recall(tmp_path, FACTS) == CHOICE


@pytest.mark.parametrize(
    "damage",
    [
        {"executor": "other", "batch_size": 16, "up_to_images": None, "measured": []},
        {"executor": "eager", "batch_size": 0, "up_to_images": None, "measured": []},
        {"executor": "eager", "batch_size": 16, "up_to_images": None, "measured": 1},
        {"executor": "eager", "batch_size": 16, "up_to_images": None, "measured": [{"other": 1}]},
        {},
        None,
        [],
        {"executor": "eager", "batch_size": "x", "measured": []},
    ],
)
def test_a_damaged_choice_is_forgotten(tmp_path: Path, damage: object) -> None:
    remember(tmp_path, FACTS, CHOICE)
    path = tmp_path / STATE_FOLDER / FILE
    known = json.loads(path.read_text())
    known[next(iter(known))]["found"] = damage
    path.write_text(json.dumps(known))
    assert recall(tmp_path, FACTS) is None


def test_an_unwritable_memory_costs_the_memory_alone(tmp_path: Path) -> None:
    (tmp_path / STATE_FOLDER).write_text("a file where the folder belongs")
    remember(tmp_path, FACTS, CHOICE)
    assert recall(tmp_path, FACTS) is None


def test_the_facts_of_a_machine_name_a_choice(tmp_path: Path) -> None:
    remember(tmp_path, machine_facts(), CHOICE)
    assert recall(tmp_path, machine_facts()) == CHOICE

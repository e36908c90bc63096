"""The flow `pretrain` with a budget of three steps: weights, and a card that fits them."""

import json
from pathlib import Path

import pytest

from adapters.json_files import sha256_of
from adapters.params_file import change
from flows.pretrain import pretrain
from tasks import pretrain as steps


def test_the_flow_writes_weights_and_card(project: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "HELD_OUT_CLASSES", {"glyph": 11, "texture": 1})
    monkeypatch.setattr(steps, "HELD_OUT_EPISODES", 1)
    steps.PARAMS_FILE.parent.mkdir()
    steps.PARAMS_FILE.write_text((root / steps.PARAMS_FILE).read_text(encoding="utf-8"), encoding="utf-8")
    sizes = {"n_variants": 1, "template_px": 24, "steps": 3, "batch_size": 8}
    tiny = {"threads": 1, "classes": {"glyph": 3, "texture": 1}, **sizes}
    change(steps.PARAMS_FILE, {f"pretrain.{key}": value for key, value in tiny.items()})
    pretrain.fn()
    card = json.loads(steps.CARD_FILE.read_text(encoding="utf-8"))
    assert card["sha256"] == sha256_of(steps.WEIGHTS_FILE)
    assert card["training"] | tiny == card["training"]

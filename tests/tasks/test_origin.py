"""What a version says of its weights and its parameters."""

import hashlib
from pathlib import Path

from adapters.json_files import sha256_of
from adapters.weights_files import SHIPPED_FOLDER
from tasks.licences import WEIGHTS_DIGEST, weights_tags
from tasks.origin import DATA_PATH, PARAMS, origin_tags, params_digest
from tasks.params import read_params


def test_the_weights_are_those_that_the_winner_was_scored_with(finetuned: Path) -> None:
    tags = weights_tags(finetuned, allow_unknown=False)
    assert tags[WEIGHTS_DIGEST] == sha256_of(SHIPPED_FOLDER / "strokes.safetensors")


def test_the_digest_of_parameters_knows_no_order_and_every_value(project: Path) -> None:
    assert params_digest({"a.x": 1, "a.y": None}) == params_digest({"a.y": None, "a.x": 1})
    assert params_digest({"a.x": 1}) != params_digest({"a.x": "1"})
    assert params_digest({}) == hashlib.sha256(b"{}").hexdigest()
    before = origin_tags(project, read_params())
    assert before[DATA_PATH] == "data/digits"
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("knn_k: 5", "knn_k: 6"), encoding="utf-8")
    assert origin_tags(project, read_params())[PARAMS] != before[PARAMS]

"""A registered model answers as torch does, from its own copy of the code, with nothing of this project installed."""

import base64
import io
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from adapters.mlflow_package import core_files, package, requirements
from adapters.mlflow_store import prepare_environment
from adapters.model_files import load_model, save_model
from adapters.servers import find_free_port
from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.card import ModelCard
from transfer.backbones.reference import BackboneReference
from transfer.data.batches import normalise
from transfer.data.decoding import to_example
from transfer.heads.fits import fit_of

CLASSES = ("ant", "bee", "label")
REFERENCE = "rootstock/strokes?interpolation=bicubic@none"
COLUMNS = ["label", "probability_ant", "probability_bee", "probability_label"]

FRESH = """
import json, sys
sys.path = [place for place in sys.path if place.rstrip("/") != sys.argv[1]]
import mlflow.pyfunc, pandas
contents = [bytes.fromhex(text) for text in json.load(sys.stdin)]
table = mlflow.pyfunc.load_model(sys.argv[2]).predict(pandas.DataFrame({"content": contents}))
used = [module for module in sys.modules if module.split(".")[0] in ("transfer", "adapters", "torchvision")]
places = {str(sys.modules[module].__file__) for module in used}
print(json.dumps({"rows": table.to_dict("split"), "used": sorted(used), "places": sorted(places)}))
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "model"
    classifier = Classifier(build_backbone(BackboneReference.parse(REFERENCE), None, seed=0), 3)
    torch.nn.init.normal_(classifier.head.weight, generator=torch.Generator().manual_seed(1))
    save_model(folder, classifier, ModelCard.of(classifier, CLASSES))
    return folder


@pytest.fixture(scope="module")
def packed(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    scratch = tmp_path_factory.mktemp("packed in a folder")
    prepare_environment(scratch)
    package(stored, scratch / "model", {"data_digest": "0" * 32})
    return scratch / "model"


@pytest.fixture(scope="module")
def contents() -> list[bytes]:
    return [_image(seed, kind) for seed, kind in enumerate(("PNG", "JPEG", "PNG", "WEBP"))]


@pytest.fixture(scope="module")
def expected(stored: Path, contents: list[bytes]) -> "np.ndarray[Any, Any]":
    classifier, card = load_model(stored)
    examples = torch.stack([to_example(content, card.preprocess) for content in contents])
    with torch.inference_mode():
        return classifier(normalise(examples, card.preprocess)).softmax(1).numpy()


def test_model_answers_as_torch_does(packed: Path, contents: list[bytes], expected: Any) -> None:
    import mlflow.pyfunc
    import pandas as pd

    table = mlflow.pyfunc.load_model(str(packed)).predict(pd.DataFrame({"content": contents}))
    assert list(table.columns) == COLUMNS
    np.testing.assert_allclose(table[COLUMNS[1:]].to_numpy(), expected, atol=1e-5)
    assert list(table["label"]) == [CLASSES[choice] for choice in expected.argmax(1)]


def test_row_that_is_no_image_is_named(packed: Path, contents: list[bytes]) -> None:
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.exceptions import MlflowException

    model = mlflow.pyfunc.load_model(str(packed))
    with pytest.raises(MlflowException, match="Row 1 of column 'content': The file is not a JPEG"):
        model.predict(pd.DataFrame({"content": [contents[0], b"text"]}))
    with pytest.raises(MlflowException, match="content"):
        model.predict(pd.DataFrame({"image": contents}))


def test_model_holds_what_it_needs_and_no_pickle(packed: Path) -> None:
    from mlflow.models import Model

    files = {path.relative_to(packed).as_posix() for path in packed.rglob("*") if path.is_file()}
    assert {path for path in files if path.endswith((".pkl", ".pickle", ".pt", ".pth", ".bin"))} == set()
    assert {"artifacts/model/model.safetensors", "artifacts/model/card.json", "input_example.json"} <= files
    described = Model.load(str(packed))
    assert described.metadata["classes"] == list(CLASSES)
    assert described.metadata["preprocess"]["crop_px"] == 32
    assert described.metadata["preprocess"]["interpolation"] == "bicubic"
    assert [column.name for column in described.signature.outputs] == COLUMNS
    assert (packed / "requirements.txt").read_text().count("==") == 6
    assert str(Path(__file__).parents[2]) not in (packed / "MLmodel").read_text()


def test_requirements_name_torchvision_only_where_it_is_needed(stored: Path) -> None:
    card = load_model(stored)[1]
    assert not any(line.startswith("torchvision") for line in requirements(card))
    other = ModelCard.from_plain({**card.to_plain(), "reference": "torchvision/resnet18"})
    assert any(line.startswith("torchvision==") for line in requirements(other))


def test_only_what_serving_imports_travels_with_the_model() -> None:
    carried = set(core_files())
    assert {"transfer/backbones/build.py", "transfer/data/decoding.py", "transfer/records.py"} <= carried
    assert not any(
        path.startswith(("transfer/finetuning", "transfer/heads", "transfer/pretraining")) for path in carried
    )


def test_model_loads_in_a_fresh_process_without_this_project(
    root: Path, packed: Path, contents: list[bytes], expected: Any, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", FRESH, str(root), str(packed)],
        check=False,
        input=json.dumps([content.hex() for content in contents]),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    np.testing.assert_allclose(np.array([row[1:] for row in answer["rows"]["data"]]), expected, atol=1e-5)
    assert all(place.startswith(str(packed / "code")) for place in answer["places"])
    assert "torchvision" not in answer["used"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["forest", "knn"])
def test_a_model_without_a_linear_head_needs_nothing_more(
    root: Path, contents: list[bytes], tmp_path: Path, name: str
) -> None:
    backbone = build_backbone(BackboneReference.parse(REFERENCE), None, seed=0)
    features = torch.rand(12, backbone.feature_dim, generator=torch.Generator().manual_seed(0))
    classifier = Classifier(backbone, 3, fit_of(name, 0)(features, torch.arange(12) % 3, 3).head).eval()
    card = ModelCard.of(classifier, CLASSES)
    save_model(tmp_path / "stored", classifier, card)
    package(tmp_path / "stored", tmp_path / "model", {})
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-I", "-c", FRESH, str(root), str(tmp_path / "model")],
        check=False,
        input=json.dumps([content.hex() for content in contents]),
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    examples = torch.stack([to_example(content, card.preprocess) for content in contents])
    with torch.inference_mode():
        expected = classifier(normalise(examples, card.preprocess)).softmax(1).numpy()
    answer = json.loads(done.stdout)
    np.testing.assert_allclose(np.array([row[1:] for row in answer["rows"]["data"]]), expected, atol=1e-5)
    assert "transfer.backbones.heads" in answer["used"]
    assert not any(module.startswith("transfer.heads") for module in answer["used"])


@pytest.mark.service
def test_mlflow_serves_the_model_over_http(packed: Path, contents: list[bytes], expected: Any, tmp_path: Path) -> None:
    port = find_free_port()
    command = ["-m", "mlflow", "models", "serve", "-m", str(packed), "--env-manager", "local", "-p", str(port)]
    settings = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, *command], cwd=tmp_path, env=settings, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/ping", server, tmp_path / "log")
        texts = [base64.b64encode(content).decode() for content in contents]
        answer = _ask(port, {"dataframe_split": {"columns": ["content"], "data": [[text] for text in texts]}})
        shares = [[row[column] for column in COLUMNS[1:]] for row in answer["predictions"]]
        np.testing.assert_allclose(np.array(shares), expected, atol=1e-5)
        with pytest.raises(urllib.error.HTTPError) as refused:
            _ask(port, {"dataframe_records": [{"content": base64.b64encode(b"text").decode()}]})
        assert refused.value.code == 400
        assert "Row 0 of column 'content'" in refused.value.read().decode()
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


def _ask(port: int, payload: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(payload).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  our own server
        return json.load(answer)


def _wait_for(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310  our own server
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"no answer within 120 s: {log.read_text()}")


def _image(seed: int, kind: str) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (40 + seed, 50, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=kind)
    return stream.getvalue()

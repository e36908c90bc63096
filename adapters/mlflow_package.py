"""Pack a stored classifier as an MLflow model: code, weights and card, no pickle, loadable without this project."""

import ast
import hashlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import serving_model
from adapters.golden_outputs import write_golden
from adapters.json_files import sha256_of
from adapters.model_files import CARD, WEIGHTS, load_model
from adapters.seen_rows import EVIDENCE, SEEN_ROWS

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from transfer.backbones.card import ModelCard

_CORE = "transfer"
_REQUIRED = ("mlflow", "torch", "safetensors", "pillow", "numpy", "pandas")
_EXAMPLE_PX = 32
_OWN_WARNINGS = (
    ".*Any type hint is inferred as AnyType",  # MLflow about its own models, on import
    "Operation with range is deprecated",  # pandas about MLflow
)


def package(model: Path, target: Path, facts: dict[str, Any], seen_rows: Path | None = None) -> None:
    """Write the MLflow model folder of a stored classifier, with what it says of golden images.

    Args:
        model: folder with the weights and the card.
        target: folder to make; it must not exist.
        facts: what the model says of its origin, JSON-able.
        seen_rows: file of the rows that it may have learned from; None where nobody knows.
    """
    import pandas as pd

    classifier, card = load_model(model)
    example = pd.DataFrame({serving_model.CONTENT: [_example_content()]})
    with tempfile.TemporaryDirectory(prefix="rootstock-") as scratch, _without_its_own_warnings():
        from mlflow import pyfunc

        code = Path(scratch) / _CORE
        for module, source in core_files().items():
            (code.parent / module).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, code.parent / module)
        weights = Path(scratch) / serving_model.ARTIFACT
        weights.mkdir()
        for name in (WEIGHTS, CARD):
            shutil.copyfile(model / name, weights / name)
        evidence = Path(scratch) / EVIDENCE
        evidence.mkdir()
        write_golden(evidence, classifier, card)
        if seen_rows is not None:
            shutil.copyfile(seen_rows, evidence / SEEN_ROWS)
        pyfunc.save_model(
            str(target),
            python_model=serving_model.__file__,
            artifacts={serving_model.ARTIFACT: str(weights), EVIDENCE: str(evidence)},
            code_paths=[str(code)],
            signature=_signature(card),
            input_example=example,
            pip_requirements=requirements(card),
            metadata={**facts, "classes": list(card.classes), "preprocess": card.to_plain()["preprocess"]},
        )
    _forget_where_it_was_made(target)


def code_digest() -> str:
    """Return the sha256 of the code that travels with a model: its own file and the core's modules it imports."""
    digest = hashlib.sha256()
    for name, path in sorted({"serving_model.py": Path(serving_model.__file__), **core_files()}.items()):
        digest.update(f"{name}:{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def core_files() -> dict[str, Path]:
    """Return the modules of the core that the served code imports, directly or not: path inside the model -> file."""
    root = Path(serving_model.__file__).resolve().parent.parent
    pending, found = [Path(serving_model.__file__)], dict[str, Path]()
    while pending:
        for file in _core_imports(pending.pop(), root):
            name = file.relative_to(root).as_posix()
            if name not in found:
                found[name] = file
                pending.append(file)
    return found


def requirements(card: "ModelCard") -> list[str]:
    """Return what has to be installed to serve the model, in the versions that are installed here."""
    source = card.reference.partition("/")[0]
    names = (*_REQUIRED, *{"rootstock": (), "torchvision": ("torchvision",)}.get(source, ("torchvision", source)))
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in names]


@contextmanager
def _without_its_own_warnings() -> Iterator[None]:
    """Keep what MLflow warns about in its own code from the user."""
    with warnings.catch_warnings():
        for message in _OWN_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        yield


def _forget_where_it_was_made(target: Path) -> None:
    """Replace this machine's paths in the description of a model by paths inside the model."""
    from mlflow.models import Model

    described = Model.load(str(target / "MLmodel"))
    settings = described.flavors["python_function"]
    settings["model_code_path"] = Path(settings["model_code_path"]).name
    for artifact in settings["artifacts"].values():
        artifact["uri"] = artifact["path"]
    described.save(str(target / "MLmodel"))


def _core_imports(file: Path, root: Path) -> Iterator[Path]:
    """Yield the core's files that a module imports, packages' `__init__.py` included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.partition(".")[0] == _CORE:
                yield from _files_of(name, root)


def _files_of(name: str, root: Path) -> Iterator[Path]:
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:depth])
        yield from (file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file())


def _signature(card: "ModelCard") -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    shares = [ColSpec(DataType.double, name) for name in serving_model.probability_columns(card.classes)]
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, serving_model.CONTENT)]),
        outputs=Schema([ColSpec(DataType.string, serving_model.LABEL), *shares]),
    )


def _example_content() -> bytes:
    import numpy as np

    from transfer.data.encoding import grey_png

    return grey_png(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4, _EXAMPLE_PX)

"""Classify files with a stored model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adapters import environment
from adapters.image_files import EXTENSIONS
from adapters.model_files import load_model
from adapters.project import find_project
from adapters.registered_models import model_folder
from tasks.progress import progress
from transfer.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from transfer.backbones.backbone import Classifier
    from transfer.records import Preprocess

_BATCH_ROWS = 64
_REGISTERED = re.compile(r"[^/@]+(@[^/@]+|/[0-9]+)")  # NAME@ALIAS or NAME/VERSION, as other commands take them


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one file.

    Args:
        path: the file, as it was named or found.
        class_name: the class with the highest probability.
        probabilities: class name -> probability in [0, 1]; they add up to 1.
    """

    path: str
    class_name: str
    probabilities: dict[str, float]


def classify(model_uri: str, paths: Sequence[Path]) -> tuple[list[Prediction], list[str]]:
    """Classify files and every file of folders.

    Args:
        model_uri: a model URI of MLflow, NAME@ALIAS or NAME/VERSION of a registered model, or a folder that holds a
            model.
        paths: files or folders; a folder is searched with its subfolders for files of the known kinds.

    Returns:
        The predictions in the order of the files, and a sentence for each file that cannot be read.

    Raises:
        UserError: a path or the model does not exist, or a folder holds nothing to classify.
    """
    files, uri = _files(paths), _uri(model_uri)
    _prepare(uri)
    classifier, card = load_model(model_folder(uri))
    predictions: list[Prediction] = []
    unreadable: list[str] = []
    with progress("classifying", total=len(files)) as bar:
        for start in range(0, len(files), _BATCH_ROWS):
            batch = files[start : start + _BATCH_ROWS]
            read = [
                (path, example)
                for path in batch
                if (example := _example(path, card.preprocess, unreadable)) is not None
            ]
            if read:
                shares = _probabilities(classifier, [example for _, example in read], card.preprocess)
                predictions += [
                    _prediction(path, card.classes, row) for (path, _), row in zip(read, shares, strict=True)
                ]
            bar.advance(len(batch))
    return predictions, unreadable


def _uri(text: str) -> str:
    return f"models:/{text}" if _REGISTERED.fullmatch(text) and not Path(text).exists() else text


def _prepare(model_uri: str) -> None:
    """Set up the project's environment where a project is needed: a folder can be used from anywhere."""
    if ":/" in model_uri:
        environment.prepare(find_project())


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.suffix.lower() in EXTENSIONS and each.is_file())
            if not inside:
                raise UserError(
                    f"{path} holds no file that can be classified ({', '.join(sorted(EXTENSIONS))}); name another."
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"{path} does not exist; name files, or folders of them.")
    return found


def _example(path: Path, preprocess: "Preprocess", unreadable: list[str]) -> "Tensor | None":
    from transfer.data.decoding import to_example
    from transfer.data.undecodable import UndecodableError

    try:
        return to_example(path.read_bytes(), preprocess)
    except (UndecodableError, OSError) as error:
        unreadable.append(f"{path}: {getattr(error, 'strerror', None) or error}")
        return None


def _probabilities(classifier: "Classifier", examples: "list[Tensor]", preprocess: "Preprocess") -> list[list[float]]:
    import torch

    from transfer.data.batches import normalise

    with torch.inference_mode():
        logits = classifier(normalise(torch.stack(examples), preprocess))
        shares: list[list[float]] = logits.double().softmax(1).tolist()
    return shares


def _prediction(path: Path, classes: Sequence[str], row: Sequence[float]) -> Prediction:
    by_class = dict(zip(classes, row, strict=True))
    return Prediction(str(path), max(by_class, key=by_class.__getitem__), by_class)

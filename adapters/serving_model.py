"""The code of a registered model. MLflow runs a copy of this file wherever the model is served.

Beside it travel the weights, the card and the modules of `transfer` that it imports, so that a model prepares its input
with the code it was trained with, and needs nothing of this project where it is served.
"""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from transfer.backbones.backbone import Classifier
    from transfer.backbones.card import ModelCard

ARTIFACT = "model"  # the folder of weights and card, as MLflow calls it
CONTENT, LABEL, PROBABILITY = "content", "label", "probability_"
_BATCH_ROWS = 64
_OWN_NAME = "adapters.serving_model"


def probability_columns(classes: Sequence[str]) -> list[str]:
    """Return the output columns of the probabilities, in the order of the classes."""
    return [PROBABILITY + name for name in classes]


def load(folder: Path) -> "tuple[Classifier, ModelCard]":
    """Load a classifier in evaluation mode from its weights and card.

    Args:
        folder: holds model.safetensors and card.json.
    """
    import json

    from safetensors.torch import load_file

    from transfer.backbones.backbone import Classifier
    from transfer.backbones.build import build_backbone
    from transfer.backbones.card import ModelCard
    from transfer.backbones.heads import head_in
    from transfer.backbones.reference import BackboneReference

    card = ModelCard.from_plain(json.loads((folder / "card.json").read_text(encoding="utf-8")))
    reference = BackboneReference.parse(card.reference).with_weights("none")
    sized = reference.with_sizes(card.preprocess.resize_px, card.preprocess.crop_px)
    backbone = build_backbone(sized, None, seed=0)
    backbone.preprocess = card.preprocess
    state = load_file(folder / "model.safetensors")
    classifier = Classifier(backbone, len(card.classes), head_in(state))
    classifier.load_state_dict(state)
    return classifier.eval(), card


def classify(classifier: "Classifier", card: "ModelCard", contents: Sequence[bytes | str]) -> "pd.DataFrame":
    """Classify whole files.

    Args:
        classifier: what `load` returned.
        card: what `load` returned.
        contents: the bytes of each file, or their base64 text.

    Returns:
        A row a file: the label, and a probability in [0, 1] for every class.

    Raises:
        MlflowException: a row cannot be decoded; the sentence names it.
    """
    import pandas as pd

    shares: list[list[float]] = logits(classifier, card, contents).softmax(1).tolist()
    labels = [card.classes[max(range(len(row)), key=row.__getitem__)] for row in shares]
    table = pd.DataFrame(shares, columns=probability_columns(card.classes), dtype="float64")
    table.insert(0, LABEL, labels)
    return table


def logits(classifier: "Classifier", card: "ModelCard", contents: Sequence[bytes | str]) -> "Tensor":
    """Return what the classifier says of whole files, float64 (N, n_classes); see `classify`."""
    import torch

    from transfer.data.batches import normalise

    with torch.inference_mode():
        rows = [classifier(normalise(batch, card.preprocess)).double() for batch in _batches(contents, card)]
        return torch.cat(rows) if rows else torch.zeros(0, len(card.classes), dtype=torch.float64)


def _batches(contents: Sequence[bytes | str], card: "ModelCard") -> "Iterator[Tensor]":
    import torch

    for start in range(0, len(contents), _BATCH_ROWS):
        batch = contents[start : start + _BATCH_ROWS]
        yield torch.stack([_example(content, start + place, card) for place, content in enumerate(batch)])


def _example(content: bytes | str, row: int, card: "ModelCard") -> "Tensor":
    from transfer.data.decoding import to_example
    from transfer.data.undecodable import UndecodableError

    try:
        return to_example(base64.b64decode(content) if isinstance(content, str) else bytes(content), card.preprocess)
    except (UndecodableError, ValueError, TypeError) as error:
        from mlflow.exceptions import MlflowException

        raise MlflowException.invalid_parameter_value(f"Row {row} of column {CONTENT!r}: {error}") from error


def _mlflow_model() -> Any:
    """Wrap `load` and `classify` in the class that MLflow asks for."""
    import pandas as pd
    from mlflow.pyfunc.model import PythonModel

    class ServedClassifier(PythonModel):  # type: ignore[misc,unused-ignore]  # MLflow's seam is inheritance
        """Classify encoded files."""

        def load_context(self, context: Any) -> None:
            """Load the weights and the card."""
            self.classifier, self.card = load(Path(context.artifacts[ARTIFACT]))

        def predict(
            self,
            context: Any,  # noqa: ARG002  MLflow's signature
            model_input: pd.DataFrame,
            params: dict[str, Any] | None = None,  # noqa: ARG002  MLflow's signature
        ) -> pd.DataFrame:
            """Return a row of label and probabilities for every row of encoded files."""
            return classify(self.classifier, self.card, list(model_input[CONTENT]))

    return ServedClassifier()


if __name__ not in (_OWN_NAME, "__main__"):  # MLflow runs its copy under a name of its own
    from mlflow.models import set_model

    set_model(_mlflow_model())

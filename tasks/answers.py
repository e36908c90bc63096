"""What every model answers to the test rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.manifest_file import Manifest
from tasks.examples import prepared
from tasks.frozen_files import NEAREST_MEAN, SOURCE, Frozen, read_frozen
from tasks.handoffs import MODEL, RANDOM_FROZEN, SCRATCH
from tasks.progress import progress
from transfer.errors import UserError
from transfer.records import Preprocess, Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from transfer.backbones.backbone import Classifier
    from transfer.data.examples import Examples

MODELS = {"transfer": MODEL, "scratch": SCRATCH, "random_frozen": RANDOM_FROZEN}
UNTRANSFERRED = ("scratch", "random_frozen")
PROBE, NEAREST, AS_IT_CAME = "probe", "nearest_mean", "source_head"


@dataclass(frozen=True)
class Answers:
    """What models say.

    Args:
        probabilities: model -> float64 (N, C); the fine-tuned one is called "transfer", and comes first.
        frozen: what there is of the pretrained trunk as it came.
        detail: of each image as the model sees it, see `transfer.data.detail`, float64 (N,).
    """

    probabilities: "dict[str, NDArray[np.float64]]"
    frozen: Frozen
    detail: "NDArray[np.float64]"


def answered(data_path: str, manifest: Manifest, rows: Sequence[Row]) -> Answers:
    """Ask every model about the test rows.

    Args:
        data_path: the data set's folder.
        manifest: of the data set.
        rows: its test rows.

    Raises:
        UserError: a model was trained on other classes, is damaged, or was made from other inputs.
    """
    from adapters.model_files import load_card, load_head
    from transfer.data.detail import laplacian_variance

    frozen, asked = read_frozen(), _Asked(data_path, manifest, rows, {})
    folders = {**MODELS, **({} if frozen.model_is_probe or not frozen.pretrained else {PROBE: frozen.folder})}
    folders |= {AS_IT_CAME: SOURCE} if frozen.source_classes else {}
    found = {}
    for name, folder in folders.items():
        classifier = asked.model(folder)
        features = asked.features(classifier, name)
        found[name] = _shares(classifier.head, features)
        if frozen.pretrained and folder == frozen.folder:
            found[NEAREST] = _shares(load_head(NEAREST_MEAN), features)
    order = [name for name in (*MODELS, PROBE, NEAREST, AS_IT_CAME) if name in found]
    inputs = asked.images(load_card(MODEL)[0].preprocess).inputs
    return Answers({name: found[name] for name in order}, frozen, laplacian_variance(inputs).numpy())


@dataclass(frozen=True)
class _Asked:
    """The test rows, prepared once for every way to look at them."""

    data_path: str
    manifest: Manifest
    rows: Sequence[Row]
    loaded: "dict[Preprocess, Examples]"

    def model(self, folder: Path) -> "Classifier":
        """Return a model of the data set's classes."""
        from adapters.model_files import load_model

        classifier, card = load_model(folder)
        if card.classes != self.manifest.classes:
            raise UserError(
                f"{folder} was trained on the classes {', '.join(card.classes)}, the data set has "
                f"{', '.join(self.manifest.classes)}; run `dvc repro` again."
            )
        return classifier

    def features(self, classifier: "Classifier", name: str) -> "Tensor":
        """Return the features of all rows under a model."""
        from transfer.finetuning.measuring import predict_features

        inputs = self.images(classifier.backbone.preprocess).inputs
        with progress(f"testing {name}", total=len(self.rows)) as bar:
            return predict_features(classifier, inputs, bar.advance)

    def images(self, preprocess: Preprocess) -> "Examples":
        """Return all rows as a backbone reads them."""
        if preprocess not in self.loaded:
            self.loaded[preprocess] = prepared(self.data_path, self.rows, preprocess, "decoding test images")
        return self.loaded[preprocess]


def _shares(head: "nn.Module", features: "Tensor") -> "NDArray[np.float64]":
    from transfer.finetuning.measuring import logits_of

    shares: NDArray[np.float64] = logits_of(head, features).double().softmax(dim=1).numpy()
    return shares

"""The training images that a model finds the most alike to some others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapters.json_files import read_json
from adapters.manifest_file import Manifest
from tasks.examples import chosen_rows, prepared
from tasks.features import features_of
from tasks.handoffs import FINETUNE_HISTORY, RANKING
from tasks.history import STRATEGY, read_history
from tasks.params import Params
from transfer.records import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from transfer.backbones.backbone import Classifier


@dataclass(frozen=True)
class Neighbour:
    """A training image that is alike.

    Args:
        path: within the data set.
        sha256: of its file.
        class_name: its class.
        similarity: cosine of the angle between features, in [-1, 1].
        pixels: uint8 (S, S, 3), as the model sees it.
    """

    path: str
    sha256: str
    class_name: str
    similarity: float
    pixels: "NDArray[Any]"


@dataclass(frozen=True)
class Alike:
    """Neighbours of some images.

    Args:
        is_frozen: whether the trunk is the pretrained one as it came.
        neighbours: of every image, the most alike first.
    """

    is_frozen: bool
    neighbours: tuple[tuple[Neighbour, ...], ...]

    def to(self, place: int) -> tuple[Neighbour, ...]:
        """Return the neighbours of one image."""
        return self.neighbours[place]

    @classmethod
    def of(cls, classifier: "Classifier", rows: Sequence[Row], manifest: Manifest, params: Params) -> "Alike":
        """Find the neighbours of rows among the training rows; features that an earlier stage computed are read.

        Args:
            classifier: the model.
            rows: whose neighbours.
            manifest: holds the training rows.
            params: of the project.

        Raises:
            UserError: an image is gone or has changed.
        """
        from transfer.explanation.nearest import nearest

        digest, settings, backbone = _weights_sha256(), params.explain, classifier.backbone
        known = chosen_rows(manifest.of_split("train"), settings.max_rows)
        of_train = features_of(backbone, digest, params.data.path, known, "features of training images")
        own = features_of(backbone, digest, params.data.path, rows, "features of explained images")
        places, similarity = nearest(own, of_train, settings.nearest)
        wanted = [known[int(place)] for place in places.flatten()]
        distinct = {row.sha256: row for row in wanted}
        inputs = prepared(params.data.path, tuple(distinct.values()), backbone.preprocess).inputs
        pixels = dict(zip(distinct, inputs.permute(0, 2, 3, 1).numpy(), strict=True))

        def neighbour(row: Row, cosine: float) -> Neighbour:
            return Neighbour(row.path, row.sha256, manifest.classes[row.label], cosine, pixels[row.sha256])

        found = tuple(
            tuple(neighbour(known[place], cosine) for place, cosine in zip(*pair, strict=True))
            for pair in zip(places.tolist(), similarity.tolist(), strict=True)
        )
        return cls(digest is not None, found)


def _weights_sha256() -> str | None:
    """Return the digest of the weights file that the trunk still equals; None where training changed it."""
    from transfer.finetuning.plan import PROBE, REFIT
    from transfer.finetuning.strategies import is_from_scratch

    kept = {outcome.name for outcome in read_history(FINETUNE_HISTORY)[1] if outcome.kept}
    if kept - {PROBE, REFIT} or is_from_scratch(read_json(FINETUNE_HISTORY)[STRATEGY]):
        return None
    digest: str | None = read_json(RANKING)["candidates"][0]["weights_sha256"]
    return digest

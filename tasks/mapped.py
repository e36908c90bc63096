"""Maps of answers and their checks: what in each image spoke for the class that the model named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.examples import prepared
from tasks.explained import Answer, rows_of
from tasks.params import Params
from tasks.progress import progress
from transfer.errors import UserError
from transfer.records import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from adapters.explanation_pictures import Panel
    from transfer.backbones.backbone import Classifier
    from transfer.explanation.maps import Method
    from transfer.explanation.sanity import Sanity

AUTO = "auto"
_MOST_CHECKED = 4  # images that slow methods are checked on: occlusion runs the network some fifty times an image


@dataclass(frozen=True)
class Mapped:
    """Answers with their maps.

    Args:
        answers: that are explained.
        rows: what read their images.
        pixels: uint8 (N, S, S, 3), as the model sees them.
        methods: that made maps, the most telling one first.
        maps: method -> float32 (N, S, S).
        sanity: method -> what its check came to, on the first images or on all.
    """

    answers: tuple[Answer, ...]
    rows: tuple[Row, ...]
    pixels: "NDArray[Any]"
    methods: "tuple[Method, ...]"
    maps: "Mapping[str, NDArray[Any]]"
    sanity: "Mapping[str, Sanity]"

    def panels(self, place: int) -> "list[Panel]":
        """Return the maps of an answer, as they are drawn."""
        from adapters.explanation_pictures import Panel

        return [
            Panel(self.maps[method.name][place], method.name, *self._note(method.name, place))
            for method in self.methods
        ]

    def checks(self, place: int) -> dict[str, Any]:
        """Return how alike each map of an answer is to those by random weights; None where that was not asked."""
        return {method.name: _rounded(self._of_image(method.name, place)) for method in self.methods}

    def plain(self) -> list[dict[str, Any]]:
        """Return what the record says of each method."""
        from transfer.explanation.maps import SAYS
        from transfer.explanation.sanity import THRESHOLD

        found = []
        for method in self.methods:
            sanity = self.sanity[method.name]
            interval = sanity.similarity
            values = (None,) * 3 if interval is None else (interval.value, interval.low, interval.high)
            figures = dict(zip(("similarity", "low", "high"), map(_rounded, values), strict=True))
            verdict = {"threshold": THRESHOLD, "passed": sanity.passed, "sentence": sanity.sentence}
            counts = {"n_images": len(sanity.of_images), "n_networks": sanity.n_networks}
            share = _rounded(sanity.share_passed)
            entry = {"method": method.name, "says": SAYS[method.name], "layers": method.layers}
            found.append({**entry, "share_passed": share, "sanity": {**figures, **verdict, **counts}})
        return found

    def _of_image(self, name: str, place: int) -> float | None:
        of_images = self.sanity[name].of_images
        return of_images[place] if place < len(of_images) else None

    def _note(self, name: str, place: int) -> tuple[str, bool]:
        from transfer.explanation.sanity import THRESHOLD

        if not self.maps[name][place].any():
            return "nothing speaks for it", False
        own, of_all = self._of_image(name, place), self.sanity[name].similarity
        if own is not None:
            passed = own < THRESHOLD
            return f"check {own:.2f}: {'passes' if passed else 'FAILS'}", passed
        if of_all is None:
            return "check: nothing to compare", False
        passed = self.sanity[name].passed
        return f"check of all {of_all.value:.2f}: {'passes' if passed else 'FAILS'}", passed


def mapped(classifier: "Classifier", classes: Sequence[str], answers: Sequence[Answer], params: Params) -> Mapped:
    """Make the maps of answers, and check them against networks with random weights.

    Args:
        classifier: the model.
        classes: names, in the order of its logits.
        answers: at least one.
        params: of the project.

    Raises:
        UserError: an image is gone, or the named method does not suit the model.
    """
    import torch

    from transfer.data.batches import normalise
    from transfer.explanation.maps import GRAD_CAM, maps_of
    from transfer.explanation.sanity import checked
    from transfer.randomness import generator

    settings, preprocess = params.explain, classifier.backbone.preprocess
    rows = rows_of(answers, params.data.path)
    inputs = prepared(params.data.path, rows, preprocess).inputs
    images = normalise(inputs, preprocess)
    labels = torch.tensor([classes.index(answer.predicted) for answer in answers])
    methods = _methods(classifier, images, settings.method)
    n_checked = {method.name: len(rows) if method.name == GRAD_CAM else _MOST_CHECKED for method in methods}
    n_maps = len(rows) * len(methods) + sum(min(n, len(rows)) * (1 + settings.networks) for n in n_checked.values())
    maps, sanity = {}, {}
    with progress("explaining", total=n_maps) as bar:
        for method in methods:
            n = n_checked[method.name]
            maps[method.name] = maps_of(classifier, method, images, labels, bar.advance).numpy()

            def explain(network: "Classifier", method: "Method" = method, n: int = n) -> "Tensor":
                return maps_of(network, method, images[:n], labels[:n], bar.advance)

            drawn = generator(settings.seed, f"networks for {method.name}")
            sanity[method.name] = checked(classifier, explain, images[:n], settings.networks, drawn)
    pixels = inputs.permute(0, 2, 3, 1).numpy()
    return Mapped(tuple(answers), rows, pixels, methods, maps, sanity)


def _methods(classifier: "Classifier", images: "Tensor", name: str) -> "tuple[Method, ...]":
    from transfer.explanation.maps import method_named, methods_of

    if name == AUTO:
        return methods_of(classifier, images)
    method = method_named(name, classifier, images)
    if method is None:
        raise UserError(
            f"explain.method is {name!r}, which needs a head with derivatives and a trunk that holds images by places; "
            f"this model lacks one of them; set it to auto or occlusion."
        )
    return (method,)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

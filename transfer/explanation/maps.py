"""Maps of what in an image speaks for a class, for any classifier and without naming a layer.

What is explained is a class's logit above the mean of all logits: only that decides the answer, since adding the same
to every logit changes none. Every map is at least 0 and larger where more speaks for the class: by Grad-CAM, more than
at the average place, since biases make its zero arbitrary; by the others, at all.

Grad-CAM weighs values by derivatives that are averaged over places, which is exact where the network averages them too
and mistaken at earlier, finer grids. So each place keeps its own derivatives, averaged over the way from the image of
which every place holds the mean of all places to the image itself. Evidence then adds up to what the logit gains on
that way, and is Grad-CAM's, less its mean, where the features are averages over places. Each depth has mistakes of its
own, so the evidence of several is averaged: of a mean, the squared error is at most the mean squared error.

Source: Selvaraju et al. 2017, "Grad-CAM", arXiv:1610.02391, equations 1 and 2; place by place, Draelos and Carin 2020,
"HiResCAM", arXiv:2011.08891, equation 2; along a way, Sundararajan et al. 2017, "Axiomatic attribution for
deep networks", arXiv:1703.01365, equation 1; the mean, Rieger and Hansen 2019, "Aggregating explanation methods for
stable and robust explainability", arXiv:1903.00519; Zeiler and Fergus 2014, "Visualizing and
understanding convolutional networks", arXiv:1311.2901, section 4.2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from transfer.backbones.backbone import Classifier
from transfer.backbones.heads import LINEAR, kind_of
from transfer.backbones.modes import evaluating
from transfer.errors import UserError
from transfer.explanation.places import Grid, grids_of, run_from

GRAD_CAM, INTEGRATED, OCCLUSION = "grad-cam", "integrated-gradients", "occlusion"
METHODS = (GRAD_CAM, INTEGRATED, OCCLUSION)
SAYS = {
    GRAD_CAM: "Where what the network holds of a place, in place of the average one, raises the logit of the class, "
    "on average over depths.",
    INTEGRATED: "Which pixels raise the logit of the class on the way from a plain image to this one.",
    OCCLUSION: "Where covering a patch of the image lowers the logit of the class the model named.",
}

_AT_ONCE = 8  # images of one pass that keeps what derivatives need
_STEPS = 16  # of the path from a grey image; Gauss-Legendre, so that few suffice
_STEPS_AT_GRID = 8  # of the path from the mean place; what follows a grid bends less than a whole network
_PATCHES_A_SIDE = 8  # shifts of the occluding patch, which covers two shifts a side
_SMOOTHING = 1 / 32  # of the side: single pixels say nothing to an eye


@dataclass(frozen=True, slots=True)
class Method:
    """How maps are made for a classifier.

    Args:
        name: one of `METHODS`.
        grids: which Grad-CAM reads, the deepest first, of one resolution; none for the others.
    """

    name: str
    grids: tuple[Grid, ...] = ()

    @property
    def layers(self) -> list[str]:
        """Return the layers that are read, the deepest first, as `named_modules` of the trunk calls them."""
        return [grid.layer for grid in self.grids]


def methods_of(classifier: Classifier, images: Tensor) -> tuple[Method, ...]:
    """Return the methods that suit a classifier, the most telling one first.

    Args:
        classifier: any.
        images: float (N, 3, S, S), normalised; two are enough.

    Returns:
        Grad-CAM, and occlusion as a second opinion that shares nothing with it. Occlusion alone where the head counts
        votes, whose derivatives are 0 almost everywhere, and where the trunk holds no grid of places.
    """
    found = method_named(GRAD_CAM, classifier, images)
    return (Method(OCCLUSION),) if found is None else (found, Method(OCCLUSION))


def method_named(name: str, classifier: Classifier, images: Tensor) -> Method | None:
    """Return a method by its name; None where it does not suit the classifier, as `methods_of` says.

    Args:
        name: one of `METHODS`.
        classifier: any.
        images: as for `methods_of`.
    """
    if name == OCCLUSION:
        return Method(OCCLUSION)
    if kind_of(classifier.head) != LINEAR:
        return None
    if name == INTEGRATED:
        return Method(INTEGRATED)
    grids = grids_of(classifier.backbone.trunk, images[:2])
    return Method(GRAD_CAM, grids) if grids else None


def maps_of(
    classifier: Classifier,
    method: Method,
    images: Tensor,
    labels: Tensor,
    advance: Callable[[int], None] = lambda _: None,
) -> Tensor:
    """Return a map for every image.

    Args:
        classifier: left as it is.
        method: of this classifier, or of one of the same architecture.
        images: float (N, 3, S, S), normalised.
        labels: int64 (N,), the class whose evidence each map shows.
        advance: called with the number of maps done, after every few.

    Returns:
        float32 (N, S, S), at least 0.
    """
    compute = {INTEGRATED: _integrated, OCCLUSION: _occlusion}.get(method.name, partial(_grad_cam, method.grids))
    made = []
    with evaluating(classifier):
        for part, of_part in zip(images.split(_AT_ONCE), labels.split(_AT_ONCE), strict=True):
            made.append(compute(classifier, part, of_part).clamp(min=0).float())
            advance(len(part))
    return torch.cat(made) if made else torch.empty(0, *images.shape[2:])


class _Above(nn.Module):
    """A classifier's logits above their mean."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, C) of normalised images (N, 3, S, S)."""
        logits: Tensor = self.classifier(images)
        return logits - logits.mean(1, keepdim=True)


def _grad_cam(grids: Sequence[Grid], classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    """Return the evidence at each place, its mean over grids of one resolution, as large as the images."""
    if not grids:
        raise UserError(f"{GRAD_CAM} needs the grids that `method_named` finds; ask that for the method.")
    evidence = torch.stack([evidence_of(grid, classifier, images, labels) for grid in grids]).mean(0)
    return functional.interpolate(evidence[:, None], images.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def evidence_of(grid: Grid, classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    """Return what each place adds to a logit above the mean logit, on the way from where all hold their mean.

    Args:
        grid: of the classifier's trunk.
        classifier: in evaluation mode.
        images: float (N, 3, S, S), normalised.
        labels: int64 (N,), whose logit.

    Returns:
        (N, side, side), which adds up to what the logit gains.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_STEPS_AT_GRID)
    evidence = images.new_zeros(len(images), grid.side, grid.side)
    for share, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        with torch.enable_grad():
            features, value = run_from(classifier.backbone.trunk, grid, images, float(share))
            logits = classifier.head(features)
            score = (logits - logits.mean(1, keepdim=True)).gather(1, labels[:, None]).sum()
            (slope,) = torch.autograd.grad(score, value)
        above = grid.by_place(grid.above_mean(value.detach())) / float(share)
        evidence += float(weight) * (grid.by_place(slope) * above).sum(1)
    return evidence


def _integrated(classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gain of each pixel on the way from the mean colour, its neighbours counted in."""
    from captum.attr import IntegratedGradients

    gains = IntegratedGradients(_Above(classifier)).attribute(
        images, baselines=0.0, target=labels, n_steps=_STEPS, internal_batch_size=_AT_ONCE
    )
    return _smoothed(gains.sum(1).clamp(min=0), _SMOOTHING)


def _occlusion(classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    """Return what the logit loses by all patches of the mean colour that cover a pixel, together."""
    from captum.attr import Occlusion

    side = images.shape[-1]
    shift = max(1, side // _PATCHES_A_SIDE)
    with torch.inference_mode():
        mean_lost: Tensor = Occlusion(_Above(classifier)).attribute(
            images,
            sliding_window_shapes=(3, 2 * shift, 2 * shift),
            strides=(3, shift, shift),
            baselines=0.0,
            target=labels,
        )
    # Fewer patches cover a border, so that their mean would point there for what lies near it; their sum does not.
    at = torch.arange(side, device=images.device)
    starts = shift * torch.arange(-(-(side - 2 * shift) // shift) + 1, device=images.device)
    covering = ((at >= starts[:, None]) & (at < starts[:, None] + 2 * shift)).sum(0)
    lost = mean_lost.mean(1) * (covering[:, None] * covering)
    return _smoothed(lost, 1 / (2 * _PATCHES_A_SIDE))


def _smoothed(maps: Tensor, share: float) -> Tensor:
    """Return maps (N, S, S) under a Gaussian of a share of their side, at least half a pixel."""
    sigma = max(0.5, maps.shape[-1] * share)
    reach = int(3 * sigma + 0.5)
    at = torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device)
    line = torch.exp(-0.5 * (at / sigma) ** 2)
    line = line / line.sum()
    padded = functional.pad(maps[:, None], (reach,) * 4, mode="replicate")
    across = functional.conv2d(padded, line.view(1, 1, 1, -1))
    return functional.conv2d(across, line.view(1, 1, -1, 1))[:, 0]

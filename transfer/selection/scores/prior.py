"""The static prior: what a candidate's weights reach on ImageNet, whatever the target is.

On the usual benchmark, eleven supervised networks on eleven data sets, this list orders candidates better than most
scores that look at the target (docs/selection.md): a score earns its cost where it beats it.

Source: torchvision's weight metadata, the top-1 accuracy of ImageNet-1K that it reports for each entry.
"""

from transfer.backbones.reference import BackboneReference
from transfer.backbones.torchvision_facts import published_facts
from transfer.backbones.torchvision_models import weights_names

UNPUBLISHED_TOP1 = 50.0  # below every published figure (from 56.5 on), above random weights
RANDOM_TOP1 = 0.1  # a guess among 1,000 classes


def imagenet_top1(reference: str, weights_sha256: str | None = None) -> float:
    """Return the published ImageNet top-1 accuracy of a candidate's weights, in percent; higher is better.

    Random weights count as a guess, 0.1. Weights without a published figure, as those shipped with this project and
    those fitted elsewhere, count as 50: below every published network, above no training at all. A file is known by its
    digest, whatever its name.

    Costs nothing but the import of torchvision.

    Args:
        reference: the candidate as the user wrote it.
        weights_sha256: hex digest of its weights file, where that is known.

    Raises:
        UserError: the reference, its architecture or the name of its weights is unknown.
    """
    if BackboneReference.parse(reference).is_random:
        return RANDOM_TOP1
    known = known_top1(reference, weights_sha256)
    return UNPUBLISHED_TOP1 if known is None else known


def known_top1(reference: str, weights_sha256: str | None = None) -> float | None:
    """Return the published ImageNet top-1 accuracy of a candidate's weights, in percent; None where there is none.

    Args:
        reference: see `imagenet_top1`.
        weights_sha256: see `imagenet_top1`.

    Raises:
        UserError: see `imagenet_top1`.
    """
    parsed = BackboneReference.parse(reference)
    if parsed.source != "torchvision" or parsed.is_random or parsed.registered_model is not None:
        return None
    if parsed.weights_file is None:
        return published_facts(parsed.arch, parsed.weights or "DEFAULT").top1
    return _of_file(parsed.arch, weights_sha256 or "")


def _of_file(arch: str, sha256: str) -> float | None:
    """Return the figure of the published file with this digest; its name ends with the digest's first digits."""
    for name in weights_names(arch):
        facts = published_facts(arch, name)
        if sha256.startswith(facts.url.rpartition("-")[2].removesuffix(".pth")):
            return facts.top1
    return None

"""What torchvision records of its published weights; nothing is built to tell it."""

from dataclasses import dataclass

from transfer.backbones.torchvision_models import require_weights_name

_TOP1 = ("ImageNet-1K", "acc@1")


@dataclass(frozen=True, slots=True)
class PublishedFacts:
    """What torchvision records of published weights, the head of 1000 classes included.

    Args:
        url: where the file is.
        stated_licence: of the weights, where it differs from that of the code, as stated.
        recipe: address of how they were trained.
        top1: accuracy on ImageNet-1K, %.
        n_parameters: of the whole network.
        macs: multiply-adds for one image.
        crop_px: side of the images.
    """

    url: str
    stated_licence: str | None
    recipe: str | None
    top1: float | None
    n_parameters: int
    macs: int
    crop_px: int


def class_names(arch: str, name: str | None, n_classes: int) -> tuple[str, ...]:
    """Return what published weights call their classes; empty where they are not as many as asked.

    Args:
        arch: an architecture.
        name: of published weights; None for the first of the architecture that tell as many classes.
        n_classes: that the head tells.

    Raises:
        UserError: the architecture or the name is unknown.
    """
    from torchvision import models

    require_weights_name(arch, name or "DEFAULT")
    enum = models.get_model_weights(arch)
    found = (entry.meta.get("categories", ()) for entry in ([enum[name]] if name is not None else enum))
    return next((tuple(names) for names in found if len(names) == n_classes), ())


def published_facts(arch: str, name: str) -> PublishedFacts:
    """Return what torchvision records of published weights.

    Raises:
        UserError: the architecture or the name is unknown.
    """
    from torchvision import models

    require_weights_name(arch, name)
    entry = models.get_model_weights(arch)[name]
    meta, (data, metric) = entry.meta, _TOP1
    return PublishedFacts(
        entry.url,
        meta.get("license"),
        meta.get("recipe"),
        meta.get("_metrics", {}).get(data, {}).get(metric),
        meta["num_params"],
        round(meta["_ops"] * 1e9),
        entry.transforms().crop_size[0],
    )

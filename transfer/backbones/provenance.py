"""Where weights come from: who published them, what they were trained on, under which licence they may be used."""

from dataclasses import dataclass

from transfer.backbones.reference import BackboneReference

UNKNOWN = "unknown"
_SWAG = "facebookresearch/SWAG"
_IMAGENET = (
    "ImageNet-1K (ILSVRC 2012), whose terms allow non-commercial research and education; torchvision leaves it to "
    "the user whether terms of the data apply to the weights"
)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is known of weights; None where nothing is.

    Args:
        origin: an address, or what made them.
        licence: of the weights, as their publisher states it.
        training_data: what they were trained on, and its terms.
        recipe: address of how they were trained.
        top1: accuracy on ImageNet-1K as published, %.
    """

    origin: str | None = None
    licence: str | None = None
    training_data: str | None = None
    recipe: str | None = None
    top1: float | None = None

    def missing(self) -> tuple[str, ...]:
        """Return what has to be known before a model made from the weights is registered, and is not."""
        return tuple(name for name in ("licence", "origin") if getattr(self, name) is None)


RANDOM = Provenance("random numbers", "none needed", "none")


def published_provenance(reference: BackboneReference) -> Provenance:
    """Return what the publisher says of published weights.

    Args:
        reference: with `is_published`.

    Raises:
        UserError: the architecture or the weights are unknown, or timm is not installed.
    """
    if reference.source == "timm":
        return _of_timm(reference)
    from transfer.backbones.torchvision_facts import published_facts

    facts = published_facts(reference.arch, reference.weights or "DEFAULT")
    swag = _SWAG in (facts.stated_licence or "")
    licence = "CC-BY-NC-4.0" if swag else facts.stated_licence or "BSD-3-Clause"
    return Provenance(
        origin=facts.url,
        licence=licence,
        training_data=f"public Instagram images with hashtags (SWAG), then {_IMAGENET}" if swag else _IMAGENET,
        recipe=facts.recipe,
        top1=facts.top1,
    )


def _of_timm(reference: BackboneReference) -> Provenance:
    from transfer.backbones import timm_models

    settings = timm_models.settings_of(reference.arch, reference.weights)
    return Provenance(
        origin=timm_models.weights_url(reference.arch, reference.weights),
        licence=timm_models.licence_of(reference.arch, reference.weights),
        training_data=f"as the tag {settings.tag!r} says; timm: terms of the data may apply to the weights",
        recipe=str(settings.origin_url) if settings.origin_url else None,
    )

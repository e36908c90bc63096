"""The catalogue: every architecture that can be named, with what its publisher says of it; nothing is built."""

from dataclasses import dataclass

from transfer.backbones.backbone import Backbone
from transfer.backbones.backbone_card import WeightsFile, card_of
from transfer.backbones.build import bare_backbone
from transfer.backbones.own_models import ARCHITECTURES, SHIPPED
from transfer.backbones.provenance import RANDOM as RANDOM_WEIGHTS
from transfer.backbones.provenance import Provenance, published_provenance
from transfer.backbones.reference import RANDOM, BackboneReference


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the catalogue.

    Args:
        reference: what a user writes.
        n_parameters: as published, of the whole network; of the trunk where nothing is published; None where unknown.
        macs: multiply-adds for one image, likewise.
        input_px: side of the images; None where unknown.
        top1: accuracy on ImageNet-1K as published, %; None where nothing is.
        licence: of the weights; None where unknown.
    """

    reference: str
    n_parameters: int | None = None
    macs: int | None = None
    input_px: int | None = None
    top1: float | None = None
    licence: str | None = None


def shipped_references() -> list[BackboneReference]:
    """Return the backbones that come with the project, weights included."""
    return [BackboneReference("rootstock", arch) for arch in SHIPPED]


def unfilled_entries() -> list[Entry]:
    """Return a line for every architecture of the project that weights have to be brought for: random till then."""
    references = [BackboneReference("rootstock", arch, (), RANDOM) for arch in ARCHITECTURES if arch not in SHIPPED]
    return [counted_entry(str(one), bare_backbone(one), RANDOM_WEIGHTS) for one in references]


def published_entries() -> list[Entry]:
    """Return a line for the default weights of every classification architecture of torchvision."""
    from transfer.backbones.torchvision_models import architectures

    return [published_entry(BackboneReference("torchvision", arch)) for arch in architectures()]


def published_entry(reference: BackboneReference) -> Entry:
    """Return the line of published weights of torchvision.

    Args:
        reference: to an architecture and, other than the default, its weights.

    Raises:
        UserError: the architecture or the weights are unknown.
    """
    from transfer.backbones.torchvision_facts import published_facts

    facts = published_facts(reference.arch, reference.weights or "DEFAULT")
    licence = published_provenance(reference).licence
    return Entry(str(reference), facts.n_parameters, facts.macs, facts.crop_px, facts.top1, licence)


def timm_entries(text: str) -> list[Entry]:
    """Return a line for every architecture of timm whose reference holds a text; it publishes no figures with them.

    Args:
        text: in lower case.

    Raises:
        UserError: timm is not installed.
    """
    from transfer.backbones import timm_models

    named = (arch for arch in timm_models.architectures() if text in f"timm/{arch}".lower())
    return [
        Entry(f"timm/{arch}", input_px=settings.input_size[1], licence=timm_models.licence_of(arch, None))
        for arch in named
        for settings in (timm_models.settings_of(arch, None),)
    ]


def counted_entry(reference: str, backbone: Backbone, provenance: Provenance) -> Entry:
    """Return the line of a backbone of which nothing is published; parameters and multiply-adds are counted.

    Args:
        reference: what a user writes.
        backbone: with values or without.
        provenance: of its weights.
    """
    card = card_of(backbone, provenance, WeightsFile())
    return Entry(reference, card.n_parameters, card.macs, card.preprocess.crop_px, provenance.top1, provenance.licence)


def other_references(reference: BackboneReference) -> list[BackboneReference]:
    """Return the other published weights of an architecture, the default among them.

    Raises:
        UserError: the architecture is unknown.
    """
    from transfer.backbones import timm_models, torchvision_models

    if reference.source == "torchvision":
        names = torchvision_models.weights_names(reference.arch)[1:]
    elif reference.source == "timm":
        names = timm_models.tags_of(reference.arch)
    else:
        return []
    plain = BackboneReference(reference.source, reference.arch)
    return [plain.with_weights(name) for name in names if name != reference.weights]

"""The head that pretrained weights came with: what it calls its classes, and which of them are the target's.

Where every class of the target is one that the weights were trained to tell, the network answers as it is, and whoever
trains anything has to beat that. A name is the same in lower case, without hyphens, in singular or plural; what is only
similar is not: a "crane" of the target may be the bird or the machine, and a near miss would make a weak reference that
says nothing.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from transfer.backbones.build import head_names
from transfer.backbones.heads import linear_head
from transfer.backbones.reference import BackboneReference
from transfer.backbones.torchvision_facts import class_names

_PLURALS = (("ies", "y"), ("es", ""), ("s", ""))  # ending -> what a singular has instead


def source_head(
    reference: BackboneReference, state_dict: Mapping[str, Tensor], classes: Sequence[str]
) -> tuple[nn.Linear, tuple[str, ...]] | None:
    """Return the part of a pretrained head that tells the target's classes, in their order.

    Args:
        reference: of the network; what torchvision's weights call their classes is known, of a file it is taken to be
            what those of the same architecture and number of classes do.
        state_dict: of the full architecture, as its file has it.
        classes: of the target.

    Returns:
        A head on the trunk's features, and what its source calls each class; None where there is no linear head, its
        classes have no names, or one of the target's is none of them.
    """
    found = _layer(reference, state_dict)
    names = () if found is None else class_names(reference.arch, _published(reference), len(found[0]))
    places = matched(classes, names)
    if found is None or places is None:
        return None
    weight, bias = found
    rows = torch.tensor(places)
    return linear_head(weight[rows].float(), bias[rows].float()), tuple(names[place] for place in places)


def matched(classes: Sequence[str], names: Sequence[str]) -> tuple[int, ...] | None:
    """Return which name each class has; None where one has none or several, or two have the same.

    Args:
        classes: of the target.
        names: of the source.
    """
    forms = [_forms(name) for name in names]
    places = []
    for one in map(_forms, classes):
        found = [place for place, form in enumerate(forms) if one & form]
        if len(found) != 1:
            return None
        places.append(found[0])
    return tuple(places) if len(set(places)) == len(places) else None


def _published(reference: BackboneReference) -> str | None:
    return (reference.weights or "DEFAULT") if reference.is_published else None


def _layer(reference: BackboneReference, state_dict: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """Return weight (K, D) and bias (K,) of the last linear layer; None where a file has none."""
    if reference.source != "torchvision":
        return None
    for name in head_names(reference):
        weight, bias = state_dict.get(f"{name}.weight"), state_dict.get(f"{name}.bias")
        if weight is not None and bias is not None and weight.dim() == 2:
            return weight, bias
    return None


def _forms(name: str) -> frozenset[str]:
    """Return a name as it is compared, with what may be its singular."""
    plain = re.sub(r"[\s_-]+", " ", name).strip().casefold()
    return frozenset({plain, *(plain.removesuffix(end) + instead for end, instead in _PLURALS if plain.endswith(end))})

"""Freezing as data: a group with a learning rate trains, every other keeps its weights and its norm statistics.

Within trained groups, a step may train norm scales and shifts alone, or biases alone.

Source: Frankle, Schwab and Morcos 2021, "Training BatchNorm and only BatchNorm", arXiv:2003.00152; BitFit, Ben Zaken,
Ravfogel and Goldberg 2022, arXiv:2106.10199.
"""

from collections.abc import Iterable, Mapping

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from transfer.backbones.backbone import Backbone, Classifier, DepthGroup
from transfer.errors import UserError

HEAD = "head"
EVERYTHING, SCALES, BIASES = "everything", "norm scales and shifts", "biases"  # what of a trunk's group is trained
_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def group_names(classifier: Classifier) -> tuple[str, ...]:
    """Return the names of all groups, the trunk's from shallow to deep, then the head."""
    return (*(group.name for group in classifier.backbone.depth_groups), HEAD)


def parameters_of(classifier: Classifier, group_name: str, trains: str = EVERYTHING) -> list[nn.Parameter]:
    """Return the parameters of one group.

    Args:
        classifier: the model.
        group_name: of the group.
        trains: which of a trunk's group; of the head all are returned.
    """
    if group_name == HEAD:
        return list(classifier.head.parameters())
    group = next(group for group in classifier.backbone.depth_groups if group.name == group_name)
    return selected(classifier.backbone, group, trains)


def selected(backbone: Backbone, group: DepthGroup, trains: str) -> list[nn.Parameter]:
    """Return the parameters of a depth group, or its norm scales and shifts, or its biases.

    Args:
        backbone: whose group it is.
        group: the depth group.
        trains: `EVERYTHING`, `SCALES` or `BIASES`.
    """
    if trains == EVERYTHING:
        return list(backbone.group_parameters(group))
    if trains == SCALES:
        norms = (module for module in backbone.trunk.modules() if isinstance(module, _NORMS))
        picked = {id(parameter) for module in norms for parameter in module.parameters(recurse=False)}
    else:
        named = backbone.trunk.named_parameters()
        picked = {id(parameter) for name, parameter in named if name.endswith("bias") and parameter.ndim == 1}
    return [parameter for parameter in backbone.group_parameters(group) if id(parameter) in picked]


def thaw(
    classifier: Classifier, trained: Iterable[str], *, adapts_norms: bool = False, trains: str = EVERYTHING
) -> None:
    """Make exactly the named groups trainable.

    Every other group gets no gradient and is put in evaluation mode, so that norm statistics stay as they are; modules
    that belong to no group hold no parameters and stay in evaluation mode too.

    Args:
        classifier: changed in place.
        trained: group names; an unknown one is refused.
        adapts_norms: whether modules of these groups that keep running statistics update them.
        trains: which parameters of these groups; the others stay as they are.

    Raises:
        UserError: a name is no group of this classifier.
    """
    names, known = set(trained), group_names(classifier)
    unknown = sorted(names - set(known))
    if unknown:
        raise UserError(f"There is no depth group {unknown[0]!r}; this backbone has {', '.join(known)}.")
    classifier.eval()
    classifier.requires_grad_(requires_grad=False)
    for name in names:
        for parameter in parameters_of(classifier, name, trains):
            parameter.requires_grad_()
    for group in classifier.backbone.depth_groups:
        if group.name in names:
            for module in classifier.backbone.group_modules(group):
                module.training = adapts_norms or getattr(module, "running_mean", None) is None
    classifier.head.training = HEAD in names


def parameter_groups(
    classifier: Classifier, rates: Mapping[str, float], weight_decay: float, trains: str = EVERYTHING
) -> list[dict[str, object]]:
    """Return optimiser groups: one rate a depth group, no weight decay on biases and norm parameters.

    Args:
        classifier: the model.
        rates: group name -> learning rate.
        weight_decay: for matrices and kernels.
        trains: which parameters of the trunk's groups.
    """
    groups: list[dict[str, object]] = []
    for name, rate in rates.items():
        parameters = parameters_of(classifier, name, trains)
        kernels = [parameter for parameter in parameters if parameter.ndim > 1]
        vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
        groups += [
            {"params": kernels, "lr": rate, "weight_decay": weight_decay},
            {"params": vectors, "lr": rate, "weight_decay": 0.0},
        ]
    return [group for group in groups if group["params"]]

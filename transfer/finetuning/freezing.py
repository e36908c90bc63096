"""Freezing as data: a group with a learning rate trains, every other keeps its weights and its norm statistics."""

from collections.abc import Iterable, Mapping

from torch import nn

from transfer.backbones.backbone import Classifier
from transfer.errors import UserError

HEAD = "head"


def group_names(classifier: Classifier) -> tuple[str, ...]:
    """Return the names of all groups, the trunk's from shallow to deep, then the head."""
    return (*(group.name for group in classifier.backbone.depth_groups), HEAD)


def parameters_of(classifier: Classifier, group_name: str) -> list[nn.Parameter]:
    """Return the parameters of one group."""
    if group_name == HEAD:
        return list(classifier.head.parameters())
    group = next(group for group in classifier.backbone.depth_groups if group.name == group_name)
    return list(classifier.backbone.group_parameters(group))


def thaw(classifier: Classifier, trained: Iterable[str], *, adapts_norms: bool = False) -> None:
    """Make exactly the named groups trainable.

    Every other group gets no gradient and is put in evaluation mode, so that norm statistics stay as they are; modules
    that belong to no group hold no parameters and stay in evaluation mode too.

    Args:
        classifier: changed in place.
        trained: group names; an unknown one is refused.
        adapts_norms: whether modules of these groups that keep running statistics update them.

    Raises:
        UserError: a name is no group of this classifier.
    """
    names, known = set(trained), group_names(classifier)
    unknown = sorted(names - set(known))
    if unknown:
        raise UserError(f"There is no depth group {unknown[0]!r}; this backbone has {', '.join(known)}.")
    classifier.eval()
    for name in known:
        for parameter in parameters_of(classifier, name):
            parameter.requires_grad_(name in names)
    for group in classifier.backbone.depth_groups:
        if group.name in names:
            for module in classifier.backbone.group_modules(group):
                module.training = adapts_norms or getattr(module, "running_mean", None) is None
    classifier.head.training = HEAD in names


def parameter_groups(
    classifier: Classifier, rates: Mapping[str, float], weight_decay: float
) -> list[dict[str, object]]:
    """Return optimiser groups: one rate a depth group, no weight decay on biases and norm parameters.

    Args:
        classifier: the model.
        rates: group name -> learning rate.
        weight_decay: for matrices and kernels.
    """
    groups: list[dict[str, object]] = []
    for name, rate in rates.items():
        parameters = parameters_of(classifier, name)
        kernels = [parameter for parameter in parameters if parameter.ndim > 1]
        vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
        groups += [
            {"params": kernels, "lr": rate, "weight_decay": weight_decay},
            {"params": vectors, "lr": rate, "weight_decay": 0.0},
        ]
    return [group for group in groups if group["params"]]

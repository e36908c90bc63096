"""The values of a classifier by name: all of them, or those that training changes."""

from collections.abc import Mapping

from torch import Tensor

from transfer.backbones.backbone import Classifier

State = dict[str, Tensor]


def trained_state(classifier: Classifier) -> State:
    """Return what training changes, by name: weights that ask for a gradient, statistics of modules in training mode.

    The tensors are the classifier's own, not copies.
    """
    state: State = {name: parameter for name, parameter in classifier.named_parameters() if parameter.requires_grad}
    for prefix, module in classifier.named_modules():
        if module.training:
            for name, buffer in module.named_buffers(recurse=False):
                state[f"{prefix}.{name}".lstrip(".")] = buffer
    return state


def clone_state(classifier: Classifier) -> State:
    """Return a copy of all parameters and buffers, on the processor."""
    return copied(classifier.state_dict())


def copied(values: Mapping[str, Tensor]) -> State:
    """Return copies of tensors, on the processor."""
    return {name: value.detach().to("cpu", copy=True) for name, value in values.items()}

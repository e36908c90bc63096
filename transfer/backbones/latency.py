"""How long a single image takes, in the worse cases."""

from collections.abc import Callable

import torch

from transfer.backbones.backbone import Classifier
from transfer.backbones.modes import evaluating

_N_WARM, _N_TIMED = 5, 100


def latency_p95_s(classifier: Classifier, now: Callable[[], float]) -> float:
    """Return the seconds in which 95 of 100 single images are through trunk and head, in PyTorch on this machine.

    Args:
        classifier: any; it is left as it was.
        now: a clock, seconds.
    """
    side_px = classifier.backbone.preprocess.crop_px
    image, seconds = torch.zeros(1, 3, side_px, side_px), []
    with evaluating(classifier), torch.inference_mode():
        for _ in range(_N_WARM + _N_TIMED):
            began = now()
            classifier(image)
            seconds.append(now() - began)
    return sorted(seconds[_N_WARM:])[round(0.95 * _N_TIMED) - 1]

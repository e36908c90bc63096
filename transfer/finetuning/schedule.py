"""How the learning rate rises and falls over a run.

Source: Goyal et al. 2017, "Accurate, large minibatch SGD", arXiv:1706.02677, section 2.2; Loshchilov and Hutter 2017,
"SGDR", arXiv:1608.03983, equation 5.
"""

import math

_WARM_UP = 0.1


def warm_up_cosine(update: int, n_updates: int) -> float:
    """Return the share of the peak rate at an update: a linear warm-up over a tenth of them, then half a cosine.

    Args:
        update: 0-based.
        n_updates: of the whole run.
    """
    warm_up = max(1, round(_WARM_UP * n_updates))
    if update < warm_up:
        return (update + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (update - warm_up) / max(1, n_updates - warm_up))))

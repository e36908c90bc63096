"""Ask weights for the answer they are known to give: a wrong file or network shows at once."""

import math

import torch
from torch import Tensor

from transfer.backbones.backbone import Backbone
from transfer.backbones.known_answers import N_VALUES, TOLERANCE, KnownAnswer
from transfer.backbones.modes import evaluating
from transfer.errors import UserError


def answer_of(backbone: Backbone, side_px: int | None = None) -> KnownAnswer:
    """Return what a backbone gives for the fixed input, one image of sums of waves in the units of normalised pixels.

    The features are summed up by the first coefficients of their cosine transform, in which every feature takes part.

    Args:
        backbone: every module is left in the mode it was in.
        side_px: side of the input; that of the backbone's images when None.
    """
    side_px = side_px or backbone.preprocess.crop_px
    with evaluating(backbone), torch.inference_mode():
        features = backbone(_waves(side_px)).double()[0].flatten()
    turns = torch.arange(len(features), dtype=torch.float64).add(0.5) * (math.pi / len(features))
    values = tuple(float((features * (turns * k).cos()).mean()) for k in range(N_VALUES))
    return KnownAnswer(side_px, values)


def require_answer(backbone: Backbone, known: KnownAnswer, name: str) -> None:
    """Refuse weights that do not answer as they are known to.

    Args:
        backbone: filled.
        known: what it should give.
        name: what an error sentence calls the weights.

    Raises:
        UserError: the answer is another one.
    """
    found = torch.tensor(answer_of(backbone, known.side_px).values, dtype=torch.float64)
    expected = torch.tensor(known.values, dtype=torch.float64)
    if not float((found - expected).norm()) <= TOLERANCE * float(expected.norm()):
        raise UserError(
            f"{name} does not give the answer that its card records for the fixed input ({_shown(found)} instead of "
            f"{_shown(expected)}); name the architecture and the options of the card, or restore the file."
        )


def _waves(side_px: int) -> Tensor:
    """Return float (1, 3, H, W): written as a formula, so that no generator's stream has to stay the same."""
    along = torch.arange(side_px, dtype=torch.float64) / side_px
    channels = [
        torch.sin(2 * math.pi * (f * along[:, None] + along[None] * 3)) + torch.cos(2 * math.pi * f * along[None] ** 2)
        for f in (2.0, 5.0, 11.0)
    ]
    return torch.stack(channels).float().unsqueeze(0)


def _shown(values: Tensor) -> str:
    return " ".join(f"{value:.5g}" for value in values.tolist())

"""Which strategy and which head fine-tuning was asked for: what it begins with, and the steps that follow."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.automatic import base_rate, with_searches
from tasks.candidates import candidate, random_candidate
from tasks.history import Event
from tasks.params_blocks import AUTO_NORMS, TRAINED_NORMS, FinetuneParams
from transfer.records import StepOutcome

if TYPE_CHECKING:
    from transfer.backbones.backbone import Backbone
    from transfer.backbones.reference import BackboneReference
    from transfer.finetuning.plan import Step


def starting_backbone(
    winner: "BackboneReference", weights_sha256: str | None, settings: FinetuneParams
) -> "tuple[Backbone, str | None]":
    """Return what the strategy begins with, and the sha256 of its weights; None where they are random.

    Args:
        winner: of the ranking.
        weights_sha256: that the ranking recorded.
        settings: of the stage.

    Raises:
        UserError: the weights are absent, are not the recorded ones, or do not fit the architecture.
    """
    from transfer.backbones.reference import RANDOM, BackboneReference
    from transfer.finetuning.strategies import is_from_scratch

    if not is_from_scratch(settings.strategy):
        return candidate(winner, weights_sha256)
    backbone = random_candidate(winner, settings.seed)  # with the winner's image size, whatever its weights
    backbone.reference = str(BackboneReference.parse(backbone.reference).with_weights(RANDOM))
    return backbone, None


def strategy_steps(backbone: "Backbone", settings: FinetuneParams, events: "Sequence[Event]") -> "tuple[Step, ...]":
    """Return the steps; left to itself, norm statistics are trained on where those of the target's images were better.

    Args:
        backbone: that will be trained.
        settings: of the stage.
        events: what happened before the first step.

    Raises:
        UserError: the strategy does not suit the backbone.
    """
    from transfer.finetuning.strategies import Rates, is_from_scratch, steps_of

    steps = steps_of(
        settings.strategy,
        backbone,
        Rates(base_rate(settings.head_lr), base_rate(settings.backbone_lr), settings.lr_decay, settings.scratch_lr),
        adapts_norms=_adapts_norms(backbone, settings, events),
    )
    return steps if is_from_scratch(settings.strategy) else with_searches(steps, settings)


def _adapts_norms(backbone: "Backbone", settings: FinetuneParams, events: "Sequence[Event]") -> bool:
    from transfer.backbones.reference import BackboneReference
    from transfer.finetuning.plan import NORMS

    if settings.norms != AUTO_NORMS:
        return settings.norms == TRAINED_NORMS
    has_own = any(isinstance(event, StepOutcome) and event.name == NORMS and event.kept for event in events)
    return has_own or BackboneReference.parse(backbone.reference).is_random

"""Check candidates as the stage `select` will, before anything runs: no data is read and nothing is downloaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters import dvc_lock
from tasks.params import PARAMS_FILE, Params, strategies_of
from tasks.params_blocks import REESTIMATED_NORMS, SELECTED, TRAINED_NORMS
from transfer.backbones.reference import BackboneReference

_ANYBODYS = ("staged", "features", "gradual", "full", "scratch")  # strategies that every architecture can follow


def check_changed(project: Path, candidates: Sequence[str], records: Mapping[str, str]) -> None:
    """Check every candidate, unless they are the shipped ones or those that `select` last ran with.

    Args:
        project: the project's root; relative weights paths start there.
        candidates: backbone references.
        records: path -> sha256 of the weights files they name.

    Raises:
        UserError: see `check`.
    """
    if tuple(candidates) == Params().select.candidates or _has_run(project, candidates, records):
        return
    for candidate in candidates:
        check(project, candidate)


def check(project: Path, candidate: str) -> bool:
    """Refuse a candidate that cannot be built or whose weights do not fit it; return whether its weights are here.

    Args:
        project: the project's root; a relative weights path starts there.
        candidate: a backbone reference.

    Returns:
        False when published weights have yet to be downloaded; their shapes are checked all the same.

    Raises:
        UserError: the reference, its architecture, an option or the name of published weights is unknown; or the
            weights file is missing, damaged, unsafe or of another architecture.
        EnvironmentFault: the memory is too small for the weights.
    """
    from adapters.published_weights import needs_download
    from adapters.registered_trunks import resolved
    from adapters.weights_files import load_weights
    from transfer.backbones.build import check_backbone

    reference, _ = resolved(BackboneReference.parse(candidate), project)
    check_backbone(reference, None)
    if reference.is_random or needs_download(reference):
        return reference.is_random
    if reference.weights_file is not None:
        reference = reference.with_weights(str(project / reference.weights_file))
    weights = load_weights(reference, project=project)
    check_backbone(reference, weights.state_dict, weights_name=weights.name)
    return True


def check_strategy(project: Path, params: Params) -> None:
    """Refuse a strategy, or norm statistics, that a candidate could not be fine-tuned with if it won.

    Args:
        project: the project's root.
        params: of the project; what `finetune` last ran with is not checked again.

    Raises:
        UserError: the strategy names more depth groups than a candidate has, or trains what it has none of.
    """
    settings, candidates, strategies = params.finetune, params.select.candidates, strategies_of(params)
    own_norms = settings.norms in (REESTIMATED_NORMS, TRAINED_NORMS)
    if (set(strategies) <= set(_ANYBODYS) and not own_norms) or _has_been_followed(project, params):
        return
    from adapters.registered_trunks import resolved
    from tasks.strategy import strategy_steps
    from transfer.backbones.build import bare_backbone
    from transfer.finetuning.norms import require_statistics

    for candidate in candidates:
        backbone = bare_backbone(resolved(BackboneReference.parse(candidate), project)[0])
        for strategy in strategies:
            strategy_steps(backbone, settings.model_copy(update={"strategy": strategy}), ())
        if own_norms:
            require_statistics(backbone)


def _has_been_followed(project: Path, params: Params) -> bool:
    if params.finetune.strategy == SELECTED:  # any of several
        return False
    recorded = dvc_lock.recorded(project)
    ran = recorded.get("finetune", {}).get("params", {}).get(PARAMS_FILE, {}).get("finetune", {})
    now = (params.finetune.strategy, params.finetune.norms)
    same = (ran.get("strategy"), ran.get("norms")) == now
    return same and _has_run(project, params.select.candidates, params.select.weights_sha256)


def _has_run(project: Path, candidates: Sequence[str], records: Mapping[str, str]) -> bool:
    """Say whether `select` last ran with these candidates and files, and so has built each of them."""
    params = dvc_lock.recorded(project).get("select", {}).get("params", {}).get(PARAMS_FILE, {})
    ran: dict[str, object] = params.get("select", {})
    return bool(ran.get("candidates") == list(candidates) and ran.get("weights_sha256", {}) == dict(records))

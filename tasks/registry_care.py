"""Keep the registry in step with artifacts/: DVC restores files, not what a stage once wrote elsewhere."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adapters import mlflow_registry, promotions
from adapters.json_files import read_json, sha256_of
from adapters.mlflow_aliases import CARD_TAG, MODEL_TAG, aliased, missing
from adapters.model_files import CARD, WEIGHTS
from adapters.origin_files import FILES_TAG, gather_again
from adapters.promotion_ledger import Line, read_ledger
from tasks.handoffs import METRICS, MODEL, REGISTRATION, VERDICT
from tasks.params import PARAMS_FILE, read_params
from tasks.release import is_origin, read_release
from transfer.evaluation.promotion import KEEP, PROMOTE


def mend(project: Path) -> str:
    """Compare the registry with the registration in artifacts/ and with the ledger; mend what is missing.

    A registration of another model than the one in artifacts/ is left to DVC, which reruns the stage.

    Args:
        project: the project's folder.

    Returns:
        What was missing and done, as a sentence; "" when the registry holds what it should.
    """
    needed = (REGISTRATION, MODEL / WEIGHTS, MODEL / CARD, METRICS, VERDICT)
    if not all((project / path).is_file() for path in needed):
        return ""
    record = read_json(project / REGISTRATION)
    digests = {MODEL_TAG: project / MODEL / WEIGHTS, CARD_TAG: project / MODEL / CARD}
    if any(record[key] != sha256_of(path) for key, path in digests.items()):
        return ""
    data_path = read_params(project / PARAMS_FILE).data.path
    origin = {key: str(text) for key, text in record.items() if is_origin(key)}  # as it was registered
    release = read_release(project, record["name"], data_path, origin)
    lost = aliased(project, release.name, release.alias) is None
    last = read_ledger(project).of(release.name)[-1:]
    done = [_mended(project, release), *promotions.settle(project)]
    if lost and _was_champion(record, last):
        done.append(_restored(project, release.name))
    return "; ".join(part for part in done if part)


def _mended(project: Path, release: mlflow_registry.Release) -> str:
    """Mend the registry; a version that lost what made it has it again where the project is still as it was."""
    if not missing(project, release.name, release.alias, release.identity, release.model / WEIGHTS):
        return ""
    tags = {key: text for key, text in release.tags.items() if key != FILES_TAG}
    with TemporaryDirectory(prefix="rootstock-") as scratch:
        said = gather_again(project, Path(scratch), release.tags.get(FILES_TAG, ""))
        if said is None:
            return mlflow_registry.mend(project, replace(release, tags=tags))
        return mlflow_registry.mend(project, replace(release, tags={**tags, FILES_TAG: said}, origin=Path(scratch)))


def _was_champion(record: Mapping[str, Any], last: tuple[Line, ...]) -> bool:
    """Say whether the registry lost a champion with its version; an alias that a person took away stays away."""
    if last:
        return last[0].after is not None and last[0].model_sha256 == record[MODEL_TAG]
    return record.get("promotion", {}).get("outcome") in (PROMOTE, KEEP)


def _restored(project: Path, name: str) -> str:
    version, found = aliased(project, name, promotions.CHALLENGER), promotions.champion(project, name)
    if version is None or found is not None:
        return ""
    why = "the registry had lost its champion, which artifacts/ still hold"
    promotions.move(project, promotions.Move(name, None, version.version, promotions.REPAIR, why))
    return f"{name}@{promotions.CHAMPION} is version {version.version} again"

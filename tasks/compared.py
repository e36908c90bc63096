"""Which champion the model of artifacts/ was compared with, and whether it is the champion still.

The champion lies in the registry, outside DVC's graph: a record names the one that was compared with, and whoever finds
another in its place has the stage `evaluate` run again.
"""

from pathlib import Path

from adapters.json_files import read_plain_json, sha256_of
from adapters.mlflow_aliases import CARD_TAG, MODEL_TAG, AliasedVersion
from adapters.model_files import CARD, WEIGHTS
from adapters.promotions import champion
from adapters.sealed_labels import read_looks
from tasks.handoffs import CHAMPION, LOOKS, MODEL


def own_identity(project: Path) -> dict[str, str]:
    """Return the digests of the model in artifacts/."""
    return {MODEL_TAG: sha256_of(project / MODEL / WEIGHTS), CARD_TAG: sha256_of(project / MODEL / CARD)}


def identity_of(version: AliasedVersion | None) -> dict[str, str] | None:
    """Return the digests of a registered version; one that others registered is told by its number."""
    if version is None:
        return None
    unknown = f"version {version.version}"
    return {tag: version.tags.get(tag, unknown) for tag in (MODEL_TAG, CARD_TAG)}


def is_outdated(project: Path) -> bool:
    """Say whether what `evaluate` left tells of another day: of another champion than that of today, or of fewer looks.

    Raises:
        EnvironmentFault: the registry or the ledger of looks cannot be read.
    """
    if not (project / CHAMPION).is_file():
        return False  # nothing was evaluated yet, or DVC knows that the record is gone
    if _was_looked_at_since(project):
        return True
    record = read_plain_json(project / CHAMPION)
    now = identity_of(champion(project, record["model"]))
    return now not in (record["own"], record["champion"] and record["champion"]["identity"])


def _was_looked_at_since(project: Path) -> bool:
    """Say whether the same test images were asked about more models than the record knows: it came from a cache."""
    if not (project / LOOKS).is_file():
        return False
    record = read_plain_json(project / LOOKS)
    at_these = (one for one in read_looks(project).lines if one.chosen and one.test_set == record["test_set"])
    return len({one.model_sha256 for one in at_these}) > int(record["n_models"])

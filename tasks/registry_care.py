"""Keep the registry in step with artifacts/: DVC restores files, not what a stage once wrote elsewhere."""

from pathlib import Path

from adapters import mlflow_registry
from adapters.json_files import read_json, sha256_of
from adapters.mlflow_aliases import CARD_TAG, MODEL_TAG
from adapters.model_files import CARD, WEIGHTS
from tasks.handoffs import METRICS, MODEL, REGISTRATION, VERDICT
from tasks.licences import WEIGHTS_TAGS
from tasks.params import PARAMS_FILE, read_params
from tasks.release import read_release


def mend(project: Path) -> str:
    """Compare the registry with the registration in artifacts/ and mend what is missing.

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
    weights = {key: str(text) for key, text in record.items() if key.startswith(WEIGHTS_TAGS)}  # as it was registered
    return mlflow_registry.mend(project, read_release(project, record["name"], record["alias"], data_path, weights))

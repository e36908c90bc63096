"""What the model is registered as."""

from pathlib import Path

from adapters.mlflow_runs import dataset_name
from adapters.model_names import check_name, clean_name
from tasks.params import Params


def model_name(params: Params, project: Path) -> str:
    """Return what the model is registered as: the name in params.yaml, else the data set's, made fit for MLflow.

    Raises:
        UserError: the name in params.yaml cannot be registered.
    """
    if params.register.model_name is None:
        return clean_name(dataset_name(params.data.path, project))
    check_name(params.register.model_name)
    return params.register.model_name

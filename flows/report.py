"""Order the stage `report`: write the page, the model card and the summary, then record them."""

from prefect import flow

from tasks import report as steps
from tasks.stage import run_stage


@flow(name="report", log_prints=False)
def report() -> None:
    """Write what a person reads of a finished run, and keep it in MLflow and Prefect."""
    steps.write()
    steps.record()


if __name__ == "__main__":
    run_stage(report)

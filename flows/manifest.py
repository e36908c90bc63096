"""Order the stage `manifest`: describe the data set, record the run."""

from prefect import flow

from tasks import manifest as steps
from tasks.stage import run_stage


@flow(name="manifest", log_prints=False)
def manifest() -> None:
    """Read every file of the data set once and write a row for each: class, split, digest, facts."""
    steps.describe()
    steps.record()


if __name__ == "__main__":
    run_stage(manifest)

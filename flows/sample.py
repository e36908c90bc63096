"""Order the stage `sample`: write the embedded data set, record the run."""

from prefect import flow

from tasks import sample as steps
from tasks.stage import run_stage


@flow(name="sample", log_prints=False)
def sample() -> None:
    """Write scikit-learn's scanned digits as a folder of class folders."""
    steps.write()
    steps.record()


if __name__ == "__main__":
    run_stage(sample)

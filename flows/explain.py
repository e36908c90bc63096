"""Order the stage `explain`: map, check and compare what is worth a look, draw, record the run."""

from prefect import flow

from tasks import explain as steps
from tasks.stage import run_stage


@flow(name="explain", log_prints=False)
def explain() -> None:
    """Say what in an image spoke for an answer, and whether that can be trusted."""
    steps.explain()
    steps.draw()
    steps.record()


if __name__ == "__main__":
    run_stage(explain)

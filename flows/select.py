"""Order the stage `select`: score the candidates, draw the ranking, record the run."""

from prefect import flow

from tasks import select as steps
from tasks.stage import run_stage


@flow(name="select", log_prints=False)
def select() -> None:
    """Rank the candidate backbones on the training rows."""
    seconds = steps.rank_candidates()
    steps.draw()
    steps.record(seconds)


if __name__ == "__main__":
    run_stage(select)

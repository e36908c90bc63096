"""Order the stage `evaluate`: predict the test rows, measure, judge, ask the champion too, draw, record the run."""

from prefect import flow

from tasks import evaluate as steps
from tasks.champion import compare_with_champion
from tasks.memory import remember
from tasks.stage import run_stage


@flow(name="evaluate", log_prints=False)
def evaluate() -> None:
    """Measure the models on the test rows, which no other stage opens."""
    steps.measure()
    compare_with_champion()
    steps.draw()
    steps.record()
    remember()


if __name__ == "__main__":
    run_stage(evaluate)

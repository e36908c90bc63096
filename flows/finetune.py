"""Order the stage `finetune`: train the winner in steps, draw its learning curve, record the run."""

from prefect import flow

from tasks import finetune as steps
from tasks.stage import run_stage


@flow(name="finetune", log_prints=False)
def finetune() -> None:
    """Adapt the winner: a head on frozen features, then the steps of the strategy."""
    steps.train()
    steps.draw()
    steps.record()


if __name__ == "__main__":
    run_stage(finetune, follow=steps.follow)

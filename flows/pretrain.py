"""Order the stage `pretrain`: read the parameters, train the backbone, write weights and card."""

from prefect import flow

from tasks import pretrain as steps
from tasks.stage import run_stage


@flow(name="pretrain")
def pretrain() -> None:
    """Train the shipped backbone `rootstock/strokes` from its own parameter file."""
    params = steps.read_params()
    steps.write(params, steps.train(params))


if __name__ == "__main__":
    run_stage(pretrain)

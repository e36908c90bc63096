"""Order the stage `register`: check what is to be registered, then publish it and let the gate decide."""

from prefect import flow

from tasks import register as steps
from tasks.stage import run_stage


@flow(name="register", log_prints=False)
def register() -> None:
    """Write a version of the model to the registry; make it the champion if the gate says so."""
    steps.check()
    steps.publish()


if __name__ == "__main__":
    run_stage(register)

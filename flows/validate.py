"""Order the stage `validate`: check the manifest, record the run, then stop it if what failed is an error."""

from prefect import flow

from tasks import validate as steps
from tasks.stage import run_stage


@flow(name="validate", log_prints=False)
def validate() -> None:
    """Check what the data must look like and quarantine what cannot be used."""
    steps.check()
    steps.record()
    steps.gate()


if __name__ == "__main__":
    run_stage(validate)

"""Order the stage `reference`: train what the transfer has to beat, fit what fine-tuning has to add to, record."""

from prefect import flow

from tasks import reference as steps
from tasks.stage import run_stage


@flow(name="reference", log_prints=False)
def reference() -> None:
    """Train the same architecture without transfer, on as many images; fit heads to the pretrained trunk as it came."""
    steps.train_from_scratch()
    steps.probe_random_features()
    steps.probe_pretrained_features()
    steps.record()


if __name__ == "__main__":
    run_stage(reference)

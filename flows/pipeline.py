"""The pipeline: every stage once, in the order of DVC, from data to a registered model; then a person, if asked for."""

from typing import Any

from prefect import flow
from prefect.states import Cancelled

from tasks import approval
from tasks import pipeline as steps


@flow(name="pipeline", log_prints=False)
def pipeline(data_path: str | None = None, settings: dict[str, Any] | None = None) -> Any:
    """Run what is stale of the pipeline in the project that holds the current directory.

    A run that was suspended for a person's word does as that says, and runs nothing else.

    Args:
        data_path: the data set; None for the one that params.yaml names.
        settings: dotted key -> value. A deployment names every key, so that one run never decides what the next trains;
            None keeps params.yaml as it is.
    """
    waiting = approval.resumed()
    if waiting is not None:
        return approval.decided(waiting)
    try:
        with steps.project_run(data_path, settings) as project:
            steps.apply_settings(project, data_path, settings)
            outcome = _stages(project)
    except steps.ProjectBusyError as error:
        return Cancelled(message=str(error))
    waiting = approval.asked(project)
    return outcome if waiting is None else approval.decided(waiting)


def _stages(project: Any) -> dict[str, Any]:
    """Order the stages; where the ladder of mitigations was climbed, those behind it have something to do again."""
    stale = steps.stale_stages(project)
    alone = steps.alone_after(stale)
    with steps.parent_run(project):
        times = []
        for stage in steps.STAGES:
            times.append(steps.repro(stage, stage in stale, stage in alone))
            if stage == steps.EVALUATE and (climbed := steps.climb(project, steps.repro)):
                times += climbed
                stale = alone = steps.stale_stages(project)
        return steps.settle(project, times)

"""Order the stage `select`: score the candidates side by side, rank them, draw and record the ranking."""

from prefect import flow

from tasks import select as steps
from tasks.scoring import Outcome, score
from tasks.stage import run_stage
from tasks.step import each
from tasks.trials import try_level


@flow(name="select", log_prints=False)
def select() -> None:
    """Rank the candidate backbones on the training rows."""
    outcomes = rank_all()
    steps.draw(outcomes)
    steps.record(outcomes)


def rank_all() -> list[Outcome]:
    """Score every candidate and write the ranking; one that fails does not stop the others."""
    pool = steps.gather()
    outcomes = each(score, pool.candidates, pool, pool.params.select.candidates_at_once)
    steps.rank_candidates(pool, outcomes, try_level(pool, outcomes))
    return outcomes


if __name__ == "__main__":
    run_stage(select)

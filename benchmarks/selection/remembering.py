"""What remembering finished runs is worth: expectations and choices with and without it, on tasks that it never saw."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

import torch

from benchmarks.selection.judge import Judged
from benchmarks.selection.report import Truth, points
from transfer.randomness import generator
from transfer.selection.gains import Case, Gains, Run, expected_gains
from transfer.selection.posterior import Posterior
from transfer.selection.ranking import believed, expected, rank

Expect = Callable[[str, Sequence[str]], Gains | None]  # of candidates on a task
CONFIDENCE, N_POOLS, N_LIVES, BEFORE = 0.95, 30, 12, 4
RANDOM = "@none"


@dataclass
class Figures:
    """What is measured of a way to expect, a value a candidate or a choice, points.

    Args:
        errors: of the expected accuracies.
        held: whether the interval held what came out.
        regrets: of choices.
    """

    errors: list[float] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    regrets: list[float] = field(default_factory=list)

    def row(self, name: str) -> str:
        """Return the figures as a row of a table."""
        error, bias = mean(map(abs, self.errors)), mean(self.errors)
        return f"| {name} | {error:.2f} | {bias:+.2f} | {100 * mean(self.held):.0f} | {mean(self.regrets):.2f} |"


def section(truth: Truth, judged: Mapping[str, Judged]) -> Iterator[str]:
    """Yield the lines of the document that tell what remembering is worth.

    Args:
        truth: what every candidate reached on every task.
        judged: what was said beforehand, by task.
    """
    yield ""
    yield "## What remembering is worth"
    yield ""
    yield "The accuracy that every candidate is expected to reach on every task, after the runs of all of them on the"
    yield "ten others. *Held*: how often the 95 % interval of the test figure has it; regret is the mean of pools of 6."
    yield ""
    yield from _heading()
    yield from _table(
        {"probe alone": _nothing, "no run remembered": _prior(judged), "others": _others(truth, judged)}, truth, judged
    )
    yield ""
    yield f"As a project lives: {N_LIVES} orders of the tasks, a pool of 6 for each, only what was chosen is fine-tuned"
    yield "and remembered. The choices from the fifth task on:"
    yield ""
    yield from _heading()
    for name, figures in lived(truth, judged).items():
        yield figures.row(name)


def _heading() -> Iterator[str]:
    yield "| expected after | error, points | bias, points | held, % | regret, points |"
    yield "|---|---|---|---|---|"


def _table(ways: Mapping[str, Expect], truth: Truth, judged: Mapping[str, Judged]) -> Iterator[str]:
    for name, expect in ways.items():
        found = Figures()
        for task, one in judged.items():
            names = list(one.scored)
            note(found, truth[task], one, names, expect(task, names))
            for places in [*one.of_pools][:N_POOLS]:
                pool = [names[place] for place in places]
                found.regrets.append(lost(truth[task], pool, chosen(one, pool, expect(task, pool))))
        yield found.row(name)


def _nothing(_: str, __: Sequence[str]) -> None:
    return None


def _prior(judged: Mapping[str, Judged]) -> Expect:
    return lambda task, names: expected_gains([], [case_of(task, name, judged[task]) for name in names])


def _others(truth: Truth, judged: Mapping[str, Judged]) -> Expect:
    def expect(task: str, names: Sequence[str]) -> Gains:
        runs = [run_of(truth, other, name, judged[other]) for other in judged if other != task for name in truth[other]]
        return expected_gains(runs, [case_of(task, name, judged[task]) for name in names])

    return expect


def lived(truth: Truth, judged: Mapping[str, Judged]) -> dict[str, Figures]:
    """Return figures of the chosen candidates alone, in lives that remember only what they chose."""
    found = {"probe alone": Figures(), "no run remembered": Figures(), "own earlier runs": Figures()}
    draw, tasks = generator(0, "lives"), list(judged)
    for _ in range(N_LIVES):
        runs: list[Run] = []
        names = list(truth[tasks[0]])
        pool = [names[place] for place in sorted(torch.randperm(len(names), generator=draw)[:6].tolist())]
        for place, task in enumerate(tasks[one] for one in torch.randperm(len(tasks), generator=draw).tolist()):
            cases = [case_of(task, name, judged[task]) for name in pool]
            expected = dict(zip(found, (None, expected_gains([], cases), expected_gains(runs, cases)), strict=True))
            picks = {way: chosen(judged[task], pool, gains) for way, gains in expected.items()}
            for way, name in picks.items() if place >= BEFORE else ():
                note(found[way], truth[task], judged[task], pool, expected[way], [name])
                found[way].regrets.append(lost(truth[task], pool, name))
            runs.append(run_of(truth, task, picks["own earlier runs"], judged[task]))
    return found


def note(
    figures: Figures,
    reached: Mapping[str, Mapping[str, float]],
    one: Judged,
    pool: Sequence[str],
    gains: Gains | None,
    of: Sequence[str] | None = None,
) -> None:
    """Add errors of expected accuracies, and whether intervals of the test figure held it, of a pool or some of it."""
    draws = expected(believed([one.scored[name] for name in pool], one.labels), gains).draws
    for place, name in enumerate(pool):
        if of is None or name in of:
            accuracy, n_test = reached[name]["accuracy"], int(reached[name]["n_test"])
            tested = torch.binomial(
                torch.full_like(draws[:, place], n_test), draws[:, place], generator=generator(0, name)
            )
            low, high = (float(bound) for bound in Posterior((tested / n_test)[:, None]).interval(CONFIDENCE))
            figures.errors.append(100 * (float(draws[:, place].mean()) - accuracy))
            figures.held.append(low <= accuracy <= high)


def chosen(one: Judged, pool: Sequence[str], gains: Gains | None) -> str:
    """Return the candidate of a pool that the ranking puts first."""
    ranked = rank([one.scored[name] for name in pool], one.labels, CONFIDENCE, gains=gains)
    references = {one.scored[name].score.reference: name for name in pool}
    return references[ranked[0].reference]


def lost(reached: Mapping[str, Mapping[str, float]], pool: Sequence[str], name: str) -> float:
    """Return by how many points the best candidate of a pool beats the one that was chosen."""
    return points({one: reached[one] for one in pool}, name)


def case_of(task: str, name: str, one: Judged) -> Case:
    """Return what a candidate would be fine-tuned on."""
    score, n_classes = one.scored[name].score, len(one.labels.unique())
    weights = "random" if name.endswith(RANDOM) else name.partition("@")[2] or name
    probe, n_rows = score.ridge_loo_accuracy, score.n_rows
    return Case(task, name, weights, "staged", probe, n_rows, n_rows / n_classes)


def run_of(truth: Truth, task: str, name: str, one: Judged) -> Run:
    """Return what came of it."""
    found = truth[task][name]
    n_test = int(found["n_test"])
    return Run(case_of(task, name, one), n_test, round(found["accuracy"] * n_test))

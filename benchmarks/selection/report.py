"""The document: how good every way of choosing was, task by task and on the whole, and what it cost."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import mean

from benchmarks.selection.judge import Judged
from transfer.metrics.ranking import regret, weighted_tau

OURS, CHANCE, ANY = "`select`", "chance", -1
Truth = Mapping[str, Mapping[str, Mapping[str, float]]]  # task -> candidate -> accuracy, cpu_s and n_test


def trials_section(truth: Truth, chosen: Mapping[str, tuple[str, float]], n_images: int) -> Iterator[str]:
    """Yield the lines that tell what trials change.

    Args:
        truth: see `document`.
        chosen: by `select` with trials, and the processor seconds that took, by task.
        n_images: that trials may see together.
    """
    lost = {task: points(truth[task], name) for task, (name, _) in chosen.items()}
    shares = [100 * cost_share(truth[task], cpu_s) for task, (_, cpu_s) in chosen.items()]
    yield ""
    yield f"## With trials of {n_images} images"
    yield ""
    yield f"Mean regret {mean(lost.values()):.2f} points, worst {max(lost.values()):.1f}, at"
    yield f"{mean(shares):.1f} % ({min(shares):.1f} to {max(shares):.1f}) of the cost of fine-tuning all candidates."
    yield ""
    yield "| task | chosen | reached | regret | cost, % |"
    yield "|---|---|---|---|---|"
    for (task, (name, _)), share in zip(chosen.items(), shares, strict=True):
        yield f"| {task} | `{name}` | {truth[task][name]['accuracy']:.3f} | {lost[task]:.1f} | {share:.1f} |"


def document(truth: Truth, judged: Mapping[str, Judged], machine: str) -> str:
    """Return the document as Markdown.

    Args:
        truth: what every candidate reached on every task, and what that took; means over seeds.
        judged: what was said beforehand, by task.
        machine: in words.
    """
    return (
        "\n".join((*_head(truth, machine), *_overall(truth, judged), *_by_task(truth, judged), *_truth(truth))) + "\n"
    )


def points(truth: Mapping[str, Mapping[str, float]], chosen: str) -> float:
    """Return by how many points the best candidate of a task beats the one that was chosen."""
    accuracies = [found["accuracy"] for found in truth.values()]
    return 100 * (max(accuracies) - truth[chosen]["accuracy"])


def cost_share(truth: Mapping[str, Mapping[str, float]], cpu_s: float) -> float:
    """Return what choosing took as a share of fine-tuning every candidate."""
    return cpu_s / sum(found["cpu_s"] for found in truth.values())


def _head(truth: Truth, machine: str) -> Iterator[str]:
    n_candidates = len(next(iter(truth.values())))
    yield "# Is the right backbone chosen?"
    yield ""
    yield f"`make bench-selection` measures this document: {n_candidates} candidates on {len(truth)} tasks."
    yield "Truth is what the stage `finetune` makes of each candidate, with its parameters as they are, on test images"
    yield "that no choice sees; it is kept in [selection_truth.json](selection_truth.json). Scores see training images."
    yield ""
    yield machine
    yield ""
    yield "- **Regret** is by how many points of test accuracy the best candidate beats the chosen one. On 200 test"
    yield "  images an accuracy of 0.9 has a standard error of 2 points: the best of many is partly lucky."
    yield "- **Pools of 6**: the same again for 60 draws of 6 of the candidates, so that one lucky order decides less."
    yield "- **tau** is the weighted Kendall correlation of a score with the truth over the pool; 1 is the right order."
    yield "- **Cost** is the processor time of choosing, executor trials and decoding included and nothing kept before,"
    yield "  over that of fine-tuning every candidate. Scores cost what `select` does: features are most of it."


def _overall(truth: Truth, judged: Mapping[str, Judged]) -> Iterator[str]:
    yield ""
    yield "| choice by | mean tau | mean regret, points | worst | tasks within a point | mean of pools of 6 | cost, % |"
    yield "|---|---|---|---|---|---|---|"
    names = list(next(iter(judged.values())).scores)
    lost = {task: points(truth[task], found.chosen) for task, found in judged.items()}
    shares = [100 * cost_share(truth[task], found.cpu_s) for task, found in judged.items()]
    taus = [_tau(truth[task], [found.expected[name] for name in truth[task]]) for task, found in judged.items()]
    cost = f"{mean(shares):.1f} ({min(shares):.1f} to {max(shares):.1f})"
    ours = {task: found.of_pools for task, found in judged.items()}
    yield _row(OURS, taus, list(lost.values()), _of_pools(truth, ours), cost)
    rows = []
    for name in names:
        regrets = [100 * regret(found.scores[name], _accuracies(truth[task])) for task, found in judged.items()]
        taus = [_tau(truth[task], found.scores[name]) for task, found in judged.items()]
        by_score = {task: _picked(found.scores[name], found.of_pools) for task, found in judged.items()}
        of_pools = _of_pools(truth, by_score)
        rows.append((of_pools, _row(name, taus, regrets, of_pools, "0" if name == "static prior" else "the same")))
    yield from (row for _, row in sorted(rows))
    chance = [100 * (max(_accuracies(found)) - mean(_accuracies(found))) for found in truth.values()]
    by_chance = {task: dict.fromkeys(found.of_pools, ANY) for task, found in judged.items()}
    yield _row(CHANCE, [0.0], chance, _of_pools(truth, by_chance), "0")


def _picked(scores: Sequence[float], pools: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    """Return whom a score picks of each pool; of equal scores the one that is named first."""
    return {places: max(places, key=lambda place: scores[place]) for places in pools}


def _of_pools(truth: Truth, chosen: Mapping[str, Mapping[tuple[int, ...], int]]) -> float:
    """Return the mean regret over tasks and smaller pools, points."""
    lost = []
    for task, picks in chosen.items():
        accuracies = _accuracies(truth[task])
        for places, pick in picks.items():
            of_pool = [accuracies[place] for place in places]
            lost.append(max(of_pool) - (mean(of_pool) if pick == ANY else accuracies[pick]))
    return 100 * mean(lost)


def _row(name: str, taus: Sequence[float], regrets: Sequence[float], of_pools: float, cost: str) -> str:
    near = sum(lost <= 1.0 for lost in regrets)
    lost = f"{mean(regrets):.2f} | {max(regrets):.1f} | {near} of {len(regrets)}"
    return f"| {name} | {mean(taus):.3f} | {lost} | {of_pools:.2f} | {cost} |"


def _by_task(truth: Truth, judged: Mapping[str, Judged]) -> Iterator[str]:
    yield ""
    yield "| task | chosen | reached | expected | best | reached | regret | cost, % |"
    yield "|---|---|---|---|---|---|---|---|"
    for task, found in judged.items():
        reached = {name: one["accuracy"] for name, one in truth[task].items()}
        best = max(reached, key=reached.__getitem__)
        lost, share = points(truth[task], found.chosen), 100 * cost_share(truth[task], found.cpu_s)
        chosen = f"`{found.chosen}` | {reached[found.chosen]:.3f} | {found.expected[found.chosen]:.3f}"
        yield f"| {task} | {chosen} | `{best}` | {reached[best]:.3f} | {lost:.1f} | {share:.1f} |"


def _truth(truth: Truth) -> Iterator[str]:
    tasks = list(truth)
    yield ""
    yield "Test accuracy of every candidate, fine-tuned:"
    yield ""
    yield f"| candidate | {' | '.join(tasks)} |"
    yield "|---" * (len(tasks) + 1) + "|"
    for name in truth[tasks[0]]:
        reached = " | ".join(f"{truth[task][name]['accuracy']:.3f}" for task in tasks)
        yield f"| `{name}` | {reached} |"


def _accuracies(truth: Mapping[str, Mapping[str, float]]) -> list[float]:
    return [found["accuracy"] for found in truth.values()]


def _tau(truth: Mapping[str, Mapping[str, float]], scores: Sequence[float]) -> float:
    return weighted_tau(scores, _accuracies(truth))

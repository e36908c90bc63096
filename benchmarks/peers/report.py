"""The tables: who reaches what when, and whether ours keeps what is asked of it."""

import math
from collections.abc import Callable, Sequence

from benchmarks.peers import methods
from benchmarks.peers.curves import Run, Spread, accuracy_at, best, final, seconds_to, times_sooner
from transfer.metrics.intervals import wilson_interval
from transfer.records import Interval

SOONER, WARMER, CONFIDENCE = 8.0, 20.0, 0.95  # asked of ours
MOMENTS_S = (2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)


def section(data_set: str, runs: Sequence[Run]) -> str:
    """Return all there is to say of one data set, as Markdown.

    Args:
        data_set: its name.
        runs: on it, of ours and of at least one peer, with the same seeds.
    """
    parts = (f"## {data_set}", reached_table(runs), moments_table(runs), "\n".join(verdicts(runs)))
    return "\n\n".join(parts) + "\n"


def reached_table(runs: Sequence[Run]) -> str:
    """Return a line for every method: what it reaches, when, and when ours is as good."""
    head = ("method", "runs", "last accuracy", "best accuracy", "seconds to its best", "seconds in all")
    lines = [_line((*head, "ours as good after, s", "ours sooner, times"))]
    lines.append(_line(["---"] * 8))
    for method in _present(runs):
        own, pairs = _of(runs, method), _pairs(runs, method)
        cells = [method, str(len(own)), _accuracy(Spread.of(final(run).accuracy for run in own))]
        cells += [_accuracy(Spread.of(best(run).accuracy for run in own))]
        cells += [_seconds(Spread.of(best(run).seconds for run in own))]
        cells += [_seconds(Spread.of(final(run).seconds for run in own))]
        if method in methods.PEERS and pairs:
            reached = Spread.of(seconds_to(ours, best(peer).accuracy) for ours, peer in pairs)
            sooner = Spread.of(times_sooner(ours, peer) for ours, peer in pairs)
            cells += [_seconds(reached), _times(sooner)]
        else:
            cells += ["", ""]
        lines.append(_line(cells))
    return "\n".join(lines)


def moments_table(runs: Sequence[Run]) -> str:
    """Return the accuracy of the newest model each method has after the same seconds."""
    longest_s = max(final(run).seconds for run in runs)
    moments = [moment for moment in MOMENTS_S if moment <= longest_s]
    lines = [_line(("accuracy after", *(f"{moment:g} s" for moment in moments))), _line(["---"] * (len(moments) + 1))]
    for method in _present(runs):
        cells = [method]
        for moment in moments:
            found = [accuracy_at(run, moment) for run in _of(runs, method)]
            cells.append("no model" if any(map(math.isnan, found)) else _accuracy(Spread.of(found)))
        lines.append(_line(cells))
    return "\n".join(lines)


def verdicts(runs: Sequence[Run]) -> list[str]:
    """Return a sentence for each thing that is asked of ours: by how much it is met, or missed."""
    remembered = _sooner(runs, methods.OURS_REMEMBERED, ", by the first model where the executor is known")
    return [*_sooner(runs, methods.OURS, ""), *remembered, *_as_good(runs), *_warmer(runs)]


def best_peer(runs: Sequence[Run]) -> tuple[str, Interval]:
    """Return the peer with the highest median of best accuracies, and the interval of that median."""
    medians = {
        method: (Spread.of(best(run).accuracy for run in _of(runs, method)).median, _of(runs, method)[0].n_test)
        for method in methods.PEERS
        if _of(runs, method)
    }
    method = max(medians, key=lambda name: medians[name][0])
    accuracy, n_test = medians[method]
    return method, wilson_interval(round(accuracy * n_test), n_test, CONFIDENCE)


def _sooner(runs: Sequence[Run], ours: str, text: str) -> list[str]:
    told = []
    for method in methods.PEERS:
        if pairs := _pairs(runs, method, ours):
            times = Spread.of(times_sooner(one, peer) for one, peer in pairs).median
            told.append((times >= SOONER, f"{method} {_number(times) if times else 'never reached'}"))
    kept, names = all(met for met, _ in told), ", ".join(name for _, name in told)
    line = f"- {_word(kept)}: every peer's best accuracy at least {SOONER:g} times sooner{text} (medians: {names})."
    return [line] if told else []


def _as_good(runs: Sequence[Run]) -> list[str]:
    shipped = [final(run).accuracy for run in _of(runs, methods.OURS)]
    if not shipped or not any(_of(runs, name) for name in methods.PEERS):
        return []
    (method, interval), ours = best_peer(runs), Spread.of(shipped).median
    line = (
        f"- {_word(ours >= interval.low)}: last accuracy not below the best peer's {CONFIDENCE:.0%} interval (ours "
        f"{ours:.3f}; {method} {interval.value:.3f}, Wilson {interval.low:.3f} to {interval.high:.3f})."
    )
    return [line]


def _warmer(runs: Sequence[Run]) -> list[str]:
    cold, warm = (_of(runs, name) for name in (methods.OURS, methods.OURS_AGAIN))
    if not warm:
        return []
    lines = []
    asked: tuple[tuple[str, Callable[[Run], float]], ...] = (
        ("to the first model", lambda run: run.points[0].seconds),
        ("to the end", lambda run: final(run).seconds),
    )
    for text, read in asked:
        times = Spread.of(read(first) / read(again) for first, again in zip(cold, warm, strict=True))
        seconds = Spread.of(read(run) for run in warm).median
        kept = _word(times.median >= WARMER)
        lines.append(
            f"- {kept}: a run again at least {WARMER:g} times faster, {text}: {_times(times)} times, {seconds:.2f} s."
        )
    remembered = _of(runs, methods.OURS_REMEMBERED)
    if remembered:
        first = Spread.of(run.points[0].seconds for run in remembered)
        lines.append(f"- With an empty cache and a known executor the first model is there after {_seconds(first)} s.")
    return lines


def _pairs(runs: Sequence[Run], method: str, ours: str = methods.OURS) -> list[tuple[Run, Run]]:
    """Return ours and a peer's of the same seed."""
    by_seed = {run.seed: run for run in _of(runs, ours)}
    return [(by_seed[run.seed], run) for run in _of(runs, method) if run.seed in by_seed]


def _present(runs: Sequence[Run]) -> list[str]:
    names = (methods.OURS, methods.OURS_REMEMBERED, methods.OURS_AGAIN, *methods.PEERS)
    return [name for name in names if _of(runs, name)]


def _of(runs: Sequence[Run], method: str) -> list[Run]:
    return sorted((run for run in runs if run.method == method), key=lambda run: run.seed)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _word(kept: bool) -> str:
    return "**kept**" if kept else "**missed**"


def _accuracy(spread: Spread) -> str:
    return f"{spread.median:.3f}" + _between(f"{spread.least:.3f}", f"{spread.largest:.3f}")


def _seconds(spread: Spread) -> str:
    if math.isinf(spread.median):
        return "never" if math.isinf(spread.least) else f"never (at best {spread.least:.1f})"
    return _times(spread)


def _times(spread: Spread) -> str:
    return _number(spread.median) + _between(_number(spread.least), _number(spread.largest))


def _between(least: str, largest: str) -> str:
    return "" if least == largest else f" ({least} to {largest})"


def _number(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.1f}"

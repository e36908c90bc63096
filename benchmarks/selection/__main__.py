r"""Measure how well a backbone is chosen, against fine-tuning all of them: `make bench-selection`.

    python -m benchmarks.selection --data ../shared                    # judge; what truth is missing is found first
    python -m benchmarks.selection --data ../shared --truth --part 0/2 # only find truth, every second run
    python -m benchmarks.selection --data ../shared --seeds 1 --near 12 --document docs/selection_other_images.md

Truth is kept in docs/selection_truth.json, because it takes an hour; scores and choices are computed anew.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

import torch

from adapters.machine import machine_facts, usable_cores
from adapters.processes import keep_freed_memory
from benchmarks.selection import truth
from benchmarks.selection.judge import Judged, chosen_by_trials, judged
from benchmarks.selection.pool import candidates, label
from benchmarks.selection.remembering import section
from benchmarks.selection.report import document, trials_section
from benchmarks.selection.targets import TARGETS

TRUTH, DOCUMENT = Path("docs/selection_truth.json"), Path("docs/selection_benchmark.md")


def main() -> None:
    """Find what truth is missing; then judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared"), help="a folder with datasets/ and weights/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--truth", action="store_true", help="judge nothing")
    parser.add_argument("--near", type=float, help="fine-tune only what was so many points near the best with seed 0")
    parser.add_argument("--part", default="0/1", help="which of how many processes that share the work this is")
    parser.add_argument(
        "--trials", type=int, metavar="IMAGES", help="choose by trials alone, and print what they change"
    )
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--truth-file", type=Path, default=TRUTH)
    options = parser.parse_args()
    keep_freed_memory()  # as every stage does
    data, path = options.data.resolve(), options.truth_file.resolve()
    find_truth(data, options.seeds, path, options.part, options.near)
    if options.truth:
        return
    torch.set_num_threads(usable_cores())
    pool = candidates(data / "weights")
    known = truth_of(path, options.seeds, [label(one) for one in pool])
    if options.trials:
        chosen = {
            target.name: chosen_by_trials(target, pool, data / "datasets", options.seeds[0], options.trials)
            for target in TARGETS
        }
        print("\n".join(trials_section(known, chosen, options.trials)))
        return
    found: dict[str, Judged] = {}
    for target in TARGETS:
        found[target.name] = judged(target, pool, data / "datasets", options.seeds[0])
        print(f"{target.name}: {found[target.name].chosen}, {found[target.name].cpu_s:.0f} s", flush=True)
    text = document(known, found, machine()) + "\n".join(section(known, found)) + "\n"
    options.document.write_text(text, encoding="utf-8")
    print(text)


def truth_of(path: Path, seeds: list[int], names: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Return mean accuracy and processor seconds over the seeds, by task and candidate."""
    kept = truth.read(path)

    def mean_of(target: str, name: str, figure: str) -> float:
        return mean(float(kept[target, name, seed][figure]) for seed in seeds)

    return {
        target.name: {
            name: {figure: mean_of(target.name, name, figure) for figure in ("accuracy", "cpu_s", "n_test")}
            for name in names
        }
        for target in TARGETS
    }


def machine() -> str:
    """Say when and where this was measured."""
    facts = machine_facts()
    processor = f"{facts['cpu']}, {facts['usable_cores']} cores, {facts['torch_threads']} threads"
    return f"Measured on {datetime.now(UTC).date()}: {processor}, torch {facts['torch']}."


def find_truth(data: Path, seeds: list[int], path: Path, part: str, near: float | None) -> None:
    """Fine-tune what was not fine-tuned before.

    Args:
        data: the folder with data sets and weights.
        seeds: of manifest and fine-tuning.
        path: of the results.
        part: "k/n": every n-th run, from the k-th on.
        near: points below the best candidate of seed 0, from which on one is left out; None for all.
    """
    turn, n_parts = map(int, part.split("/"))
    torch.set_num_threads(max(1, usable_cores() // n_parts))
    pool = candidates(data / "weights")
    kept = truth.read(path)
    wanted = [
        (target, one, seed)
        for seed in seeds
        for target in TARGETS
        for one in pool
        if near is None or label(one) in truth.contenders(kept, target.name, near)
    ]
    for target, one, seed in wanted[turn::n_parts]:
        if (target.name, label(one), seed) in truth.read(path):
            continue
        found = truth.reached(target, one, seed, data / "datasets")
        truth.add(path, target, one, seed, found)
        print(f"{target.name}, {label(one)}, seed {seed}: {found['accuracy']:.3f}, {found['cpu_s']:.0f} s", flush=True)


if __name__ == "__main__":
    main()

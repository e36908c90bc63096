r"""Compare what a ranking warns of before training with what pretrained weights gave in the end.

    OMP_NUM_THREADS=2 python -W ignore -m benchmarks.source_distance --shared ../shared

Every task of `benchmarks.selection` is ranked with one backbone whose training images are at hand: the shipped one, and
those of CIFAR-10. The gain is what fine-tuning from these weights reached beyond random ones of the same architecture
on the same test images (docs/selection_truth.json). What was measured is kept in docs/source_distance.json; the table
in docs/evaluation.md is made from it.
"""

import argparse
import contextlib
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr

from adapters.json_files import read_json, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE
from benchmarks.kept import put_table, read_runs, write_runs
from benchmarks.selection.pool import label
from benchmarks.selection.targets import TARGETS, Target
from benchmarks.selection.truth import lay_out, read
from flows.select import rank_all
from tasks import manifest
from tasks.handoffs import RANKING
from tasks.source_sample import write_source
from transfer.metrics.intervals import independent_difference, wilson_interval

RUNS, TRUTH, DOCUMENT = (
    Path("docs") / name for name in ("source_distance.json", "selection_truth.json", "evaluation.md")
)
SHIPPED = "rootstock/strokes"
_CIFAR = ("rootstock/cifar_resnet20", "rootstock/cifar_resnet56")


def main() -> None:
    """Measure, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, help="holds datasets and weights; without it the table is drawn anew")
    options = parser.parse_args()
    if options.shared is not None:
        shared = options.shared.resolve()
        with tempfile.TemporaryDirectory() as folder:
            pool = [SHIPPED, *(_with_source(arch, shared, Path(folder)) for arch in _CIFAR)]
            runs = [run for target in TARGETS for run in measured(target, pool, shared / "datasets")]
        write_runs(RUNS, runs)
    put_table(DOCUMENT, "far", table(read_runs(RUNS)))


def _with_source(arch: str, shared: Path, folder: Path) -> str:
    """Return a reference to a copy of weights beside which stands what their training images look like to them."""
    name = f"{arch.partition('_')[2]}.pth"
    path = folder / f"cifar10_{name}"
    shutil.copyfile(shared / "weights" / path.name, path)
    write_source(f"{arch}@{path}", shared / "datasets" / "cifar10" / "train")
    return f"{arch}@{path}"


def measured(target: Target, pool: list[str], data_sets: Path) -> list[dict[str, Any]]:
    """Rank a task with one backbone after the other, and say what became of it."""
    truth, runs = read(TRUTH.resolve()), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        target.lay_out(data_sets, Path("data"), 0)
        for reference in pool:
            lay_out("data", [reference], 0, {"memory": False})
            manifest.describe()
            write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
            rank_all()
            ranking = read_json(RANKING)
            best, pixels = ranking["candidates"][0], ranking["pixel_baseline"]
            arch = reference.partition("@")[0]
            found = {
                name: truth.get((target.name, one, 0))
                for name, one in (("pretrained", label(reference)), ("random", f"{_none(arch)}@none"))
            }
            runs.append(
                {
                    "target": target.name,
                    "backbone": label(reference),
                    "proxy_a_distance": ranking["proxy_a_distance"],
                    **{f"knn_{name}": one["knn_loo_accuracy"] for name, one in (("own", best), ("pixels", pixels))},
                    "n_warnings": len(ranking["early_warnings"]),
                    "far": any("far from" in text for text in ranking["early_warnings"]),
                    **{name: one and {key: one[key] for key in ("accuracy", "n_test")} for name, one in found.items()},
                }
            )
    return runs


def _none(arch: str) -> str:
    """Return the architecture whose random weights were fine-tuned: of CIFAR's networks the smallest alone."""
    return _CIFAR[0] if arch in _CIFAR else arch


def table(runs: list[dict[str, Any]]) -> str:
    """Return the runs as a table, the nearest first, and how the distances agree with the gains."""
    lines = [
        "| backbone | images | proxy A-distance | neighbours: features, pixels | warnings | gain over random weights |",
        "|---|---|---|---|---|---|",
    ]
    for run in sorted(runs, key=lambda run: (run["backbone"], run["proxy_a_distance"])):
        gain = independent_difference(*(_interval(run[name]) for name in ("pretrained", "random")))
        warned = f"{run['n_warnings']}, far" if run["far"] else str(run["n_warnings"] or "")
        cells = (
            run["backbone"],
            run["target"],
            f"{run['proxy_a_distance']:.2f}",
            f"{run['knn_own']:.3f}, {run['knn_pixels']:.3f}",
            warned,
            f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})",
        )
        lines.append(f"| {' | '.join(cells)} |")
    said = "; ".join(f"{name} {_agreement(runs, name):+.2f}" for name in sorted({run["backbone"] for run in runs}))
    return "\n".join((*lines, "", f"Rank correlation (Spearman) of distance and gain: {said}."))


def _interval(found: dict[str, Any]) -> Any:
    return wilson_interval(round(found["accuracy"] * found["n_test"]), found["n_test"], 0.95)


def _agreement(runs: list[dict[str, Any]], backbone: str) -> float:
    own = [run for run in runs if run["backbone"] == backbone]
    gains = [run["pretrained"]["accuracy"] - run["random"]["accuracy"] for run in own]
    return float(spearmanr([run["proxy_a_distance"] for run in own], gains).statistic)


if __name__ == "__main__":
    main()

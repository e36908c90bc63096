r"""Run the whole pipeline on real images with real weights, and tabulate the verdicts.

    python -m benchmarks.real_verdicts --shared ../shared
    python -m benchmarks.real_verdicts --shared ../shared --only mnist usps
    python -m benchmarks.real_verdicts --redraw

Every case has one candidate, so that the verdict is about that backbone, and runs in a new project beside this one.
What came out is added to docs/real_verdicts.json; the table in docs/evaluation.md is made from all of it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kept import put_table, read_runs, write_runs
from benchmarks.pipeline_on import ROOT, SEEDED, environment, lay_out, read

RUNS, DOCUMENT = ROOT / "docs" / "real_verdicts.json", ROOT / "docs" / "evaluation.md"
_REFERENCES = ("scratch", "random_frozen", "probe", "nearest_mean")


@dataclass(frozen=True, slots=True)
class Case:
    """A data set and the backbone that is tried on it; paths are relative to the folder that is shared."""

    name: str
    data: str
    backbone: str
    weights: str | None = None
    overrides: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Return what the table calls the backbone."""
        return self.backbone if self.weights is None else f"{self.backbone}@{Path(self.weights).name}"


_FAR = ("finetune.strategy=features",)
CASES = (
    Case("hymenoptera", "datasets/hymenoptera", "torchvision/mobilenet_v2", "weights/mobilenet_v2_imagenet.pth"),
    Case("hymenoptera", "datasets/hymenoptera", "torchvision/mobilenet_v2", "weights/mobilenet_v2_inat_insect.pth"),
    Case("hymenoptera", "datasets/hymenoptera", "torchvision/squeezenet1_1", "weights/squeezenet1_1_imagenet.pth"),
    Case("pacs, photographs", "datasets/pacs/photo", "torchvision/mobilenet_v2", "weights/mobilenet_v2_imagenet.pth"),
    Case("pacs, sketches", "datasets/pacs/sketch", "torchvision/mobilenet_v2", "weights/mobilenet_v2_imagenet.pth"),
    Case("mnist", "datasets/mnist", "rootstock/strokes"),
    Case("usps", "datasets/usps", "rootstock/strokes"),
    Case("mnist", "datasets/mnist", "rootstock/cifar_resnet20", "weights/cifar10_resnet20.pth"),
    Case("mnist, trunk kept", "datasets/mnist", "rootstock/cifar_resnet20", "weights/cifar10_resnet20.pth", _FAR),
    Case("cifar10", "datasets/cifar10", "rootstock/strokes"),
)


def main() -> None:
    """Run the cases that are asked for, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="the folder of images and weights")
    parser.add_argument("--only", nargs="+", help="names of data sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--redraw", action="store_true", help="run nothing; write the table from the runs there are")
    options = parser.parse_args()
    runs = read_runs(RUNS)
    done = {(run["name"], run["backbone"], run["seed"]) for run in runs}
    wanted = [] if options.redraw else [one for one in CASES if not options.only or one.name in options.only]
    for case, seed in ((case, seed) for case in wanted for seed in options.seeds):
        if (case.name, case.shown, seed) not in done:
            runs.append(ran(case, seed, options.shared.resolve()))
            write_runs(RUNS, runs)
            print(line_of(runs[-1]), flush=True)
    text = table(runs)
    print(text)
    put_table(DOCUMENT, "real", text)


def ran(case: Case, seed: int, shared: Path) -> dict[str, Any]:
    """Run the pipeline on a case, and return what the table needs."""
    candidate = case.backbone if case.weights is None else f"{case.backbone}@{shared / case.weights}"
    overrides = [f"data.path={shared / case.data}", f"select.candidates=[{candidate}]", *case.overrides]
    overrides += [f"{stage}.seed={seed}" for stage in SEEDED] + ["register.allow_unknown_licence=true"]
    with tempfile.TemporaryDirectory(prefix="verdict-", dir=ROOT.parent) as folder:
        project, began = Path(folder), time.perf_counter()
        lay_out(project)
        command = [sys.executable, "-m", "flows.cli", "run", *overrides]
        subprocess.run(command, cwd=project, env=environment(project), stdout=subprocess.DEVNULL, check=True)
        metrics, verdict = read(project, "evaluate/metrics"), read(project, "evaluate/verdict")
        kept = [step["name"] for step in read(project, "finetune/history")["steps"] if step["kept"]]
    return {
        "name": case.name,
        "backbone": case.shown,
        "seed": seed,
        "n_test": metrics["n_test"],
        "accuracy": metrics["accuracy"],
        "verdict": verdict["verdict"],
        "gains": {name: one["gain"] for name, one in verdict["comparisons"].items()},
        "kept": kept,
        "coverage": metrics["lac_coverage"],
        "caveats": len(verdict["caveats"]),
        "early_warnings": len(verdict["early_warnings"]),
        "seconds": round(time.perf_counter() - began),
    }


def line_of(run: dict[str, Any]) -> str:
    """Return a run as a line of the table."""
    gains = [_points(run["gains"][name]) if name in run["gains"] else "is it" for name in _REFERENCES]
    said = f"{run['verdict']}{'*' if run['caveats'] else ''}{' (warned)' if run['early_warnings'] else ''}"
    cells = (run["name"], run["backbone"], f"{run['accuracy']:.3f} of {run['n_test']}", f"**{said}**", *gains)
    return f"| {' | '.join(cells)} | {run['coverage']:.3f} |"


def table(runs: list[dict[str, Any]]) -> str:
    """Return all runs as a table."""
    if not runs:
        return "Not run yet."
    references = " | ".join(f"over {name.replace('_', ' ')}" for name in _REFERENCES)
    heading = f"| images | backbone | accuracy | verdict | {references} | sets hold |"
    return "\n".join([heading, "|---" * (len(_REFERENCES) + 5) + "|", *map(line_of, runs)])


def _points(gain: dict[str, float]) -> str:
    value, low, high = (100 * gain[key] for key in ("value", "low", "high"))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


if __name__ == "__main__":
    main()

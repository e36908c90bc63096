"""Measure how well a fine-tuning run is foreseen: the seconds of each step, those of all, and whether a budget is kept.

    python benchmarks/predictions.py measure --shared ../shared --out predictions.jsonl
    python benchmarks/predictions.py measure --shared ../shared --runs budget-10 budget-20 --out predictions.jsonl
    python benchmarks/predictions.py table predictions.jsonl

Every run is a project of its own in a temporary folder with empty caches, in a process of its own: manifest, ranking of
one candidate, then the stage `finetune` as a user runs it. A step that is stopped early is judged by what was predicted
for the images that it saw: a step's fixed part and seconds an image. A budget counts the probe and all steps; with it
steps are judged as they were shortened. A line of JSON a run; `table` prints them with how many kept within 25 %, and
how far the budgets were overdrawn.
"""

import argparse
import contextlib
import json
import multiprocessing
import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
STROKES = "rootstock/strokes"
SMALL = "torchvision/mobilenet_v2?width_mult=0.35&resize_px={0}&crop_px={0}@{1}/mobilenet_v2_w035_imagenet_features.pth"
LARGE = "torchvision/mobilenet_v2?resize_px={0}&crop_px={0}@{1}/mobilenet_v2_imagenet.pth"
SQUEEZE = "torchvision/squeezenet1_1?resize_px={0}&crop_px={0}@{1}/squeezenet1_1_imagenet.pth"
WITHIN, BUDGET_WITHIN = 0.25, 0.10
_ENDED = re.compile(
    r"^Step '(?P<name>[^']+)': .*; (?P<seen>\d+) images in (?P<taken>\S+) s, (?P<foreseen>\S+) s predicted\.$"
)


@dataclass(frozen=True, slots=True)
class Run:
    """A data set below shared/datasets, a backbone, its side in px, images a step sees, further parameters."""

    data: str
    backbone: str
    side_px: int
    n_images: int
    more: tuple[tuple[str, Any], ...] = ()


RUNS = {
    "digits-small": Run("mnist", STROKES, 32, 500),
    "digits": Run("mnist", STROKES, 32, 1500),
    "digits-long": Run("usps", STROKES, 32, 4000, (("epochs", 20),)),
    "insects-96": Run("hymenoptera", LARGE, 96, 500),
    "insects-224": Run("hymenoptera", LARGE, 224, 300),
    "insects-narrow": Run("hymenoptera", SMALL, 224, 800),
    "insects-squeeze": Run("hymenoptera", SQUEEZE, 224, 400),
    "photos": Run("pacs/photo", SMALL, 96, 1000),
    "sketches": Run("pacs/sketch", SMALL, 128, 1500, (("batch_size", 8),)),
    "sketches-trivial": Run("pacs/sketch", SMALL, 96, 1000, (("trivial_augment", True),)),
    "objects": Run("cifar10/train", SMALL, 64, 1500),
    "objects-auto": Run("cifar10/train", SMALL, 64, 1500, (("backbone_lr", "auto"), ("batch_size", "auto"))),
    "budget-5": Run("pacs/photo", SMALL, 96, 3000, (("budget_s", 5.0),)),
    "budget-10": Run("pacs/photo", SMALL, 96, 3000, (("budget_s", 10.0),)),
    "budget-20": Run("hymenoptera", LARGE, 96, 3000, (("budget_s", 20.0),)),
    "budget-40": Run("hymenoptera", LARGE, 96, 3000, (("budget_s", 40.0),)),
    "budget-40-auto": Run("hymenoptera", LARGE, 96, 3000, (("budget_s", 40.0), ("backbone_lr", "auto"))),
}


def main() -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("measure")
    measure.add_argument("--shared", type=Path, required=True)
    measure.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    measure.add_argument("--out", type=Path, required=True)
    commands.add_parser("table").add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    if options.command == "table":
        print(table([json.loads(line) for file in options.files for line in file.read_text().splitlines()]))
        return
    for name in options.runs:
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            found = alone.apply(measured, (RUNS[name], options.shared.resolve()))
        with options.out.open("a") as stream:
            stream.write(json.dumps({"run": name, **found}) + "\n")
        print(f"{name}: {found['taken_s']:.1f} s, {found['foreseen_s']:.1f} s predicted", flush=True)


def measured(run: Run, shared: Path) -> dict[str, Any]:
    """Fine-tune in a new project; return the seconds of the steps and of all, taken and predicted."""
    from adapters import environment

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        lay_out(Path(folder), run, shared)
        environment.prepare(Path(folder))
        from adapters.json_files import write_json
        from adapters.manifest_file import MANIFEST, QUARANTINE
        from flows.select import rank_all
        from tasks import adaptation, finetune, manifest

        manifest.describe()
        write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
        rank_all()
        spent, adapt = list[float](), adaptation.adapted

        def timed(*given: Any) -> Any:
            began = time.perf_counter()
            try:
                return adapt(*given)
            finally:
                spent.append(time.perf_counter() - began)

        with contextlib.redirect_stdout(StringIO()) as said, mock.patch.object(finetune, "adapted", timed):
            finetune.train()
    ended = [found for line in said.getvalue().splitlines() if (found := _ENDED.match(line))]
    steps = [
        {"name": one["name"], "taken_s": float(one["taken"]), "foreseen_s": float(one["foreseen"])}
        for one in ended
        if int(one["seen"])
    ]
    totals = {key: sum(float(one[key]) for one in steps) for key in ("taken_s", "foreseen_s")}
    return {"steps": steps, **totals, "all_s": spent[0], "budget_s": dict(run.more).get("budget_s")}


def lay_out(project: Path, run: Run, shared: Path) -> None:
    """Write a project's parameters."""
    import yaml

    shutil.copy(ROOT / "dvc.yaml", project)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["path"] = str(shared / "datasets" / run.data)
    params["select"] |= {"candidates": [run.backbone.format(run.side_px, shared / "weights")], "max_rows": 200}
    params["finetune"] |= {"max_images_seen": run.n_images, **dict(run.more)}
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def table(rows: list[dict[str, Any]]) -> str:
    """Return a line a run, and what they come to."""
    lines = ["| run | steps: predicted, taken, s | all steps: taken / predicted | budget, s | probe and steps, s |"]
    lines += ["|---|---|---|---|---|"]
    for row in rows:
        each = "; ".join(f"{one['name']} {one['foreseen_s']:.3g}, {one['taken_s']:.3g}" for one in row["steps"])
        ratio = f"{row['taken_s'] / row['foreseen_s']:.2f}" if row["foreseen_s"] else ""
        lines.append(f"| {row['run']} | {each} | {ratio} | {row['budget_s'] or ''} | {row['all_s']:.1f} |")
    free = [row for row in rows if row["budget_s"] is None and row["foreseen_s"]]
    steps = [one for row in free for one in row["steps"]]
    bound = [row for row in rows if row["budget_s"]]
    for what, ones in (("steps", steps), ("runs", free)):
        near = sum(abs(one["taken_s"] / one["foreseen_s"] - 1) <= WITHIN for one in ones)
        lines.append(f"\n{near} of {len(ones)} {what} without a budget took what was predicted, to {WITHIN:.0%}.")
    kept = sum(row["all_s"] <= (1 + BUDGET_WITHIN) * row["budget_s"] for row in bound)
    lines.append(f"\n{kept} of {len(bound)} budgets were kept, to {BUDGET_WITHIN:.0%}.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

r"""Run the whole pipeline on the embedded digits from nothing and print, by stage, what its time was spent on.

    python benchmarks/overhead.py                     # the working tree
    python benchmarks/overhead.py --revision HEAD~3   # as it was
    python benchmarks/overhead.py --runs 3

Seconds of wall time. `dvc` is the time of `dvc repro` around the stage's command: checks, hashes, the cache. `start` is
that of the command around the stage: interpreter, imports, exit. `prefect` is the stage's flow run with its task runs,
`mlflow` its recording step, `imports` what its other steps import, `compute` the rest of these: what the user wants.
The row `around` is what happens before, between and after the stages: the command's start, the server, the pipeline's
own runs. Overhead is everything but `compute`.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

STAGES = ("sample", "manifest", "validate", "select", "finetune", "reference", "evaluate", "explain", "register")
COLUMNS = ("wall", "dvc", "start", "prefect", "mlflow", "imports", "compute")
RECORDING = ("record", "publish")
# Loaded by every Python of the run: notes what is imported inside a step, longer than a millisecond.
PROBE = """
import builtins, os, sys, time
plain, depth = builtins.__import__, 0
def noted(*arguments, **named):
    global depth
    depth, began = depth + 1, time.perf_counter()
    try:
        return plain(*arguments, **named)
    finally:
        depth, took = depth - 1, time.perf_counter() - began
        if depth == 0 and took > 0.001 and (where := step()):
            with open(os.path.join(os.environ["OVERHEAD_NOTES"], where[0] + ".imports"), "a") as notes:
                notes.write(f"{where[1]} {took}\\n")
def step():
    frame, found = sys._getframe(1).f_back, None
    while frame is not None:
        place = frame.f_code.co_filename
        if place.endswith("tasks/step.py"):
            return found
        if "/tasks/" in place and "prefect" not in place:
            found = os.path.basename(place)[:-3], frame.f_code.co_name
        frame = frame.f_back
builtins.__import__ = noted
"""


def main() -> None:
    """Print a table for every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revision", help="a commit of this repository instead of the working tree")
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
            project, notes = Path(folder) / "project", Path(folder) / "notes"
            notes.mkdir()
            prepare(project, notes, options.revision)
            print(table(project, notes, *run(project, notes)), flush=True)


def prepare(project: Path, notes: Path, revision: str | None) -> None:
    """Make a project without any state whose stages note when their command began and ended."""
    subprocess.run(["git", "clone", "--quiet", "--no-local", str(ROOT), str(project)], check=True)
    if revision is not None:
        subprocess.run(["git", "checkout", "--quiet", revision], cwd=project, check=True)
    else:
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        for name in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
            if (ROOT / name).is_file():
                (project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, project / name)
            elif name:
                (project / name).unlink(missing_ok=True)
    (notes / "sitecustomize.py").write_text(PROBE, encoding="utf-8")
    graph = project / "dvc.yaml"
    stamped = r"    cmd: date +%s.%N > \3; \1\2; code=$?; date +%s.%N >> \3; exit $code"
    text = re.sub(
        r"    cmd: (.* )(flows\.(\w+))$",
        stamped.replace(r"\3", rf"{notes}/\3.times"),
        graph.read_text(),
        flags=re.MULTILINE,
    )
    graph.write_text(text, encoding="utf-8")


def run(project: Path, notes: Path) -> tuple[float, str]:
    """Run the pipeline and return its seconds and what it printed."""
    variables = os.environ | {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONPATH": f"{project}{os.pathsep}{notes}",
        "OVERHEAD_NOTES": str(notes),
    }
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "run"], cwd=project, env=variables, stdout=subprocess.PIPE, check=True
    )
    return time.perf_counter() - began, done.stdout.decode()


def table(project: Path, notes: Path, wall_s: float, printed: str) -> str:
    """Return a line for each stage, one for what is around them, and the sums."""
    rows = {stage: of_stage(project, notes, stage, " ".join(printed.split())) for stage in STAGES}
    sums = [sum(column) for column in zip(*rows.values(), strict=True)]
    lines = [f"{'':10}" + "".join(f"{name:>9}" for name in COLUMNS)]
    lines += [f"{stage:10}" + "".join(f"{value:9.2f}" for value in row) for stage, row in rows.items()]
    lines.append(f"{'around':10}{wall_s - sums[0]:9.2f}")
    lines.append(f"{'all':10}{wall_s:9.2f}" + "".join(f"{value:9.2f}" for value in sums[1:]))
    return "\n".join([*lines, f"overhead: {wall_s - sums[-1]:.1f} s of {wall_s:.1f} s\n"])


def of_stage(project: Path, notes: Path, stage: str, printed: str) -> list[float]:
    """Return one stage's seconds, in the order of the columns."""
    (said,) = re.findall(rf"\b{stage} (\d+\.\d) s", printed)
    began, ended = map(float, (notes / f"{stage}.times").read_text().split())
    seconds = json.loads((project / "artifacts" / stage / "observed.json").read_text())["seconds"]
    steps: dict[str, float] = seconds["steps"]
    recording = sum(value for name, value in steps.items() if name in RECORDING)
    importing = 0.0
    if (notes / f"{stage}.imports").is_file():
        notes_of = [line.split() for line in (notes / f"{stage}.imports").read_text().splitlines()]
        importing = sum(float(took) for name, took in notes_of if name not in RECORDING)
    inside = sum(steps.values())
    command = ended - began
    return [
        float(said),
        float(said) - command,
        command - seconds["total"],
        seconds["total"] - inside,
        recording,
        importing,
        inside - recording - importing,
    ]


if __name__ == "__main__":
    main()

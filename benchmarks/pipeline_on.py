r"""Run the whole pipeline on a data set, once for every seed, each time from nothing, and print what came out.

    python benchmarks/pipeline_on.py ../shared/datasets/hymenoptera \
        torchvision/mobilenet_v2@../shared/weights/mobilenet_v2_imagenet.pth \
        torchvision/squeezenet1_1@../shared/weights/squeezenet1_1_imagenet.pth \
        torchvision/mobilenet_v2@../shared/weights/mobilenet_v2_inat_insect.pth

A seed decides the validation rows, the order of the training images, the augmentation and the random weights of the
references. Seconds are those of `rootstock run`, its start and its server included.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("flows", "tasks", "adapters", "transfer", "backbones", "dvc.yaml", "params.yaml", ".dvcignore", "prefect.toml")
SEEDED = ("manifest", "finetune", "reference")


def main() -> None:
    """Print a line for every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder of class folders")
    parser.add_argument("candidates", nargs="+", help="backbone references")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    for seed in options.seeds:
        with tempfile.TemporaryDirectory(prefix="pipeline-", dir=ROOT.parent) as folder:
            print(line_of(Path(folder), options.data, options.candidates, seed), flush=True)


def line_of(project: Path, data: str, candidates: list[str], seed: int) -> str:
    """Run the pipeline in a new project beside this one, where relative paths mean the same, and say what came out."""
    lay_out(project)
    overrides = [f"data.path={data}", f"select.candidates=[{','.join(candidates)}]"]
    overrides += [f"{stage}.seed={seed}" for stage in SEEDED]
    overrides.append("register.allow_unknown_licence=true")  # of weights files, whose licence is not what is measured
    began = time.perf_counter()
    command = [sys.executable, "-m", "flows.cli", "run", *overrides]
    subprocess.run(command, cwd=project, env=environment(project), stdout=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - began
    metrics, ranking, history = (
        read(project, name) for name in ("evaluate/metrics", "select/ranking", "finetune/history")
    )
    kept = ", ".join(step["name"] for step in history["steps"] if step["kept"])
    interval = f"{metrics['accuracy_low']:.3f}-{metrics['accuracy_high']:.3f}"
    return (
        f"seed {seed}: {seconds:.0f} s, accuracy {metrics['accuracy']:.3f} ({interval}) on {metrics['n_test']} images, "
        f"from scratch {metrics['scratch_accuracy']:.3f}, random frozen {metrics['random_frozen_accuracy']:.3f}, "
        f"{ranking['winner']}, kept {kept}"
    )


def lay_out(project: Path) -> None:
    """Make a project of this one's code."""
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copyfile
        copy(ROOT / part, project / part)
    for command in (("git", "init", "--quiet"), (sys.executable, "-m", "dvc", "init", "--quiet")):
        subprocess.run(command, cwd=project, check=True)


def environment(project: Path) -> dict[str, str]:
    """Return an environment in which the project's own code and this Python come first."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**os.environ, "PYTHONPATH": str(project), "PATH": path}


def read(project: Path, name: str) -> dict[str, Any]:
    """Read a record below artifacts."""
    content: dict[str, Any] = json.loads((project / "artifacts" / f"{name}.json").read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    main()

"""docs/peers.md: the tables with all that is needed to judge and to repeat them."""

import platform
import textwrap
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from adapters.machine import machine_facts, usable_cores
from benchmarks.peers.curves import Run, Spread
from benchmarks.peers.drawing import draw
from benchmarks.peers.plain import FULL_BATCH, FULL_DECAY, FULL_RATE
from benchmarks.peers.report import section

PACKAGES = ("torch", "torchvision", "onnxruntime", "scikit-learn", "fastai")
TEXT = """# Against what a user would pick instead

`make bench` measures this document: the stage `finetune` of this project and five other ways to the same end, on the
same files, from the same weights (MobileNetV2, ImageNet), on the same cores, in turns. `make bench DATA=FOLDER` names
the folder that holds `datasets/` and `weights/`; `make bench ARGS=--help` tells the rest. All points are in
[peers.json](peers.json).

{machine}

- **Seconds** are wall time from files on the disk and a process that has imported everything: reading weights,
  decoding, training. Measuring a model on the test images stops the clock, for everybody. A number is the median of
  the seeds, in brackets the least and the largest.
- **Ours** is the very stage that `rootstock run` runs, with its parameters as they are, in a new project that keeps
  nothing yet. It takes a fifth of the training images away to validate on until they have decided all there is to
  decide; the others learn from all from the start. Its points are the models it would ship at that moment: after the
  probe, after the probe on all rows, after each step. The
  list of images and of their digests is there before, as it is in the product, where other stages made it.
  *Executor remembered*: nothing computed from images is kept, but which executor is fastest for this network was
  measured in this project before; up to the probe on all rows. *Run again*: the same stage once more in the same
  folder; it reads features and what steps came to, and ends in the same bytes.
- **Best accuracy** of a peer is that of its best epoch, chosen by the test images: more than its user could know.
  *Ours as good after* are the seconds until ours first has a model at least as accurate, in the same run; never counts
  as 0 times sooner.
- **fastai**: `vision_learner(...).fine_tune(3)` with its defaults (`Resize(224)`, batches of 64), told where
  MobileNetV2 ends and to normalise with ImageNet's statistics. **Tutorial**: PyTorch's transfer-learning tutorial, both
  ways, batches of 4, SGD at 0.001 with momentum 0.9, a tenth every 7 epochs; it stops after the first epoch that ends
  beyond {limit_s:g} s. **AdamW**: all layers, batches of {batch}, rate {rate:g} under a cosine, weight decay {decay:g},
  label smoothing 0.1, 5 epochs of 244 images or 2 of 1,000. **Logistic regression**: scikit-learn's, on the features of
  one pass in evaluation mode, what a careful user does by hand.
- Peers load images with {workers} worker processes. Threads of everybody wait as those of our stages do
  (`OMP_WAIT_POLICY`, `GOMP_SPINCOUNT`): in PyTorch's own way an update of the peers takes several times as long once
  anything else runs.
- **Who cannot be beaten eight times.** Logistic regression does until its only model what ours does until its first
  one: decode, one forward pass over every image, a fit. Ours saves there what a faster executor saves
  ([frozen trunks](frozen_trunk.md)), and no more. The tutorial's fine-tuning is at its best after an early epoch, by
  luck; ours is better from its first model on, which is there once every image has been through the trunk.

"""


def tables(runs: Sequence[Run]) -> str:
    """Return the tables of every data set."""
    names = dict.fromkeys(run.data_set for run in runs)
    return "\n".join(section(name, [run for run in runs if run.data_set == name]) for name in names)


def write(path: Path, runs: Sequence[Run], workers: int, limit_s: float) -> None:
    """Write the document and a picture of every data set.

    Args:
        path: of the document.
        runs: all of them.
        workers: that loaded images for the peers.
        limit_s: of open-ended peers.
    """
    values = {"batch": FULL_BATCH, "rate": FULL_RATE, "decay": FULL_DECAY}
    text = TEXT.format(machine=_machine(runs), workers=workers, limit_s=limit_s, **values)
    for name in dict.fromkeys(run.data_set for run in runs):
        of_set = [run for run in runs if run.data_set == name]
        picture = path.parent / "images" / f"peers_{name}.png"
        draw(picture, of_set)
        text += f"{section(name, of_set)}\n![Accuracy over seconds on {name}](images/{picture.name})\n\n"
    path.write_text(text.rstrip() + "\n", encoding="utf-8")


def _machine(runs: Sequence[Run]) -> str:
    facts, machine_cores = machine_facts(), usable_cores()
    packages = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    load = Spread.of(run.load for run in runs)
    text = (
        f"Measured on {', '.join(sorted({run.day for run in runs}))}: {facts['cpu']}, {machine_cores} cores, "
        f"{facts['torch_threads']} threads for everybody, Python {platform.python_version()}, {packages}. Load "
        f"averages when runs began: {load.least:.1f} to {load.largest:.1f}, median {load.median:.1f}."
    )
    if load.largest > machine_cores + 1:  # the run before leaves one of about as many as there are cores
        text += " **Other work ran beside some of them**: `make bench` on an idle machine measures them anew."
    return textwrap.fill(text, 120)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"

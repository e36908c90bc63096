"""Measure ours and what a user would pick instead, side by side, and write docs/peers.md: `make bench`.

    python -m benchmarks.peers --data ../shared
    python -m benchmarks.peers --data ../shared --quick          # one seed, one data set, a few minutes, no document
    python -m benchmarks.peers --data ../shared --add --sets cifar10 --seeds 1 2      # the spread there, half an hour

Every run has a process of its own, and the methods take turns. The clock of each runs from files on the disk to every
model that it has on the way; measuring that model on the test images is outside, and so are imports.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.peers import document, methods
from benchmarks.peers.curves import Run, best
from benchmarks.peers.images import SOURCES, WEIGHTS

ROOT = Path(__file__).resolve().parents[2]
# How our stages let threads wait, given to everybody: PyTorch's own way takes up to ten times as long for an update
# while anything else runs on the machine.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}
RUNS = Path("docs", "peers.json")
EVERY = (methods.OURS, *methods.PEERS)


def main() -> None:
    """Run what was asked for and write the document."""
    options = _options()
    data = options.data.resolve()
    missing = [
        place for place in (WEIGHTS, *(SOURCES[name].folder for name in options.sets)) if not (data / place).exists()
    ]
    if missing:
        print(f"Skipped: there is no {data / missing[0]}; name the folder that holds it with `make bench DATA=...`.")
        return
    kept = _read(options.runs) if options.add else []
    began = time.perf_counter()
    for name, data_set, seed in _order(options):
        made = run(name, data, data_set, seed, options)
        kept = [one for one in kept if not _same(one, made)] + made
        for one in made:
            point = best(one)
            print(
                f"{one.method}, {data_set}, seed {seed}: {point.accuracy:.3f} after {point.seconds:.1f} s", flush=True
            )
        options.runs.parent.mkdir(parents=True, exist_ok=True)
        options.runs.write_text(json.dumps([one.to_plain() for one in kept], indent=1) + "\n", encoding="utf-8")
    if not kept:
        print(f"There are no points in {options.runs}.")
        return
    print(document.tables(kept))
    print(f"{(time.perf_counter() - began) / 60:.0f} minutes in all.")
    if options.document:
        document.write(options.document, kept, options.workers, options.limit_s)


def run(name: str, data: Path, data_set: str, seed: int, options: argparse.Namespace) -> list[Run]:
    """Run one method in a process and a folder of its own.

    Args:
        name: of the method.
        data: the folder of all data, absolute.
        data_set: name of the images.
        seed: of everything random.
        options: of the command line.
    """
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        out = Path(folder, "runs.json")
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.peers.one", name, "--data", str(data)]
        command += ["--weights", str(data / WEIGHTS), "--data-set", data_set, "--seed", str(seed), "--out", str(out)]
        command += ["--workers", str(options.workers), "--limit-s", str(options.limit_s)]
        variables = {**os.environ, **PATIENT, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=folder, env=variables, stdout=subprocess.DEVNULL, check=True)
        return _read(out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared", help="a folder with datasets/ and weights/"
    )
    parser.add_argument("--sets", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--methods", nargs="+", choices=EVERY, default=list(EVERY))
    parser.add_argument("--seeds", type=int, nargs="+", help="three for hymenoptera, one for cifar10 if not given")
    parser.add_argument("--workers", type=int, default=0, help="processes that load images for the peers")
    parser.add_argument("--limit-s", type=float, default=60.0, help="an open-ended peer ends after an epoch beyond it")
    parser.add_argument("--runs", type=Path, default=ROOT / RUNS, help="where the raw points go")
    parser.add_argument("--document", type=Path, default=ROOT / "docs" / "peers.md")
    parser.add_argument("--add", action="store_true", help="keep the runs in the file that are not made anew")
    parser.add_argument(
        "--redraw", action="store_true", help="run nothing; write the document from the points there are"
    )
    parser.add_argument("--quick", action="store_true", help="one seed, hymenoptera, short; writes no document")
    options = parser.parse_args()
    if options.redraw:
        options.methods, options.add = [], True
    if options.quick:
        options.seeds, options.sets, options.limit_s = [0], ["hymenoptera"], 15.0
        options.runs, options.document = Path(tempfile.gettempdir(), "peers-quick.json"), None
    return options


def _order(options: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """Yield what is run, the methods in turn, so that a busy minute of the machine is nobody's alone."""
    seeds = {data_set: options.seeds or range(SOURCES[data_set].n_seeds) for data_set in options.sets}
    for place in range(max(map(len, seeds.values()))):
        for data_set in options.sets:
            for name in options.methods:
                if place < len(seeds[data_set]):
                    yield name, data_set, seeds[data_set][place]


def _read(path: Path) -> list[Run]:
    if not path.is_file():
        return []
    return [Run.from_plain(plain) for plain in json.loads(path.read_text(encoding="utf-8"))]


def _same(one: Run, made: Sequence[Run]) -> bool:
    return (one.method, one.data_set, one.seed) in {(new.method, new.data_set, new.seed) for new in made}


if __name__ == "__main__":
    main()

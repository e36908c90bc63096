r"""Measure how long the stages manifest and validate take on many small real images, first and when little has changed.

    python benchmarks/scanning.py ../shared/datasets/cifar10 --counts 10000 50000

The images are files of the folder, and turned copies of them where it has too few, in a temporary project on the disk
of `--place`. Imports are timed apart: a run has them in its warm process. Processor time is what a quiet machine needs.
"""

import argparse
import io
import itertools
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = (".jpg", ".jpeg", ".png")
WAIT_S = 3  # files that changed a moment ago are not trusted


def main() -> None:
    """Print a table for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="images in class folders")
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000])
    parser.add_argument("--place", type=Path, help="where the temporary project goes")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    imports = timed(import_all)
    print(f"imports: {imports}")
    here = Path.cwd()
    sources = sorted(path.resolve() for path in options.folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    for count in options.counts:
        with tempfile.TemporaryDirectory(dir=options.place) as folder:
            os.chdir(folder)
            measure(sources, count)
            os.chdir(here)


def import_all() -> None:
    """Import what the two stages use."""
    import great_expectations  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from tasks import manifest, validate  # noqa: F401
    from transfer.data import decoding, facts  # noqa: F401


def measure(sources: list[Path], count: int) -> None:
    """Print what each step takes in a project of so many images, in the current directory."""
    from adapters.image_files import list_images
    from tasks import manifest, validate

    lay_out(sources, count)
    time.sleep(WAIT_S)
    print(f"\n{count} images\n| step | wall, s | processor, s |\n|---|---|---|")
    print(f"| listing | {timed(lambda: list_images(Path('images')))} |")
    for what in ("first", "nothing changed", "1 in 100 changed"):
        if what.startswith("1"):
            change_some()
        print(f"| manifest, {what} | {timed(manifest.describe)} |")
        print(f"| validate, {what} | {timed(validate.check)} |")
    for what in ("scans", "copies"):
        size = sum(path.stat().st_size for path in Path(".rootstock", what).rglob("*.*"))
        print(f"| kept in {what} | {size / count:.0f} bytes an image | |")


def lay_out(sources: list[Path], count: int) -> None:
    """Make a project whose data set has so many different images."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(re.sub(r"path: data/\S+", "path: images", text, count=1), encoding="utf-8")
    shutil.copyfile(ROOT / "dvc.yaml", "dvc.yaml")
    for number, (path, content) in enumerate(itertools.islice(contents(sources), count)):
        target = Path("images", path.parent.name, f"{number:06d}{path.suffix}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def contents(sources: list[Path]) -> Iterator[tuple[Path, bytes]]:
    """Yield each image as it is, then all of them turned by 90, 180 and 270 degrees, mirrored, and so on."""
    for path in sources:
        yield path, path.read_bytes()
    for turn in range(1, len(Image.Transpose)):
        for path in sources:
            stream = io.BytesIO()
            with Image.open(path) as image:
                image.transpose(Image.Transpose(turn)).save(stream, image.format)
            yield path, stream.getvalue()


def change_some() -> None:
    """Turn every hundredth image in place."""
    for path in sorted(Path("images").rglob("*.*"))[::100]:
        with Image.open(path) as image:
            turned = image.transpose(Image.Transpose.ROTATE_180)
        turned.save(path)
    time.sleep(WAIT_S)


def timed(work: Callable[[], object]) -> str:
    """Return wall and processor seconds as two cells."""
    wall, processor = time.perf_counter(), time.process_time()
    with redirect_stdout(io.StringIO()):
        work()
    return f"{time.perf_counter() - wall:.2f} | {time.process_time() - processor:.2f}"


if __name__ == "__main__":
    main()

r"""Measure how images become pixels: files a second by threads, reduced JPEGs, kept rows, the loader in training.

    python benchmarks/decoding.py ../shared/datasets/hymenoptera ../shared/datasets/cifar10 \
        --weights ../shared/weights/mobilenet_v2_imagenet.pth

The first folder's photos, at 256 and 224 px, are those that are enlarged, kept and trained on. What is compared is
measured in turn in one process; figures are medians, with the lowest and the highest.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.models import mobilenet_v2

from adapters import image_files
from adapters.image_files import describe, list_images, load_examples, pixel_recipe
from adapters.machine import usable_cores
from adapters.row_cache import RowCache
from transfer.data import decoding
from transfer.data.batches import Augmentation, augment, normalise
from transfer.data.decoding import to_pixels
from transfer.records import Preprocess, Row

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PHOTO = Preprocess(256, 224, MEAN, STD)
BATCH = 32
Timed = dict[str, list[float]]


def main() -> None:
    """Print the four tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="data sets: class folders")
    parser.add_argument("--weights", type=Path, help="mobilenet_v2, for features of reduced JPEGs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--max-files", type=int, default=1000, help="of each data set")
    options = parser.parse_args()
    print(f"{usable_cores()} cores, torch {torch.__version__}, {dict(decoding.decoder_facts())}")
    found = {folder: rows_of(folder, options.max_files) for folder in options.folders}
    for folder, rows in found.items():
        threads(folder, rows, options.repeats)
    folder, rows = next(iter(found.items()))
    reduced(folder, rows[:: len(rows) // 80 + 1], options.weights)
    kept(folder, rows, options.repeats)
    loader(folder, rows)


def rows_of(folder: Path, max_files: int) -> list[Row]:
    """Return rows of a data set, spread over all of it."""
    files = list_images(folder).files
    return [
        Row(entry.found.path, 0, "train", entry.content.sha256)
        for entry in describe(folder, files[:: len(files) // max_files + 1])
        if not entry.content.problem
    ]


def in_turn(ways: Mapping[str, Callable[[], object]], repeats: int) -> Timed:
    """Return seconds of each way, measured one after the other and over again; the first turn warms up."""
    seconds: Timed = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return {name: values[1:] for name, values in seconds.items()}


def a_second(seconds: Sequence[float], amount: float) -> str:
    """Return an amount a second: median, lowest and highest."""
    rates = sorted(amount / value for value in seconds)
    return f"{statistics.median(rates):,.4g} ({rates[0]:,.4g} to {rates[-1]:,.4g})"


def threads(folder: Path, rows: Sequence[Row], repeats: int) -> None:
    """Compare the number of threads that is chosen with one and with all cores, from files in the page cache."""
    n_bytes = sum((folder / row.path).stat().st_size for row in rows) / len(rows)
    side = min(Image.open(folder / rows[0].path).size)
    print(f"\n{folder.name}: {len(rows)} files of {n_bytes:,.0f} bytes, files to pixels, images/s")
    for preprocess in {PHOTO, PHOTO if side > 64 else Preprocess(side, side, MEAN, STD)}:

        def load(n_threads: int, preprocess: Preprocess = preprocess) -> None:
            with patch.object(image_files, "_threads_for", lambda _: n_threads):
                all(len(batch) for batch in load_examples(folder, rows, preprocess))

        def chosen(preprocess: Preprocess = preprocess) -> None:
            all(len(batch) for batch in load_examples(folder, rows, preprocess))

        ways = {
            "1 thread": lambda: load(1),
            f"{usable_cores()} threads": lambda: load(usable_cores()),
            "chosen": chosen,
        }
        for name, seconds in in_turn(ways, repeats).items():
            print(f"  {preprocess.crop_px:4} px, {name:10} {a_second(seconds, len(rows))}")


def reduced(folder: Path, rows: Sequence[Row], weights: Path | None) -> None:
    """Compare JPEGs decoded in full and at reduced resolution."""
    for enlarged in (3, 5, 9):
        contents = [enlarge(folder / row.path, enlarged) for row in rows]
        full, full_s = with_kept_detail(contents, None)
        plain = features(full, weights) if weights is not None else None
        print(
            f"\nJPEGs of {256 * enlarged} px ({len(contents)}), resized to 256: in full {full_s * 1e3:.1f} ms an image"
        )
        for detail in (1, 2, 3):
            pixels, seconds = with_kept_detail(contents, detail)
            levels = np.abs(pixels.astype(int) - full).mean()
            line = f"  at least {detail} x the resolution kept: {seconds * 1e3:.1f} ms, {levels:.2f} grey levels"
            if weights is not None and plain is not None:
                distance = (features(pixels, weights) - plain).norm(dim=1) / plain.norm(dim=1)
                line += f", features differ by {distance.median():.2%} (median of relative L2)"
            print(line)


def enlarge(path: Path, factor: int) -> bytes:
    """Return a photo enlarged and encoded as JPEG."""
    image = Image.open(path).convert("RGB")
    stream = io.BytesIO()
    size = (image.width * factor, image.height * factor)
    image.resize(size, Image.Resampling.LANCZOS).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def with_kept_detail(contents: Sequence[bytes], detail: int | None) -> tuple[np.ndarray, float]:
    """Return pixels and seconds an image, keeping so many times the resolution wanted (None: all of it)."""
    changed = (
        patch.multiple(decoding, _REDUCTIONS=()) if detail is None else patch.object(decoding, "_KEPT_DETAIL", detail)
    )
    with changed:
        started = time.perf_counter()
        pixels = np.stack([to_pixels(content, PHOTO) for content in contents])
        return pixels, (time.perf_counter() - started) / len(contents)


def features(pixels: np.ndarray, weights: Path) -> torch.Tensor:
    """Return the features of a MobileNetV2."""
    network = mobilenet_v2(weights=None)
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.classifier = nn.Identity()
    network.eval()
    with torch.inference_mode():
        batches = torch.from_numpy(pixels).permute(0, 3, 1, 2).split(BATCH)
        return torch.cat([network(normalise(batch, PHOTO)) for batch in batches])


def kept(folder: Path, rows: Sequence[Row], repeats: int) -> None:
    """Compare decoding with reading kept pixels, and that with copying as many bytes in memory."""
    keys = [f"{row.sha256}{copy}" for copy in range(max(1, 2000 // len(rows))) for row in rows]

    def decode(missing: Sequence[int]) -> Iterator[torch.Tensor]:
        return load_examples(folder, [rows[index % len(rows)] for index in missing], PHOTO)

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        cache, recipe = RowCache(Path(scratch), 1 << 40), pixel_recipe(PHOTO)
        pixels = cache.rows(recipe, keys, decode)
        ways = {"read kept rows": lambda: cache.rows(recipe, keys, decode), "copy in memory": pixels.clone}
        print(f"\n{len(keys)} rows of {pixels[0].nbytes:,} bytes, GB/s")
        for name, seconds in in_turn(ways, repeats).items():
            print(f"  {name}: {a_second(seconds, pixels.nbytes / 1e9)}; {a_second(seconds, len(keys))} images/s")
        turns = in_turn({"off": lambda: RowCache(Path(scratch), 0).rows(recipe, keys[: len(rows)], decode)}, 2)
        print(f"  decode instead: {a_second(turns['off'], len(rows))} images/s")


def loader(folder: Path, rows: Sequence[Row], n_updates: int = 6) -> None:
    """Print the share of a training step that waits for its batch, taken from pixels in memory."""
    pixels = torch.cat(list(load_examples(folder, rows[:256], PHOTO))).permute(0, 3, 1, 2)
    network = mobilenet_v2(weights=None, num_classes=2).to(memory_format=torch.channels_last)
    optimiser, generator = torch.optim.AdamW(network.parameters()), torch.Generator().manual_seed(0)
    waited, stepped = [], []
    for _ in range(n_updates):
        started = time.perf_counter()
        chosen = torch.randint(0, len(pixels), (BATCH,), generator=generator)
        batch = normalise(augment(pixels[chosen], generator, Augmentation()), PHOTO)
        ready = time.perf_counter()
        nn.functional.cross_entropy(network(batch), chosen % 2).backward()
        optimiser.step()
        optimiser.zero_grad()
        waited.append(ready - started)
        stepped.append(time.perf_counter() - ready)
    wait_s, step_s = statistics.median(waited[1:]), statistics.median(stepped[1:])
    share = wait_s / (wait_s + step_s)
    print(f"\nmobilenet_v2, batch {BATCH}, 224 px: {wait_s * 1e3:.0f} ms to gather, vary and normalise a batch,")
    print(f"  {step_s * 1e3:.0f} ms to train on it: the loader stalls training {share:.1%} of the time")


if __name__ == "__main__":
    main()

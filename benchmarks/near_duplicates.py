r"""Plant copies of images among all images of a data set and measure how many are found, and what else is.

    python benchmarks/near_duplicates.py ../shared/datasets/{hymenoptera,cifar10,pacs} --picture found.png

The images are read and reduced as the stage `manifest` does it. Of images drawn at random, each of the six kinds of
copies is made of as many; a copy is stored as JPEG and goes the same way. Precision counts every pair that was not
planted as wrong, although data sets hold copies of their own, which the picture shows; precision of copies counts the
pairs alone in which a planted copy is one, and wrong is one whose origin is not found to be the other, or its copy.
"""

import argparse
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from adapters.image_files import describe, list_images
from transfer.data.decoding import decode_described
from transfer.data.facts import THUMBNAIL, THUMBNAIL_SIDE, describe_image
from transfer.data.near_duplicates import NearDuplicate, near_duplicates

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
Thumbnails = NDArray[np.uint8]
Result = dict[str, Any]
_SHOWN_PX, _COLUMNS = 96, 8


def _resized(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    factor = draw.choice([0.5, 0.75, 1.5])
    size = (max(8, round(image.width * factor)), max(8, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BICUBIC)


def _cropped(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Cut up to a tenth off width and height each, on any side."""
    width, height = (round(side * draw.uniform(0.9, 1.0)) for side in image.size)
    left, top = draw.integers(0, image.width - width + 1), draw.integers(0, image.height - height + 1)
    return image.crop((int(left), int(top), int(left) + width, int(top) + height))


def _mirrored(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return ImageOps.mirror(image)


def _lit(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(float(draw.choice([0.7, 0.85, 1.15, 1.3])))


def _as_it_is(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image


def _all(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    for change in (_cropped, _mirrored, _resized, _lit):
        image = change(image, draw)
    return image


KINDS: dict[str, tuple[Change, Sequence[int]]] = {
    "resize": (_resized, (85,)),
    "re-encode": (_as_it_is, (30, 50, 70)),
    "crop": (_cropped, (85,)),
    "flip": (_mirrored, (85,)),
    "brightness": (_lit, (85,)),
    "all of these": (_all, (70,)),
}


def main() -> None:
    """Print a table, a line a data set; draw what was found and not planted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="data sets: class folders")
    parser.add_argument("--copies", type=int, default=50, help="of each kind; fewer where there are fewer images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, help="PNG of the pairs found that were not planted")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    print("| data set | images | " + " | ".join(KINDS) + " | recall | precision | of copies | not planted | CPU s |")
    print("|---|---|" + "---|" * (len(KINDS) + 5))
    results, shown = [], []
    for folder in options.folders:
        result, pairs = _measured(folder, options.copies, np.random.default_rng(options.seed))
        results.append(result)
        shown += pairs
        rates = [f"{result['recall_by_kind'][kind]:.3f}" for kind in KINDS]
        print(
            f"| {folder.name} | {result['n_images']} | {' | '.join(rates)} | {result['recall']:.3f} | "
            f"{result['precision']:.3f} | {result['precision_of_copies']:.3f} | "
            f"{result['n_not_planted']} | {result['cpu_s']:.1f} |",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.picture and shown:
        _draw(options.picture, shown)


def _measured(folder: Path, n_copies: int, draw: np.random.Generator) -> tuple[Result, list[tuple[Path, Path, float]]]:
    files = list_images(folder).files
    described = [one for one in describe(folder, files) if not one.content.problem]
    paths = [folder / one.found.path for one in described]
    base = _stacked([one.content.facts[THUMBNAIL] for one in described])
    each = min(n_copies, len(paths) // len(KINDS))
    chosen = draw.permutation(len(paths))[: each * len(KINDS)].reshape(len(KINDS), each)
    planted: dict[tuple[int, int], str] = {}
    copies: list[bytes] = []
    for (kind, (change, qualities)), places in zip(KINDS.items(), chosen.tolist(), strict=True):
        for place in places:
            image = change(decode_described(paths[place].read_bytes()).image, draw)
            stream = io.BytesIO()
            image.save(stream, format="JPEG", quality=int(draw.choice(qualities)))
            planted[place, len(base) + len(copies)] = kind
            copies.append(describe_image(decode_described(stream.getvalue())).thumbnail)
    began = time.process_time()
    found = near_duplicates(np.concatenate([base, _stacked(copies)])).pairs
    cpu_s = time.process_time() - began
    return _summary(folder, len(base), planted, found, cpu_s), _not_planted(paths, planted, found)


def _summary(
    folder: Path, n_base: int, planted: dict[tuple[int, int], str], found: Sequence[NearDuplicate], cpu_s: float
) -> Result:
    pairs = {(pair.first, pair.second) for pair in found}
    hits = Counter(kind for pair, kind in planted.items() if pair in pairs)
    n_hits = sum(hits.values())
    origin = {copy: place for place, copy in planted}
    own = {pair for pair in pairs if pair[1] < n_base}
    others = {_ordered(origin.get(one, one), origin.get(other, other)) for one, other in pairs - set(planted)}
    n_wrong_copies = sum(
        _ordered(origin.get(one, one), origin[other]) not in own for one, other in pairs - own - set(planted)
    )
    return {
        "data_set": folder.name, "n_images": n_base, "n_planted": len(planted), "cpu_s": cpu_s,
        "recall": n_hits / len(planted), "precision": n_hits / max(1, n_hits + len(others)),
        "precision_of_copies": n_hits / max(1, n_hits + n_wrong_copies),
        "recall_by_kind": {kind: hits[kind] / Counter(planted.values())[kind] for kind in KINDS},
        "n_not_planted": len(others),
    }  # fmt: skip


def _ordered(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other)


def _not_planted(
    paths: Sequence[Path], planted: dict[tuple[int, int], str], found: Sequence[NearDuplicate]
) -> list[tuple[Path, Path, float]]:
    """Return the pairs of images of the data set itself, the least alike first."""
    own = [pair for pair in found if (pair.first, pair.second) not in planted and pair.second < len(paths)]
    return [(paths[pair.first], paths[pair.second], pair.apart) for pair in reversed(own)]


def _stacked(thumbnails: Sequence[bytes]) -> Thumbnails:
    pixels = np.frombuffer(b"".join(thumbnails), dtype=np.uint8)
    return pixels.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)


def _draw(picture: Path, pairs: Sequence[tuple[Path, Path, float]]) -> None:
    side, room = _SHOWN_PX, _SHOWN_PX + 20
    kept = pairs[: _COLUMNS * 10]
    sheet = Image.new("RGB", (_COLUMNS * (2 * side + 16), -(-len(kept) // _COLUMNS) * room), "white")
    pen = ImageDraw.Draw(sheet)
    for place, (one, other, apart) in enumerate(kept):
        left, top = (place % _COLUMNS) * (2 * side + 16), (place // _COLUMNS) * room
        for offset, path in ((0, one), (side + 4, other)):
            image = decode_described(path.read_bytes()).image.resize((side, side))
            sheet.paste(image, (left + offset, top))
        pen.text((left, top + side + 2), f"{apart:.4f}", fill="black")
    sheet.save(picture)


if __name__ == "__main__":
    main()

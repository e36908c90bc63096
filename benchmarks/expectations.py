r"""Measure on real images how often what is planted is found, and how often an alarm is false.

    python -m benchmarks.expectations ../shared/datasets/{hymenoptera,pacs/photo,cifar10,mnist}

Faults: each image blurred by a Gaussian of 1 % and 2 % of its longer side, darkened to a ninth, laid under fog, made of
one tone, drawn out to a stripe. Drift: random halves of the same images against each other, and against a half that was
darkened by a quarter, or halved in resolution.
"""

import io
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from tasks.params_blocks import ValidateParams
from transfer.data.decoding import decode_described
from transfer.data.drift import profile_of_numbers, shift
from transfer.data.facts import describe_image
from transfer.data.undecodable import UndecodableError

N_IMAGES, N_HALVES = 400, 200
COLUMNS = ("width_px", "height_px", "n_bytes", "brightness", "contrast", "sharpness", "aspect_ratio")
PARAMS = ValidateParams()
FAULTS: Mapping[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
    "blur 1 %": ("sharp", lambda image: image.filter(ImageFilter.GaussianBlur(0.01 * max(image.size)))),
    "blur 2 %": ("sharp", lambda image: image.filter(ImageFilter.GaussianBlur(0.02 * max(image.size)))),
    "night": ("not_dark", lambda image: image.point([value // 9 for value in range(256)] * 3)),
    "fog": ("not_washed_out", lambda image: image.point([235 + value // 13 for value in range(256)] * 3)),
    "one tone": ("contrast", lambda image: Image.new("RGB", image.size, (120, 110, 90))),
    "stripe": ("aspect_moderate", lambda image: image.resize((max(24, 12 * image.height), image.height))),
}


def facts(content: bytes) -> dict[str, float]:
    """Return the columns of an image that the expectations are about."""
    found = describe_image(decode_described(content))
    sides = (found.width_px, found.height_px)
    return {
        "width_px": found.width_px, "height_px": found.height_px, "n_bytes": len(content),
        "brightness": found.brightness, "shadow": found.shadow, "highlight": found.highlight,
        "sharpness": found.sharpness, "contrast": round(found.highlight - found.shadow, 4),
        "aspect_ratio": max(sides) / min(sides),
    }  # fmt: skip


def told(image: Mapping[str, float]) -> str:
    """Return the expectation that an image does not meet, as the stage tells it; "" where it meets all."""
    if image["contrast"] < PARAMS.min_contrast:
        return "contrast"
    if image["highlight"] < PARAMS.min_highlight:
        return "not_dark"
    if image["shadow"] > PARAMS.max_shadow:
        return "not_washed_out"
    if image["sharpness"] < PARAMS.min_sharpness:
        return "sharp"
    return "aspect_moderate" if image["aspect_ratio"] > PARAMS.max_aspect_ratio else ""


def planted(content: bytes, fault: Callable[[Image.Image], Image.Image]) -> bytes:
    """Return an image with a fault, as PNG."""
    stream = io.BytesIO()
    fault(decode_described(content).image).save(stream, format="PNG")
    return stream.getvalue()


def drifted(before: list[dict[str, float]], now: list[dict[str, float]]) -> bool:
    """Say whether any column is called moved, at the confidence of all of them together."""
    each = 1 - (1 - PARAMS.confidence) / len(COLUMNS)
    pairs = [([row[name] for row in before], [row[name] for row in now]) for name in COLUMNS]
    return any(shift(profile_of_numbers(old), new, each).low > PARAMS.max_drift for old, new in pairs)


def measured(folder: Path) -> dict[str, Any]:
    """Return the shares of one data set."""
    draw = np.random.default_rng(0)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    chosen = [paths[place] for place in sorted(draw.permutation(len(paths))[:N_IMAGES])]
    contents = []
    for path in chosen:
        try:
            decode_described(path.read_bytes())
            contents.append(path.read_bytes())
        except UndecodableError:
            continue
    plain = [facts(content) for content in contents]
    row: dict[str, Any] = {"images": len(plain), "false": np.mean([bool(told(one)) for one in plain])}
    for name, (expectation, fault) in FAULTS.items():
        row[name] = np.mean([told(facts(planted(content, fault))) == expectation for content in contents])
    darker = [facts(planted(one, lambda image: image.point([3 * v // 4 for v in range(256)] * 3))) for one in contents]
    smaller = [facts(planted(one, lambda image: image.reduce(2))) for one in contents]
    for name, after in (("same", plain), ("darker", darker), ("half size", smaller)):
        orders = [draw.permutation(len(plain)) for _ in range(N_HALVES)]
        half = len(plain) // 2
        pairs = [([plain[i] for i in order[:half]], [after[i] for i in order[half:]]) for order in orders]
        row[f"drift: {name}"] = np.mean([drifted(*pair) for pair in pairs])
    return row


def main() -> None:
    """Print a table, a row a data set."""
    folders = [Path(name) for name in sys.argv[1:]]
    rows = {folder.name: measured(folder) for folder in folders}
    columns = list(next(iter(rows.values())))
    print("| data set | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for name, row in rows.items():
        cells = [str(row[key]) if key == "images" else f"{row[key]:.1%}" for key in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

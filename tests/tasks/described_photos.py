"""A data set of small images that tables describe, with decisions on its labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from adapters.image_files import list_images
from adapters.json_files import sha256_of, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from adapters.table_columns import TableChoice
from tasks import manifest
from tasks.params import read_params
from transfer.records import Row

DATA = Path("data/photos")
HEAD = "path,given,suggested,confidence,decision,sha256"
CLASSES = ("ant", "bee", "cat")
N_IMAGES = 12


def paint(*names: str) -> None:
    for name in names:
        path = DATA / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng([*name.encode()]).integers(0, 255, (8, 8, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(path)


def rows_of(images: str = "") -> list[tuple[str, str, str]]:
    """Return path, class and split of images, which are painted."""
    rows = [
        (f"{images}{place}.png", CLASSES[place % 3], ("train", "train", "val", "test")[place // 3])
        for place in range(N_IMAGES)
    ]
    paint(*(f"images/{Path(path).name}" if not images else path for path, *_ in rows))
    return rows


def describe(**said: str) -> None:
    params = Path("params.yaml")
    text = params.read_text().replace("path: data/digits", f"path: {DATA}")
    for key, value in said.items():
        text = text.replace(f"\n  {key}: null", f"\n  {key}: {value}", 1)
    params.write_text(text)
    manifest.describe()
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})


def decided(decisions: dict[str, str]) -> Path:
    path = Path("labels.csv")
    given = {row.path: name or "ant" for row, name in labelled()}
    lines = [
        ",".join((name, given[name], "x", "0.9", said, sha256_of(DATA / name))) for name, said in decisions.items()
    ]
    path.write_text("\n".join((HEAD, *lines)) + "\n")
    return path


def labelled() -> list[tuple[Row, str]]:
    found = read_manifest()
    return [(row, found.classes[row.label] if row.label >= 0 else "") for row in found.rows]


def classes_now() -> dict[str, str]:
    choice = TableChoice(**read_params().data.model_dump(exclude={"path"}))
    return {file.path: file.class_name for file in list_images(DATA, choice).files}


def files_now() -> dict[str, bytes]:
    return {str(path.relative_to(DATA)): path.read_bytes() for path in DATA.rglob("*") if path.is_file()}


def write_csv(rows: Sequence[tuple[str, str, str]]) -> bytes:
    """Write a table as a spreadsheet of some country would, and return it."""
    lines = [
        "note;Bild;Art;Teil",
        *(f'"; {place}";{path};{name};{split}' for place, (path, name, split) in enumerate(rows)),
    ]
    content = b"\xef\xbb\xbf" + "\r\n".join(lines).encode()
    (DATA / "labels.csv").write_bytes(content)
    return content


SAID = {"table": "labels.csv", "images": "images", "image": "Bild", "label": "Art", "split": "Teil"}

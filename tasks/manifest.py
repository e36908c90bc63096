"""The stage `manifest`: a row a file, with class, split, digest and facts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.class_folders import Listing
from adapters.image_files import DescribedFile, list_images
from adapters.image_files import describe as describe_files
from adapters.manifest_file import MANIFEST, Header, read_frame, write_manifest
from tasks.params import read_params
from tasks.progress import progress
from tasks.splitting import Side, sides_of
from tasks.step import step
from transfer.errors import UserError
from transfer.records import SPLITS


@step
def describe() -> None:
    """Read every file of the data set and write the manifest.

    Raises:
        UserError: the folder is no data set that can be split; see `adapters.class_folders` and `transfer.data.splits`.
    """
    from transfer.data.facts import FACT_TYPES, THUMBNAIL

    params = read_params()
    data_path = Path(params.data.path)
    listing = list_images(data_path)
    with progress("reading files", total=len(listing.files)) as bar:
        described = describe_files(data_path, listing.files, bar.advance)
    _refuse_unusable(data_path, described, listing)
    sides = sides_of([entry for entry in described if not entry.problem], listing.given_splits, params.manifest)
    rows = [_row(entry, sides.get(entry.found.path), listing.classes) for entry in described]
    shown = {name: kind for name, kind in FACT_TYPES.items() if name != THUMBNAIL}
    write_manifest(MANIFEST, rows, shown, Header(listing.classes, listing.ignored, listing.given_splits))
    _say(described, listing.ignored)


@step
def record() -> None:
    """Record the stage as an MLflow run."""
    from adapters.mlflow_runs import stage_run

    params, frame = read_params(), read_frame()
    with stage_run("manifest") as run:
        run.params({"data.path": params.data.path, **_named("manifest", params.manifest.model_dump())})
        run.metrics({f"n_{split}": int((frame["split"] == split).sum()) for split in SPLITS})
        run.metrics({"n_files": len(frame), "n_unreadable": int((~frame["readable"]).sum())})


def _refuse_unusable(data_path: Path, described: Sequence[DescribedFile], listing: Listing) -> None:
    broken = [entry for entry in described if entry.problem]
    if len(broken) == len(described):
        first = broken[0]
        raise UserError(
            f"None of the {len(broken)} files in data.path {data_path} can be decoded; "
            f"{first.found.path}: {first.problem}"
        )
    usable = Counter((entry.found.split, entry.found.class_name) for entry in described if not entry.problem)
    for split in listing.given_splits or ("",):
        for name in listing.classes:
            if not usable[split, name]:
                first = next(e for e in broken if (e.found.split, e.found.class_name) == (split, name))
                where = f" of {split}" if split else ""
                raise UserError(
                    f"Class {name!r}{where} has no file that can be decoded; {first.found.path}: {first.problem}"
                )


def _row(entry: DescribedFile, side: Side | None, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "path": entry.found.path,
        "class_name": entry.found.class_name,
        "label": classes.index(entry.found.class_name),
        "split": side.split if side else "",
        "group": side.group if side else entry.sha256,
        "copies": side.copies if side else entry.sha256,
        "user_group": entry.found.group or None,
        "first_split": side.first_split if side else "",
        "sha256": entry.sha256,
        "readable": not entry.problem,
        "problem": entry.problem,
        "n_bytes": entry.n_bytes,
        **entry.facts,
    }


def _say(described: Sequence[DescribedFile], ignored: Mapping[str, int]) -> None:
    broken = [entry for entry in described if entry.problem]
    if broken:
        print(
            f"{len(broken)} of {len(described)} files cannot be read, first {broken[0].found.path}: {broken[0].problem}"
        )
    if ignored:
        kinds = ", ".join(f"{count} {suffix or 'without extension'}" for suffix, count in ignored.items())
        print(f"Files of other kinds were ignored: {kinds}.")


def _named(block: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{block}.{key}": value for key, value in values.items()}

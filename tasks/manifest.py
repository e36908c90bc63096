"""The stage `manifest`: a row a file, with class, split, digest and facts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.class_folders import Listing
from adapters.collector import paused_collector
from adapters.described_files import DescribedFile
from adapters.dvc_cache import cache_folder
from adapters.image_files import describe as describe_files
from adapters.image_files import list_images, scan_recipe
from adapters.kept_scan import open_scan
from adapters.manifest_file import MANIFEST, Header, own_columns, read_frame, write_manifest
from adapters.table_columns import TableChoice
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
        UserError: the folder is no data set that can be split; see `adapters.table_listing` and `transfer.data.splits`.
    """
    from transfer.data.facts import FACT_TYPES, THUMBNAIL

    params = read_params()
    data_path = Path(params.data.path)
    with paused_collector():
        listing = list_images(data_path, TableChoice(**params.data.model_dump(exclude={"path"})))
        kinds = own_columns(listing.columns, FACT_TYPES)
        kept = open_scan(Path.cwd(), data_path, scan_recipe(), FACT_TYPES)
        with progress("reading files", total=len(listing.files)) as bar:
            described = describe_files(data_path, listing.files, bar.advance, kept, [cache_folder(Path.cwd())])
        _refuse_unusable(data_path, described, listing)
        usable = [entry for entry in described if not entry.content.problem]
        sides = sides_of(data_path, usable, listing.given_splits, params.manifest)
        rows = [_row(entry, sides.get(entry.found.path), listing.classes, [*kinds]) for entry in described]
        shown = {name: kind for name, kind in FACT_TYPES.items() if name != THUMBNAIL}
        header = Header(listing.classes, listing.ignored, listing.given_splits)
        write_manifest(MANIFEST, rows, {**shown, **kinds}, header)
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
    broken = [entry for entry in described if entry.content.problem]
    if len(broken) == len(described):
        first = broken[0]
        raise UserError(
            f"None of the {len(broken)} files in data.path {data_path} can be decoded; "
            f"{first.found.path}: {first.content.problem}"
        )
    usable = Counter((entry.found.split, entry.found.class_name) for entry in described if not entry.content.problem)
    for split in listing.given_splits or ("",):
        for name in listing.classes:
            if not usable[split, name]:
                first = next(e for e in broken if (e.found.split, e.found.class_name) == (split, name))
                where = f" of {split}" if split else ""
                raise UserError(
                    f"Class {name!r}{where} has no file that can be decoded; "
                    f"{first.found.path}: {first.content.problem}"
                )


def _row(entry: DescribedFile, side: Side | None, classes: Sequence[str], columns: Sequence[str]) -> dict[str, Any]:
    return {
        "path": entry.found.path,
        "class_name": entry.found.class_name,
        "label": classes.index(entry.found.class_name),
        "split": side.split if side else "",
        "group": side.group if side else entry.content.sha256,
        "copies": side.copies if side else entry.content.sha256,
        "user_group": entry.found.group or None,
        "first_split": side.first_split if side else "",
        "sha256": entry.content.sha256,
        "readable": not entry.content.problem,
        "problem": entry.content.problem,
        "problem_kind": entry.content.kind,
        "remarks": ",".join(entry.content.remarks),
        "n_bytes": entry.content.n_bytes,
        **entry.content.facts,
        **dict(zip(columns, entry.found.columns, strict=False)),
    }


def _say(described: Sequence[DescribedFile], ignored: Mapping[str, int]) -> None:
    broken = [entry for entry in described if entry.content.problem]
    if broken:
        first, kinds = broken[0], _counted(entry.content.kind for entry in broken)
        print(
            f"{len(broken)} of {len(described)} files cannot be read ({kinds}), "
            f"first {_shown(first.found.path)}: {first.content.problem}"
        )
    remarks = _counted(word for entry in described for word in entry.content.remarks)
    if remarks:
        print(f"Worth knowing of files: {remarks}.")
    if ignored:
        kinds = ", ".join(f"{count} {_shown(suffix) or 'without extension'}" for suffix, count in ignored.items())
        print(f"Files of other kinds, or that no table names, were ignored: {kinds}.")


def _counted(words: Iterable[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(Counter(words).items()))


def _shown(name: str) -> str:
    """Return a name for a terminal, which would obey what does not show."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _named(block: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{block}.{key}": value for key, value in values.items()}

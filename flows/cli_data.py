"""The commands below `rootstock data`: what is done to a data set before a run."""

from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Bring data sets in, compare their versions, mend their labels.",
)


@data.callback()
def group() -> None:
    """Bring data sets in, compare their versions, mend their labels."""


@data.command(name="import")
def bring(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="An archive, a table, Parquet files, or `torchvision/NAME`.")
    ],
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FOLDER] [data.KEY=VALUE]...",
            help="To make, data/ and the source's name when left out; what `rootstock run` would be told of a table.",
        ),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Where torchvision's files are or go.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of names in an archive that does not say it.")] = None,
    image: Annotated[
        str | None, typer.Option(help="The column of image paths of a table, or of images in Parquet files.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The column of labels of either.")] = None,
) -> None:
    """Make a folder in the project of images that are not in one yet.

    Of an archive only images and tables are unpacked, and nothing leads out of the folder. A table's images are copied
    from wherever they are; images that Parquet files hold themselves are written as files. The folder is there whole
    and checked, or not at all; the source stays as it is.

    **Examples**

    - `rootstock data import photos.zip`
    - `rootstock data import ../scans.tar.gz data/scans`
    - `rootstock data import ../study/labels.csv data/study`
    - `rootstock data import ../beans data/beans --label labels`
    - `rootstock data import kaggle.zip data.table=train.csv data.images=train_images 'data.columns=[site,age]'`
    - `rootstock data import torchvision/CIFAR10`
    """
    from tasks.data_import import Choices, sorted_out
    from tasks.data_import_tables import show_import

    show_import(source, Choices(*sorted_out(more or []), root, encoding, image, label))


@data.command()
def review(
    most: Annotated[int, typer.Option(min=1, max=300, help="Images that the page shows; the table has all.")] = 100,
) -> None:
    """Name the labels that look wrong: a page to decide on, and a table of the decisions.

    Training and validation images are judged, each by a probe that did not see it; labels of test images stay sealed.
    The page is artifacts/review/index.html. Needs a ranking: `rootstock run` comes first.

    **Examples**

    - `rootstock data review`
    - `rootstock data review --most 300`
    - `rootstock data relabel ~/Downloads/labels.csv`
    """
    from tasks.review import review as carry_out

    carry_out(most)


@data.command()
def relabel(
    table: Annotated[
        Path | None, typer.Argument(metavar="[TABLE]", help="With decisions, as the page or you filled them in.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last relabelling back, also one cut off.")] = False,
) -> None:
    """Apply decisions (keep, relabel:CLASS, remove) to the data set, all or none; it becomes a new version.

    Files move between class folders; where a table has the labels, its cells change and rows of removed images go. A
    decision counts only for the very image that was reviewed. Without a table, a relabelling that was cut off is
    finished.

    **Examples**

    - `rootstock data relabel artifacts/review/labels.csv`
    - `rootstock data relabel --undo`
    """
    from tasks.relabel import relabel as carry_out

    carry_out(table, undo=undo)


@data.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="[REV1]", help="The state before.")] = "HEAD",
    second: Annotated[str, typer.Argument(metavar="[REV2]", help="The state after.")] = "workspace",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    paths: Annotated[bool, typer.Option("--paths", help="Name every file, a line each.")] = False,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch lists and manifests that are not here from the DVC remote.")
    ] = False,
) -> None:
    """Tell what differs between two states of a data set: what was added, removed, changed or moved.

    A state is a revision of git, the beginning of a digest, `workspace` for the folder as it is now, or PATH@ one of
    these for another data set than data.path. Where runs have read both states, brightness, sizes and proportions are
    compared too. What is moved is told within a class, between classes and between splits.

    **Examples**

    - `rootstock data diff`
    - `rootstock data diff v1.0 HEAD --json`
    - `rootstock data diff data/photos@v1.0 workspace`
    - `rootstock data diff 32440f1d a09c3e51 --paths`
    """
    from tasks.data_diff_tables import show_difference

    show_difference(first, second, as_json=as_json, paths=paths, fetch=fetch)


@data.command()
def versions(
    path: Annotated[str | None, typer.Argument(help="Of the data set; data.path where none is named.")] = None,
    most: Annotated[int, typer.Option(min=1, max=1000, help="States to show.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the states of a data set: which commit brought each, what changed in it, and which models were made of it.

    Whether its files are here says the DVC cache: what is not has to be fetched before it can be checked out.

    **Examples**

    - `rootstock data versions`
    - `rootstock data versions data/photos --most 3 --json`
    """
    from tasks.data_versions import show_versions

    show_versions(path, most, as_json=as_json)

"""The commands below `rootstock data`: what is done to a data set before a run."""

from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Bring data sets in and look after them.")


@data.callback()
def group() -> None:
    """Bring data sets in and look after them."""


@data.command(name="import")
def bring(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="An archive, a table, Parquet files, or `torchvision/NAME`.")
    ],
    into: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="To make; data/ and the name of the source when left out.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Where torchvision's files are or go.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of names in an archive that does not say it.")] = None,
    image: Annotated[str | None, typer.Option(help="The column of image paths, of a table.")] = None,
    label: Annotated[str | None, typer.Option(help="The column of labels, of a table.")] = None,
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
    - `rootstock data import torchvision/CIFAR10`
    """
    from tasks.data_import import Choices
    from tasks.data_import_tables import show_import

    show_import(source, Choices(into, root, encoding, image, label))

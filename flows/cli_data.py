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
    source: Annotated[str, typer.Argument(help="A zip or tar archive, a table of images, or `torchvision/NAME`.")],
    into: Annotated[Path | None, typer.Argument(help="The folder to make; data/ and the source's name.")] = None,
    root: Annotated[Path | None, typer.Option(help="Where torchvision's files are or go.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of names in an archive that does not say it.")] = None,
    image: Annotated[str | None, typer.Option(help="The column of image paths, of a table.")] = None,
) -> None:
    """Make a folder in the project of images that are not in one yet.

    Of an archive only images and tables are unpacked, and nothing leads out of the folder. A table's images are copied
    from wherever they are. The folder is there whole and checked, or not at all; the source stays as it is.

    **Examples**

    - `rootstock data import photos.zip`
    - `rootstock data import ../scans.tar.gz data/scans`
    - `rootstock data import ../study/labels.csv data/study`
    - `rootstock data import torchvision/CIFAR10`
    """
    from tasks.data_import_tables import show_import

    show_import(source, into, root=root, encoding=encoding, image=image)

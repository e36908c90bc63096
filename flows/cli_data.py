"""The commands below `rootstock data`: what the images and their labels really are, and what is done about it."""

from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Look at the data set, and mend it.")


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

    A decision counts only for the very image that was reviewed. Without a table, a relabelling that was cut off is
    finished.

    **Examples**

    - `rootstock data relabel artifacts/review/labels.csv`
    - `rootstock data relabel --undo`
    """
    from tasks.relabel import relabel as carry_out

    carry_out(table, undo=undo)

"""The commands below `rootstock data`: what a data set is made of, and how it changes."""

from typing import Annotated

import typer

data = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Ask about data sets and their versions.")


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

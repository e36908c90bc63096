"""The commands below `rootstock backbones`: what can be chosen from, what is known of it, what has to be said of it."""

from pathlib import Path
from typing import Annotated

import typer

backbones = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")


@backbones.callback()
def catalogue(
    context: typer.Context,
    text: Annotated[str, typer.Option("--filter", metavar="TEXT", help="Only references that hold this text.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: a list, a line of the table each.")] = False,
) -> None:
    """List the backbones that can be candidates: shipped, local, registered, published by torchvision or timm.

    Parameters and multiply-adds are those of the whole network as published; where nothing is, the trunk's are counted.

    **Examples**

    - `rootstock backbones --filter resnet`
    - `rootstock backbones --filter timm/convnext`
    - `rootstock backbones show torchvision/vit_b_16@IMAGENET1K_SWAG_E2E_V1`
    - `rootstock backbones fetch torchvision/resnet18 torchvision/mobilenet_v2@IMAGENET1K_V2`
    """
    from tasks.catalogue_tables import show_list

    if context.invoked_subcommand is None:
        show_list(text, as_json=as_json)


@backbones.command()
def show(
    reference: Annotated[str, typer.Argument(help="For example `torchvision/resnet18@IMAGENET1K_V1`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Print a backbone's card: licence, origin, input, size, depth groups; weights that are here are checked."""
    from tasks.catalogue_tables import show_card

    show_card(reference, as_json=as_json)


@backbones.command()
def fetch(
    references: Annotated[list[str], typer.Argument(metavar="REFERENCE...", help="Published weights.")],
) -> None:
    """Download published weights into the store, for a machine that will have no network.

    The store is `~/.cache/rootstock/weights`, or `ROOTSTOCK_WEIGHTS`; it may be copied to another machine as it is.
    """
    from tasks.catalogue_tables import fetch as bring

    bring(references)


@backbones.command()
def declare(
    reference: Annotated[str, typer.Argument(help="For example `torchvision/mobilenet_v2@weights/mine.pth`.")],
    licence: Annotated[str, typer.Option(help="Of the weights, for example `Apache-2.0`.")],
    origin: Annotated[str, typer.Option(help="Where they come from, for example an address.")],
    training_data: Annotated[str | None, typer.Option(help="What they were trained on.")] = None,
) -> None:
    """Say what is known of a local weights file; it is written beside it, and models made from it may be registered."""
    from tasks.catalogue_tables import declare as say

    say(reference, licence, origin, training_data)


@backbones.command()
def source(
    reference: Annotated[str, typer.Argument(help="For example `torchvision/mobilenet_v2@weights/mine.pth`.")],
    images: Annotated[Path, typer.Argument(metavar="FOLDER", help="Some of the images the weights were trained on.")],
) -> None:
    """Keep what a backbone's own training images look like to it, beside its weights: 256 of them are enough.

    The ranking then says how far your images are from those (proxy A-distance), and a run warns where they are far and
    the features help little. The shipped backbone has such a sample.
    """
    from tasks.catalogue_tables import keep_source

    keep_source(reference, images)

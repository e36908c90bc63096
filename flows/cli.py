"""The `rootstock` command: what it says, and with which exit code it ends."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli_backbones import backbones
from flows.cli_data import data
from tasks import cli as work

app = typer.Typer(
    name="rootstock",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "A folder of labelled images in; a registered model out, with proof at every step that the transfer helped.\n\n"
        "Every command acts on the project that holds the current directory.\n\n"
        "Exit codes: 0 done, 2 the input is at fault, 3 ended before register, as asked for where transfer hurt, "
        "1 anything else, 130 interrupted."
    ),
)


@app.callback(invoke_without_command=True)
def rootstock(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Say what this is (the text of `help` above is what is shown)."""
    if version:
        typer.echo(f"rootstock {work.version()}")
        raise typer.Exit


@app.command()
def run(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Parameters of params.yaml to change first, for good.", show_default=False
        ),
    ] = None,
) -> None:
    """Bring the model up to date: run what changed, nothing else.

    All overrides are checked first, then written to params.yaml (its comments stay), so that `dvc status` agrees
    afterwards. A value you edited there by hand and have not run yet is never overwritten.
    Lists are split at commas; `? = @ &` need no quoting beyond your shell's.

    **Examples**

    - `rootstock run`
    - `rootstock run data.path=../photos`
    - `rootstock run finetune.epochs=5 finetune.seed=1`
    - `rootstock run 'select.candidates=[rootstock/strokes,torchvision/resnet18@IMAGENET1K_V1]'`
    - `rootstock run 'select.candidates=torchvision/mobilenet_v2?width_mult=0.35@weights/mobile.pth'`
    - `rootstock run register.model_name=null`
    """
    from tasks.run import run as run_project

    run_project(overrides or [], _load_pipeline)


@app.command()
def predict(
    model_uri: Annotated[str, typer.Argument(help="For example `digits@champion`, `models:/digits/2`, or a folder.")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Image files, or folders of them.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: a list of path, class and probabilities.")
    ] = False,
) -> None:
    """Classify images with a registered model.

    A file that cannot be read as an image is named on standard error and makes the exit code 2; the others are
    classified.

    **Examples**

    - `rootstock predict models:/digits@champion data/digits/3`
    - `rootstock predict models:/photos/2 new.jpg other.png --json`
    """
    work.predict(model_uri, paths, as_json=as_json)


@app.command()
def champions(
    model: Annotated[str | None, typer.Argument(help="One registered model, for example `digits`.")] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="Who was champion then, ISO 8601, UTC.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check that no line was altered; else exit with 1.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: a list of the ledger's lines.")] = False,
) -> None:
    """Tell who was champion when, on whose word and why.

    **Examples**

    - `rootstock champions`
    - `rootstock champions digits --at 2026-03-31`
    - `rootstock champions digits --verify`
    """
    from tasks.promotion_tables import show_champions

    show_champions(model, at, verify=verify, as_json=as_json)


@app.command()
def looks(
    verify: Annotated[bool, typer.Option("--verify", help="Exit with 1 where a line was altered.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: a list of the ledger's lines.")] = False,
) -> None:
    """List every look at the labels of test images: when, at which images, about which model.

    Each further model that the same test images are asked about widens what may be claimed of all of them.
    """
    from tasks.looks_table import show_looks

    show_looks(verify=verify, as_json=as_json)


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="NAME@challenger, or NAME/VERSION.")],
    why: Annotated[str, typer.Option(help="The reason, which is kept in the ledger.")],
    force: Annotated[bool, typer.Option("--force", help="Overrule the gate; that is recorded too.")] = False,
) -> None:
    """Make a version the champion by your word.

    What the gate left to a person is promoted; what it refused only with --force.

    **Examples**

    - `rootstock promote digits@challenger --why 'half the size, and as good'`
    - `rootstock promote digits/3 --why 'the test images of version 4 are mislabelled' --force`
    """
    from tasks.promotion_tables import promote as carry_out

    carry_out(version, why, force=force)


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(help="The registered model, for example `digits`.")],
    why: Annotated[str, typer.Option(help="The reason, which is kept in the ledger.")] = "",
) -> None:
    """Give the champion's place back to the version that had it before.

    It has to answer as it did when it was registered; otherwise the champion stays and the exit code is 1.

    **Example**

    - `rootstock rollback digits --why 'wrong on the new scanner'`
    """
    from tasks.promotion_tables import rollback as carry_out

    carry_out(model, why)


@app.command()
def lineage(
    target: Annotated[str, typer.Argument(help="NAME, NAME@ALIAS, NAME/VERSION; or data/NAME, data/NAME@REVISION.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what a model was made from, or which models were made from a data set.

    A revision is one of git, or the beginning of a digest.

    **Examples**

    - `rootstock lineage digits`
    - `rootstock lineage digits/3 --json`
    - `rootstock lineage data/digits`
    - `rootstock lineage data/photos@HEAD~1`
    - `rootstock lineage ../photos@32440f1d`
    """
    from tasks.lineage_tables import show_lineage

    show_lineage(target, as_json=as_json)


@app.command()
def reproduce(
    model: Annotated[str, typer.Argument(help="NAME, NAME@ALIAS or NAME/VERSION.")],
    into: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where the working copy goes.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the working copy there.")] = False,
    tolerance: Annotated[float, typer.Option(help="Of a probability, from 0 to 1, that counts as none.")] = 0.01,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a model again from its own data, code and parameters, and tell whether it is the same.

    Everything runs in a working copy: registry, ledger, memory and cache of the project stay as they are. Exit code 0
    when it is identical or within tolerance, 1 when it is different.

    **Examples**

    - `rootstock reproduce digits`
    - `rootstock reproduce digits/3 --into /tmp/again --keep`
    """
    from tasks.reproduce_tables import show_reproduction

    raise typer.Exit(show_reproduction(model, into, keep=keep, tolerance=tolerance, as_json=as_json))


@app.command()
def doctor() -> None:
    """Check every tool, version, server, weights file and path: what works, what does not, what to do.

    Exit code 0 when a run could start now, else 1. A registry that lost what artifacts/ still has is mended.
    """
    from tasks.doctor import examine

    raise typer.Exit(work.show_diagnosis(examine()))


app.add_typer(backbones, name="backbones")
app.add_typer(data, name="data")


@app.command()
def up(
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Prefect server and UI.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the MLflow UI.")] = 5000,
) -> None:
    """Start the Prefect server, a worker and the MLflow UI on 127.0.0.1; Ctrl-C stops all of them.

    The pipeline is deployed on a nightly schedule; trigger it from another terminal, in the project's root, with

    - `prefect deployment run pipeline/nightly`
    - `prefect deployment run pipeline/nightly -p data_path=../photos`
    """
    from tasks.up import serve

    serve(prefect_port, mlflow_port)


def main() -> None:
    """Run the command line and turn every ending into one sentence and an exit code."""
    sys.exit(work.ending_of(app))


def _load_pipeline() -> Callable[..., Any]:
    from flows.pipeline import pipeline

    return pipeline


if __name__ == "__main__":
    main()

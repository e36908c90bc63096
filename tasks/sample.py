"""The stage `sample`: scikit-learn's scanned digits as class folders, the data set that is always there."""

from pathlib import Path

from adapters.digits import read_scans, write_class_folders
from tasks.params import read_params
from tasks.progress import progress
from tasks.step import step

FOLDER = Path("data/digits")


@step
def write() -> None:
    """Write data/digits/<digit>/<index>.png, all of them or none."""
    from transfer.data.encoding import grey_png

    size_px = read_params().sample.size_px
    scans = read_scans()
    contents = [grey_png(pixels, size_px) for pixels in scans.pixels]
    with progress("writing digits", total=len(contents)) as bar:
        write_class_folders(FOLDER, [str(digit) for digit in scans.digits], contents, bar.advance)


@step
def record() -> None:
    """Record the stage as an MLflow run."""
    from adapters.mlflow_runs import stage_run

    with stage_run("sample") as run:
        run.params({"sample.size_px": read_params().sample.size_px})
        run.metrics({"n_files": sum(1 for _ in FOLDER.glob("*/*.png"))})

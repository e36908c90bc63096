"""The flow `sample` on its plain path, without a server."""

from pathlib import Path

from flows.sample import sample


def test_the_flow_writes_the_digits(mlflow_project: Path) -> None:
    sample.fn()
    assert len(list(Path("data/digits").glob("[0-9]/*.png"))) == 1797

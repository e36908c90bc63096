"""What is said of test images that have a copy among the training images."""

from collections.abc import Mapping
from typing import Any


def leak_sentence(metrics: Mapping[str, Any]) -> str:
    """Return what metrics.json tells of leaked test images; "" where there are none.

    Args:
        metrics: of the stage.
    """
    n_leaked, n_test = metrics.get("n_test_with_copy_in_training", 0), metrics["n_test"]
    if not n_leaked:
        return ""
    told = f"{n_leaked} of {n_test} test images have a copy among the training images"
    if "accuracy_without_copies" not in metrics:
        return f"{told}: the accuracy of {metrics['accuracy']:.3f} says nothing about new images."
    value, low, high = (metrics[f"accuracy_without_copies{suffix}"] for suffix in ("", "_low", "_high"))
    return (
        f"{told}: without them the accuracy is {value:.3f} ({low:.3f} to {high:.3f}), with them "
        f"{metrics['accuracy']:.3f}."
    )

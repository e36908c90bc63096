"""The tables that expectations are about: files, readable images, classes, with what their columns follow from."""

from typing import TYPE_CHECKING

from adapters.manifest_file import Header
from tasks.params_blocks import ValidateParams
from transfer.data.expectations import Limits
from transfer.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd


def limits_of(params: ValidateParams) -> Limits:
    """Return the limits that the parameters of `validate` set."""
    return Limits(**{name: getattr(params, name) for name in Limits.__slots__})


def readable_table(files: "pd.DataFrame", limits: Limits) -> "pd.DataFrame":
    """Return the rows that decode, with what is known about byte-identical copies, groups and the look of each.

    An image of one tone is neither dark nor blurred but of one tone, and whether a dark one is sharp cannot be told: so
    that each fault is told once, the columns that it would make say the same again are left empty.

    Args:
        files: all rows of the manifest.
        limits: what is still taken for good.
    """
    readable = files[files["readable"]]
    trained_on = set(readable.loc[readable["split"] == "train", "sha256"])
    sides = readable[["width_px", "height_px"]].astype(float)
    contents = readable.groupby("copies")["sha256"].transform("nunique")
    contrast = (readable["highlight"] - readable["shadow"]).round(4)
    toned = contrast >= limits.min_contrast
    lit = toned & (readable["highlight"] >= limits.min_highlight) & (readable["shadow"] <= limits.max_shadow)
    return readable.assign(
        copies=readable["copies"].where(contents > 1),  # byte-identical ones are told of as such
        changed_side=readable["first_split"] != readable["split"],
        test_copy_of_train=(readable["split"] == "test") & readable["sha256"].isin(trained_on),
        aspect_ratio=sides.max(axis=1) / sides.min(axis=1),
        contrast=contrast,
        highlight=readable["highlight"].where(toned),
        shadow=readable["shadow"].where(toned),
        sharpness=readable["sharpness"].where(lit),
    )


def class_table(readable: "pd.DataFrame", header: Header) -> "pd.DataFrame":
    """Count the readable rows of every class, in all and in each split.

    Args:
        readable: as `readable_table` returns it.
        header: of the manifest.
    """
    import pandas as pd

    label = readable["label"]
    counts = {f"n_{split}": label[readable["split"] == split].value_counts() for split in SPLITS}
    table = pd.DataFrame({"n_images": label.value_counts(), **counts}, index=pd.RangeIndex(len(header.classes)))
    table = table.fillna(0).astype(int)
    table.insert(0, "class_name", list(header.classes))
    return table.assign(largest_to_this=table["n_images"].max() / table["n_images"].clip(lower=1))

"""The suite that every data set is checked against: structure, amounts, names, copies, images, drift."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transfer.data.drift import Profile
from transfer.data.expectation import Expectation
from transfer.errors import UserError
from transfer.records import SPLITS


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still taken for good.

    Args:
        max_quarantined_fraction: share of files that may be unreadable, in [0, 1].
        min_images_per_class: readable images, at least.
        min_side_px: of width and height.
        max_class_ratio: largest class / this class, at most.
        max_aspect_ratio: longer side / shorter side, at most.
        min_highlight: luma that 99 % of the pixels do not exceed, at least, in [0, 1].
        max_shadow: luma that 1 % of the pixels do not exceed, at most, in [0, 1].
        min_contrast: highlight - shadow, at least, in [0, 1].
        min_sharpness: deviation of the Laplacian of luma, at least.
    """

    max_quarantined_fraction: float
    min_images_per_class: int
    min_side_px: int
    max_class_ratio: float
    max_aspect_ratio: float
    min_highlight: float
    max_shadow: float
    min_contrast: float
    min_sharpness: float


def suite(n_classes: int, limits: Limits) -> tuple[Expectation, ...]:
    """Return what every data set is checked for, what stops a run first.

    Args:
        n_classes: labels are in [0, n_classes).
        limits: what is still taken for good.
    """
    return (
        *_structure(n_classes),
        *_amounts(limits.max_quarantined_fraction, limits.min_images_per_class, limits.max_class_ratio),
        *_names(),
        *_copies(),
        *_stored(limits.min_side_px, limits.max_aspect_ratio),
        *_seen(limits),
    )


WORDS = {
    "width_px": "width", "height_px": "height", "aspect_ratio": "ratio of sides", "n_bytes": "file size", "class_name": "class",
}  # fmt: skip


def stability(previous: Mapping[str, Profile], max_drift: float, confidence: float) -> tuple[Expectation, ...]:
    """Return what is asked of every column that an earlier version of the data is known for.

    Args:
        previous: column -> what it was.
        max_drift: population stability index that is still taken for the same.
        confidence: that no column is called drifted whose index is within, of all columns together (Bonferroni).
    """
    each = 1.0 - (1.0 - confidence) / max(1, len(previous))
    return tuple(
        Expectation(
            f"stable_{column}", "readable", column, "stable", (profile.edges, profile.counts, max_drift, each),
            "warning", f"the {WORDS.get(column, column)} of images is distributed as in the earlier version",
            "look at what was added or removed; nothing, if the change is meant.",
        )
        for column, profile in previous.items()
    )  # fmt: skip


def with_severities(
    expectations: Sequence[Expectation], severities: Mapping[str, Any], known: Sequence[str] = ()
) -> tuple[Expectation, ...]:
    """Return the expectations with the severities that the user gave some of them, without those to be ignored.

    Args:
        expectations: of which some are to be changed.
        severities: name -> "error", "warning", "info" or "ignore".
        known: further names that may be among them although nothing is asked by that name today.

    Raises:
        UserError: there is no expectation of such a name.
    """
    names = [expectation.name for expectation in expectations]
    for name in severities:
        if name not in names and name not in known:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}."
            raise UserError(f"validate.severities names the expectation {name!r}, which there is not; {hint}")
    kept = (one for one in expectations if severities.get(one.name) != "ignore")
    return tuple(replace(one, severity=severities.get(one.name, one.severity)) for one in kept)


def _structure(n_classes: int) -> tuple[Expectation, ...]:
    rerun = "delete artifacts/manifest and run again."
    return (
        Expectation("path_present", "files", "path", "not_null", (), "error", "each row has a path", rerun),
        Expectation("path_unique", "files", "path", "unique", (), "error", "no path appears twice", rerun),
        Expectation("digest_present", "readable", "sha256", "not_null", (), "error", "each row has a digest", rerun),
        Expectation(
            "label_in_range", "files", "label", "between", (0, n_classes - 1), "error",
            f"every label is in 0..{n_classes - 1}", rerun,
        ),
        Expectation(
            "split_known", "readable", "split", "in_set", SPLITS, "error",
            f"every row is in {', '.join(SPLITS[:-1])} or {SPLITS[-1]}", rerun,
        ),
    )  # fmt: skip


def _amounts(
    max_quarantined_fraction: float, min_images_per_class: int, max_class_ratio: float
) -> tuple[Expectation, ...]:
    return (
        Expectation(
            "readable_share", "files", "readable", "in_set", (True,), "error",
            f"at most {max_quarantined_fraction:.1%} of the files are unreadable",
            "repair or remove them, or raise validate.max_quarantined_fraction.",
            mostly=1.0 - max_quarantined_fraction,
        ),
        Expectation(
            "class_size", "classes", "n_images", "between", (min_images_per_class, None), "error",
            f"every class has at least {min_images_per_class} readable images",
            "add images, remove the class folder, or lower validate.min_images_per_class.",
        ),
        *(
            Expectation(
                f"class_in_{split}", "classes", f"n_{split}", "between", (1, None), "error",
                f"every class has an image in {split}", f"add images of the class to {split}.",
            )
            for split in SPLITS
        ),
        Expectation(
            "class_balance", "classes", "largest_to_this", "between", (None, max_class_ratio), "warning",
            f"no class is more than {max_class_ratio:g} times smaller than the largest",
            "add images to the small classes, or read the per-class results instead of accuracy.",
        ),
    )  # fmt: skip


def _names() -> tuple[Expectation, ...]:
    def about(name: str, rule: Any, says: str, remedy: str) -> Expectation:
        return Expectation(name, "classes", "class_name", rule, (), "warning", says, remedy)

    return (
        about(
            "class_names_distinct", "distinct_names",
            "no two class names differ in case, blanks, hyphens or Unicode form only",
            "merge the folders if they are one class; file systems that ignore case keep only one of them.",
        ),
        about(
            "class_names_unlike", "unlike_names", "no class name is another one with a spelling error",
            "merge the folders if they are one class; nothing, if both are meant.",
        ),
        about(
            "class_names_tidy", "tidy_names",
            "no class name begins or ends with a blank or holds characters that nobody sees", "rename the folders.",
        ),
        about(
            "class_names_no_folders", "no_folder_names", "no class is named like a split or a folder of a tool",
            "move the folder out of the data set if it is no class.",
        ),
        about(
            "class_names_numbers", "numbers_in_order",
            "class names that are numbers are in the order of their labels, and do not stand among words",
            "pad the numbers with zeros, or read class names and not the labels' indices.",
        ),
    )  # fmt: skip


def _copies() -> tuple[Expectation, ...]:
    def about(name: str, column: str, rule: Any, arguments: tuple[Any, ...], says: str, remedy: str) -> Expectation:
        return Expectation(name, "readable", column, rule, arguments, "warning", says, remedy, shown=True)

    return (
        about(
            "no_training_copy_in_test", "test_copy_of_train", "in_set", (False,),
            "no test image is byte-identical to a training image",
            "remove the copies from one side; the test accuracy is too high with them.",
        ),
        about(
            "no_copy_across_splits", "split", "one_split", (),
            "no image has byte-identical copies in two splits", "remove the copies from one side.",
        ),
        about(
            "no_near_copy_across_splits", "split", "copies_in_one_split", (),
            "no image has a near-duplicate in another split",
            "remove the copies from one side; the report gives the accuracy without test images that have one in training.",
        ),
        about(
            "no_group_across_splits", "split", "group_in_one_split", (),
            "no group of images that belong together is in two splits",
            "move each group to one side; the test accuracy is too high otherwise.",
        ),
        about(
            "no_image_changed_side", "changed_side", "in_set", (False,),
            "no image has been moved to another split since it was first seen",
            "move it back, or remove its line from artifacts/manifest/splits.csv: models of before may have learned from it.",
        ),
        about(
            "no_copy_across_classes", "class_name", "one_class", (),
            "no image has byte-identical copies in two classes", "decide for one class and remove the other copy.",
        ),
        about(
            "no_copies", "sha256", "unique", (),
            "no image has a byte-identical copy", "remove the copies; they count twice.",
        ),
    )  # fmt: skip


def _stored(min_side_px: int, max_aspect_ratio: float) -> tuple[Expectation, ...]:
    return (
        *(
            Expectation(
                f"{side}_sufficient", "readable", f"{side}_px", "between", (min_side_px, None), "warning",
                f"every image has a {side} of at least {min_side_px} px",
                "replace the small images, or lower validate.min_side_px.", shown=True,
            )
            for side in ("width", "height")
        ),
        Expectation(
            "aspect_moderate", "readable", "aspect_ratio", "moderate_aspect", (max_aspect_ratio,), "warning",
            f"no image is more than {max_aspect_ratio:g} times longer than wide, or wider than long",
            "cut them; what is resized to a square shows little else than stripes.", shown=True,
        ),
        Expectation(
            "plain_mode", "readable", "mode", "in_set", ("RGB", "L"), "warning",
            "every image is stored as RGB or grey",
            "nothing, if it is meant: others are converted (transparency over white, 16 bits to 8).", shown=True,
        ),
        Expectation(
            "upright", "readable", "exif_orientation", "upright", (), "warning",
            "every image is stored upright",
            "nothing: images are turned as their EXIF orientation says; other programs may not do so.", shown=True,
        ),
    )  # fmt: skip


def _seen(limits: Limits) -> tuple[Expectation, ...]:
    def about(name: str, column: str, rule: Any, says: str, key: str) -> Expectation:
        remedy = f"look at them; remove what nobody could tell, or change validate.{key}."
        bound = (getattr(limits, key),)
        return Expectation(name, "readable", column, rule, bound, "warning", says, remedy, shown=True)

    return (
        about("not_dark", "highlight", "not_dark", "no image is dark all over", "min_highlight"),
        about("not_washed_out", "shadow", "not_washed_out", "no image is white all over", "max_shadow"),
        about("contrast", "contrast", "contrast", "no image is of one tone", "min_contrast"),
        about("sharp", "sharpness", "sharp", "no image is blurred", "min_sharpness"),
    )

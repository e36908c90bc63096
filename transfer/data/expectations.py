"""What a data set must look like, as plain data: whoever can check a column can check these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transfer.records import SPLITS

Severity = Literal["critical", "warning"]
Rule = Literal["not_null", "unique", "between", "in_set"]
Table = Literal["files", "readable", "classes"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that a column of a table must fulfil.

    Args:
        name: unique within a suite.
        table: "files" (all rows of the manifest), "readable" (those that decode) or "classes" (a row a class).
        column: the column that the rule is about.
        rule: "not_null", "unique", "between" (low, high; None is open) or "in_set" (the allowed values).
        arguments: of the rule.
        severity: "critical" stops the run, "warning" is reported.
        says: what is expected, a phrase for people.
        remedy: what to do when it is not so.
        mostly: share of the rows that must fulfil it, in [0, 1].
    """

    name: str
    table: Table
    column: str
    rule: Rule
    arguments: tuple[float | int | str | bool | None, ...]
    severity: Severity
    says: str
    remedy: str
    mostly: float = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What checking an expectation found.

    Args:
        expectation: what was checked.
        passed: whether enough rows fulfil it.
        n_checked: rows looked at.
        n_unexpected: rows that do not fulfil it.
        examples: the first of them in order: path or class name, and the value found.
    """

    expectation: Expectation
    passed: bool
    n_checked: int
    n_unexpected: int
    examples: tuple[tuple[str, str], ...]


def suite(
    *,
    n_classes: int,
    max_quarantined_fraction: float,
    min_images_per_class: int,
    min_side_px: int,
    max_class_ratio: float,
) -> tuple[Expectation, ...]:
    """Return every expectation, the critical ones first.

    Args:
        n_classes: labels are in [0, n_classes).
        max_quarantined_fraction: share of files that may be unreadable, in [0, 1].
        min_images_per_class: readable images, at least.
        min_side_px: of width and height.
        max_class_ratio: largest class / this class, at most.
    """
    return (
        *_structure(n_classes),
        *_amounts(max_quarantined_fraction, min_images_per_class),
        Expectation(
            "class_balance", "classes", "largest_to_this", "between", (None, max_class_ratio), "warning",
            f"no class is more than {max_class_ratio:g} times smaller than the largest",
            "add images to the small classes, or read the per-class results instead of accuracy.",
        ),
        *_copies(),
        *_images(min_side_px),
    )  # fmt: skip


def failed(findings: Sequence[Finding], severity: Severity) -> tuple[Finding, ...]:
    """Return the findings of one severity that did not pass."""
    return tuple(finding for finding in findings if not finding.passed and finding.expectation.severity == severity)


def _structure(n_classes: int) -> tuple[Expectation, ...]:
    rerun = "delete artifacts/manifest and run again."
    return (
        Expectation("path_present", "files", "path", "not_null", (), "critical", "each row has a path", rerun),
        Expectation("path_unique", "files", "path", "unique", (), "critical", "no path appears twice", rerun),
        Expectation("digest_present", "readable", "sha256", "not_null", (), "critical", "each row has a digest", rerun),
        Expectation(
            "label_in_range", "files", "label", "between", (0, n_classes - 1), "critical",
            f"every label is in 0..{n_classes - 1}", rerun,
        ),
        Expectation(
            "split_known", "readable", "split", "in_set", SPLITS, "critical",
            f"every row is in {', '.join(SPLITS[:-1])} or {SPLITS[-1]}", rerun,
        ),
    )  # fmt: skip


def _amounts(max_quarantined_fraction: float, min_images_per_class: int) -> tuple[Expectation, ...]:
    return (
        Expectation(
            "readable_share", "files", "readable", "in_set", (True,), "critical",
            f"at most {max_quarantined_fraction:.1%} of the files are unreadable",
            "repair or remove them, or raise validate.max_quarantined_fraction.",
            mostly=1.0 - max_quarantined_fraction,
        ),
        Expectation(
            "class_size", "classes", "n_images", "between", (min_images_per_class, None), "critical",
            f"every class has at least {min_images_per_class} readable images",
            "add images, remove the class folder, or lower validate.min_images_per_class.",
        ),
        *(
            Expectation(
                f"class_in_{split}", "classes", f"n_{split}", "between", (1, None), "critical",
                f"every class has an image in {split}", f"add images of the class to {split}.",
            )
            for split in SPLITS
        ),
    )  # fmt: skip


def _copies() -> tuple[Expectation, ...]:
    return (
        Expectation(
            "no_training_copy_in_test", "readable", "test_copy_of_train", "in_set", (False,), "warning",
            "no test image is byte-identical to a training image",
            "remove the copies from one side; the test accuracy is too high with them.",
        ),
        Expectation(
            "no_copy_across_splits", "readable", "n_splits_with_content", "between", (None, 1), "warning",
            "no image has byte-identical copies in two splits", "remove the copies from one side.",
        ),
        Expectation(
            "no_near_copy_across_splits", "readable", "n_splits_with_look", "between", (None, 1), "warning",
            "no image has a near-duplicate in another split",
            "remove the copies from one side; the report gives the accuracy without test images that have one in training.",
        ),
        Expectation(
            "no_group_across_splits", "readable", "n_splits_with_group", "between", (None, 1), "warning",
            "no group of images that belong together is in two splits",
            "move each group to one side; the test accuracy is too high otherwise.",
        ),
        Expectation(
            "no_image_changed_side", "readable", "changed_side", "in_set", (False,), "warning",
            "no image has been moved to another split since it was first seen",
            "move it back, or remove its line from artifacts/manifest/splits.csv: models of before may have learned from it.",
        ),
        Expectation(
            "no_copy_across_classes", "readable", "n_classes_with_content", "between", (None, 1), "warning",
            "no image has byte-identical copies in two classes", "decide for one class and remove the other copy.",
        ),
        Expectation(
            "no_copies", "readable", "sha256", "unique", (), "warning",
            "no image has a byte-identical copy", "remove the copies; they count twice.",
        ),
    )  # fmt: skip


def _images(min_side_px: int) -> tuple[Expectation, ...]:
    return (
        *(
            Expectation(
                f"{side}_sufficient", "readable", f"{side}_px", "between", (min_side_px, None), "warning",
                f"every image has a {side} of at least {min_side_px} px",
                "replace the small images, or lower validate.min_side_px.",
            )
            for side in ("width", "height")
        ),
        Expectation(
            "plain_mode", "readable", "mode", "in_set", ("RGB", "L"), "warning",
            "every image is stored as RGB or grey",
            "nothing, if it is meant: others are converted (transparency over white, 16 bits to 8).",
        ),
        Expectation(
            "upright", "readable", "exif_orientation", "in_set", (1,), "warning",
            "every image is stored upright",
            "nothing: images are turned as their EXIF orientation says; other programs may not do so.",
        ),
    )  # fmt: skip

"""The model card: what whoever uses the model has to know, after Mitchell et al. 2019 (arXiv:1810.03993).

What only its owner can say comes from the block `report` of params.yaml; where that is silent, the card says so.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.params_blocks import ReportParams
from tasks.report_records import Records
from tasks.report_result import warnings
from tasks.report_words import (
    column_named,
    helped,
    interval,
    is_pretrained,
    isolated,
    percent,
    served,
    slice_named,
    with_range,
)

_MOST_NAMED = 20
_UNSAID = {
    "owner": "Who answers for the model",
    "contact": "Where questions and complaints go",
    "licence": "Under which licence others may use the model",
    "intended_use": "What the model is meant for, and by whom it is to be used,",
    "out_of_scope": "What the model must not be used for",
    "factors": "By which groups of people, devices or conditions results may differ",
    "training_data": "Where the images come from, who made them, and under which licence,",
    "ethics": "Which ethical considerations, risks and harms there are,",
    "caveats": "What else whoever uses the model should know",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the card, never blank.

    Args:
        label: what it is about.
        text: what is said.
        unsaid: key of params.yaml where only the owner could say it, and did not; else "".
    """

    label: str
    text: str
    unsaid: str = ""


Card = Sequence[tuple[str, Sequence[Field]]]  # heading, fields


def model_card(records: Records, written: str) -> Card:
    """Return the card, section by section.

    Args:
        records: what the stages left.
        written: the day, as text.
    """
    return (
        ("Model details", tuple(_details(records, written))),
        ("Intended use", tuple(_intended(records.params.report))),
        ("Factors", tuple(_factors(records))),
        ("Metrics", tuple(_metrics(records))),
        ("Evaluation data", tuple(_evaluation_data(records))),
        ("Training data", tuple(_training_data(records))),
        ("Quantitative analyses", tuple(_analyses(records))),
        ("Ethical considerations", (_said(records.params.report, "ethics", "Considerations"),)),
        ("Caveats and recommendations", tuple(_caveats(records))),
    )


def as_markdown(card: Card, title: str) -> str:
    """Return a card as Markdown; nothing in it is taken for markup.

    Args:
        card: the card.
        title: its heading.
    """
    parts = [f"# Model card: {escaped(title)}"]
    for heading, fields in card:
        lines = "\n".join(f"- **{field.label}**: {escaped(field.text)}" for field in fields)
        parts.append(f"## {heading}\n\n{lines}")
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Return a text in one line that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _said(settings: ReportParams, key: str, label: str) -> Field:
    said = getattr(settings, key)
    if said is not None:
        return Field(label, said.strip())
    return Field(
        label,
        f"{_UNSAID[key]} is not stated; report.{key} in params.yaml is the place to state it.",
        unsaid=f"report.{key}",
    )


def _details(records: Records, written: str) -> Iterator[Field]:
    card, settings, registration = records.card, records.params.report, records.registration
    kept = [step["name"] for step in records.history["steps"] if step["kept"]]
    size_px = card["preprocess"]["crop_px"]
    yield Field("Model", f"{records.model}, {served(records)['uri']}")
    yield Field("Written", f"{written}, by Rootstock")
    yield _said(settings, "owner", "Owner")
    yield _said(settings, "contact", "Contact")
    yield Field(
        "Type",
        f"image classifier of {len(card['classes'])} classes: {card['reference']} with a {card['head']} head, "
        f"{card['n_parameters']:,} parameters, images of {size_px} x {size_px} px",
    )
    yield Field(
        "Training",
        f"{'transfer learning' if is_pretrained(records) else 'from random weights'}, "
        f"strategy {records.history['strategy']}; of its steps these were kept: {', '.join(kept)}",
    )
    yield Field(
        "Pretrained weights",
        f"origin: {registration.get('weights_origin', 'unknown')}; "
        f"licence: {registration.get('weights_licence', 'unknown')}; "
        f"training data: {registration.get('weights_training_data', 'unknown')}",
    )
    yield _said(settings, "licence", "Licence of the model")


def _intended(settings: ReportParams) -> Iterator[Field]:
    yield _said(settings, "intended_use", "Primary uses and users")
    yield _said(settings, "out_of_scope", "Out of scope")


def _factors(records: Records) -> Iterator[Field]:
    columns = dict.fromkeys(column_named(one["column"]) for one in records.slices["slices"])
    yield _said(records.params.report, "factors", "Relevant factors")
    yield Field("Measured factors", f"{', '.join(columns)}: the accuracy of each part is in the report, section Slices")


def _metrics(records: Records) -> Iterator[Field]:
    settings = records.params.evaluate
    yield Field(
        "Performance measures",
        "accuracy; balanced accuracy and macro F1, in which rare classes count as much as frequent ones; calibration "
        "error, which says whether confidence may be read as a probability",
    )
    yield Field(
        "Decision threshold",
        f"none: the class of the highest probability is the answer; sets of classes are made to miss the right one in "
        f"{percent(settings.set_error)} of the images",
    )
    yield Field(
        "Variation", f"every figure has an interval of {records.confidence}; comparisons are corrected for number"
    )


def _evaluation_data(records: Records) -> Iterator[Field]:
    params, given = records.params, records.validation["given_splits"]
    how = (
        "those that the data set itself sets apart"
        if "test" in given
        else f"about {percent(params.manifest.test_fraction)} of each class, drawn by content"
    )
    yield Field("Data set", f"{records.metrics['n_test']} test images of {params.data.path}: {how}")
    yield Field("Motivation", "images of the same source as the training images, which no training has seen")
    size = records.card["preprocess"]
    yield Field(
        "Preprocessing", f"resized to {size['resize_px']} px, the middle {size['crop_px']} px, scaled as in training"
    )


def _training_data(records: Records) -> Iterator[Field]:
    counts, classes = records.validation["counts"], records.card["classes"]
    named = ", ".join(map(isolated, classes[:_MOST_NAMED])) + (
        f" and {len(classes) - _MOST_NAMED} more" * (len(classes) > _MOST_NAMED)
    )
    yield Field(
        "Data set",
        f"{counts['n_train']} training and {counts['n_val']} validation images of {records.params.data.path}",
    )
    yield Field("Digest", records.data_digest or "none was recorded by DVC")
    yield Field("Classes", f"{len(classes)}: {named}")
    yield _said(records.params.report, "training_data", "Origin")


def _analyses(records: Records) -> Iterator[Field]:
    metrics = records.metrics
    yield Field("Overall accuracy", with_range(*interval(metrics, "accuracy")))
    yield Field("Balanced accuracy", with_range(*interval(metrics, "balanced_accuracy")))
    yield Field("Macro F1", with_range(*interval(metrics, "macro_f1")))
    yield Field(
        "Calibration error",
        f"{with_range(*interval(metrics, 'ece'))}; of a calibrated model below {metrics['ece_if_calibrated']:.3f}",
    )
    if "worst_slice" in metrics:
        worst = with_range(*interval(metrics, "worst_slice_accuracy"))
        yield Field(
            "Lowest slice", f"{slice_named(metrics['worst_slice'])}: {worst} on {metrics['worst_slice_n']} images"
        )
    yield Field("Several factors at once", "not measured: each slice is a part of one factor")
    told = helped(records)
    yield Field("Did the transfer help", f"{told['word']}: {told['sentence']}")


def _caveats(records: Records) -> Iterator[Field]:
    found = [*warnings(records), *([records.looks["sentence"]] if records.looks["n_models"] > 1 else ())]
    yield Field("Found by measurement", " ".join(found) if found else "nothing that calls the figures into question")
    yield Field("The gate", served(records)["sentence"])
    yield Field(
        "Recommendation",
        "measure again on images of your own before you rely on it: other cameras, places or times may give other "
        "figures",
    )
    yield _said(records.params.report, "caveats", "By its owner")


def unsaid(card: Card) -> list[str]:
    """Return the keys of what the owner has not said."""
    return [field.unsaid for _, fields in card for field in fields if field.unsaid]


def plain(card: Card) -> list[dict[str, Any]]:
    """Return the card as the page's template reads it."""
    return [{"heading": heading, "fields": fields} for heading, fields in card]

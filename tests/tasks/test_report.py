"""The report says everything, blank nowhere; what a data set is named like neither runs nor gets lost."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adapters.json_files import read_json, read_plain_json, write_json, write_plain_json
from tasks import answers
from tasks.handoffs import CARD_TEXT, EXPLANATIONS, LOOKS, METRICS, MITIGATION, REGISTRATION, REPORT_PAGE, SUMMARY
from tasks.model_card import as_markdown, model_card, unsaid
from tasks.params_blocks import ReportParams
from tasks.report import record, write
from tasks.report_records import read_records
from tasks.report_words import REFERENCES, duration, isolated, readable, slice_named
from tests.tasks.left_records import leave_records
from transfer.errors import UserError

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "x" * 300,
    "\u202eebircs \u05e9\u05dc\u05d5\u05dd",
    "\U0001f41d\U0001f41c",
    "{{ 7 * 7 }} {% raw %}",
    "a|b *c* [d](http://example.invalid)",
)
CARD_HEADINGS = (
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
    "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
)  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of a page: elements with their attributes, and the text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def written(classes: tuple[str, ...] = ("ant", "bee", "cat"), **more: Any) -> Page:
    leave_records(classes, **more)
    return rewritten()


def rewritten() -> Page:
    write()
    return Page(REPORT_PAGE.read_text(encoding="utf-8"))


def test_the_page_has_every_part_in_order_and_says_the_figures(project: Path) -> None:
    page = written()
    places = [attributes.get("id") for tag, attributes in page.elements if tag == "section" and "id" in attributes]
    assert places == [
        "gain", "data", "ranking", "training", "confusion", "calibration", "slices", "examples", "cost", "lineage",
        "card",
    ]  # fmt: skip
    for words in (
        "Yes: starting from pretrained weights paid off", "Yes: it is the champion", "0.750", "0.700 to 0.800",
        "digits version 7", "+10.0 (+5.0 to +15.0)", "A caveat.", "no side is shorter than 8 px", "rolled back",
        "ant", "c" * 40, "trained here", "1 min 10 s, predicted before training", "and 3 earlier runs on other images",
        "models:/digits@champion", "3 of 12 test images are answered wrongly",
    ):  # fmt: skip
        assert words in page.text, words


def test_every_link_of_the_contents_leads_somewhere(project: Path) -> None:
    page = written()
    anchors = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {attributes["href"] for tag, attributes in page.elements if tag == "a"} == {f"#{one}" for one in anchors}


def test_nothing_is_loaded_and_nothing_runs(project: Path) -> None:
    page = written(HOSTILE)
    assert {"script", "link", "iframe", "object", "embed", "form"}.isdisjoint(tag for tag, _ in page.elements)
    for tag, attributes in page.elements:
        assert [name for name in attributes if name.startswith("on")] == [], tag
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/")), (tag, attributes)
    policies = [one["content"] for tag, one in page.elements if tag == "meta" and "http-equiv" in one]
    assert policies[0] is not None
    assert policies[0].startswith("default-src 'none'; img-src data:;")
    styles = [text for text in page.texts if "url(" in text or "@import" in text]
    assert styles == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_class_of_any_name_is_shown_as_it_is(project: Path, name: str) -> None:
    page = written((name, "bee"))
    assert page.text.count(" ".join(name.split())) >= 3


def test_many_classes_are_bounded_and_what_is_left_out_is_said(project: Path) -> None:
    page = written(tuple(f"class-{index:03}" for index in range(200)))
    assert "The matrix of more than 50 classes is not drawn" in page.text
    assert "176 between them are left out here" in page.text
    assert "140 better ones are in" in page.text
    assert "188 rarer mistakes are left out" in page.text
    assert REPORT_PAGE.stat().st_size < 300_000


def test_what_the_gate_left_to_a_person_comes_with_its_command(project: Path) -> None:
    asked = {"outcome": "ask", "sentence": "Level with the champion.", "reasons": ["It is as good."]}
    page = written(promotion=asked)
    assert "A person has to decide" in page.text
    assert "rootstock promote digits@challenger --why REASON" in page.text
    assert "It is as good." in page.text
    write_json(REGISTRATION, _payload(REGISTRATION) | {"promotion": {**asked, "outcome": "refuse"}}, _sources())
    assert "No: the gate refused it" in rewritten().text


def test_a_model_that_began_with_random_weights_has_transferred_nothing(project: Path) -> None:
    page = written(backbone="rootstock/strokes@none")
    assert "Nothing was transferred: it began with random weights" in page.text
    assert "from random weights, strategy staged" in page.text
    assert "paid off" not in page.text


def test_records_of_different_runs_are_refused(project: Path) -> None:
    written()
    write_plain_json(METRICS, read_plain_json(METRICS) | {"accuracy": 0.9})
    with pytest.raises(UserError, match="was made from another"):
        write()


def test_how_many_models_the_test_images_were_asked_about_is_said(project: Path) -> None:
    written()
    write_json(LOOKS, {"n_models": 4, "sentence": "These images were asked about 4 models."}, _sources())
    assert "These images were asked about 4 models." in rewritten().text
    for text in (CARD_TEXT, SUMMARY):
        assert "These images were asked about 4 models." in text.read_text(encoding="utf-8")


def test_what_was_tried_because_transfer_hurt_is_said_first(project: Path) -> None:
    written()
    figures = {"accuracy": 0.5, "references": {"scratch": 0.9}}
    tried = [{"rung": "norms", "says": "their own", **figures}, {"rung": "unfreeze", "skipped": "it is full"}]
    record = {"start": figures, "tried": tried, "stands": "norms"}
    write_json(MITIGATION, record, _sources())
    text = rewritten().text
    assert "Accuracy on validation images: as asked for 0.500 (references: scratch 0.900)" in text
    assert "unfreeze skipped, it is full. What stands: norms." in text


def test_a_registry_that_lost_the_model_stops_no_report(mlflow_project: Path) -> None:
    from adapters.mlflow_store import open_client

    leave_records(("ant", "bee"))
    write()
    record()
    client = open_client()
    (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()], "tags.stage = 'report'")
    assert run.data.metrics["accuracy"] == 0.75
    assert run.data.tags["model_version"] == "digits/7"


def test_every_reference_has_words_of_its_own() -> None:
    assert set(REFERENCES) == {*answers.MODELS, answers.PROBE, answers.NEAREST, answers.AS_IT_CAME} - {"transfer"}


def test_no_field_of_the_card_is_blank(project: Path) -> None:
    leave_records(("ant", "bee"))
    card = model_card(read_records(project), "2026-01-31")
    assert tuple(heading for heading, _ in card) == CARD_HEADINGS
    fields = [field for _, fields in card for field in fields]
    assert [field.label for field in fields if not field.text.strip() or "None" in field.text] == []
    keys = [key for key in ReportParams.model_fields if key != "title"]
    assert unsaid(card) == [f"report.{key}" for key in keys]
    text = as_markdown(card, "digits")
    assert [
        key for key in keys if f"report.{key.replace('_', chr(92) + '_')} in params.yaml is the place" not in text
    ] == []


def test_what_the_owner_says_stands_in_the_card(project: Path, set_params: Any) -> None:
    keys = list(ReportParams.model_fields)
    set_params(report={key: f"My {key} <b>is</b> this." for key in keys})
    page = written()
    assert [key for key in keys if f"My {key} <b>is</b> this." not in page.text] == []
    assert "is not stated" not in page.text
    text = CARD_TEXT.read_text(encoding="utf-8")
    assert r"\<b\>is\</b\>" in text
    assert "lacks" not in SUMMARY.read_text(encoding="utf-8")


def leave_explanations() -> None:
    """Write what `explain` leaves: more than a page shows, and a picture that lies outside its folder."""
    folder = EXPLANATIONS.parent
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    coarse = Image.fromarray(draw.integers(0, 255, (10, 8, 3)).astype(np.uint8))
    coarse.resize((1600, 2000)).save(folder / "map.png")
    nearest = [{"path": "bee/1.png", "class": "bee", "similarity": 0.91, "picture": "map.png"}]
    case = {"path": "ant/<0>.png", "actual": "ant", "predicted": "bee", "probability": 0.987, "nearest": nearest}
    pair = {"actual": "ant", "predicted": "bee"}
    sanity = {"passed": False, "sentence": "The map hardly changes with random weights."}
    record = {
        "maps": [{"method": "Grad-CAM", "says": "where the layer looked", "layers": ["last"], "sanity": sanity}],
        "confused_pairs": [{**pair, "n": 3, "share": 0.25, "pictures": ["map.png"] * 9}],
        "confident_errors": [{**case, "picture": "map.png"}] * 20,
        "examples": [{**case, "predicted": "ant", "picture": "../../params.yaml"}],
        "nearest_of": "the training images",
    }
    write_json(EXPLANATIONS, record, _sources())


def test_examples_travel_inside_the_page_and_are_bounded(project: Path) -> None:
    written()
    leave_explanations()
    page = rewritten()
    for words in (
        "ant/<0>.png", "taken for", "98.7 % sure", "likeness 0.91", "sanity check failed",
        "3 images, 25 % of the class", "Left out here: 12 errors", "pictures are missing",
    ):  # fmt: skip
        assert words in page.text, words
    shown = [attributes["src"] or "" for tag, attributes in page.elements if tag == "img"]
    assert len(shown) == 8 * 2 + 1 + 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in shown)
    assert REPORT_PAGE.stat().st_size < 3_000_000


def test_other_stages_sentences_call_references_as_the_report_does() -> None:
    said = (
        "+0.6 points over scratch (equal images), over nearest_mean. The reference scratch answers all alike. Scratch."
    )
    assert readable(said) == (
        "+0.6 points over the network from scratch (equal images), over the class means. "
        "The reference, the network from scratch, answers all alike. Scratch."
    )


def test_a_name_written_from_right_to_left_turns_nothing_else_around() -> None:
    assert isolated("ant 1") == "ant 1"
    assert isolated("\u202etna") == "\u2068\u202etna\u2069"
    assert slice_named("size_px 3 to 4") == "image size (px) 3 to 4"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (3660, "1 h 1 min")],
)
def test_durations_are_read_at_a_glance(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_champion_beside_the_new_model_is_told_in_numbers(project: Path) -> None:
    beside = {
        "gain": 0.02,
        "gain_low": -0.01,
        "gain_high": 0.05,
        "n_rows": 40,
        "only_challenger": 3,
        "only_champion": 2,
    }
    page = written(promotion={"outcome": "refuse", "sentence": "Not shown to be better.", "reasons": [], **beside})
    assert "+2.0 (-1.0 to +5.0) points. Of 40 images only the new model got 3 right, only the champion 2." in page.text


def test_the_summary_is_short_and_links_the_page(project: Path) -> None:
    written(HOSTILE)
    text = SUMMARY.read_text(encoding="utf-8")
    assert "**Did the transfer help?** Yes" in text
    assert "`artifacts/report/index.html`" in text
    assert "<script" not in text.replace(r"\<script", "")
    assert len(text) < 4000
    assert re.search(r"lacks what only its owner can say: `report.owner`, `report.contact`, `report.licence`", text)


def _payload(path: Path) -> dict[str, Any]:
    return {key: value for key, value in read_json(path).items() if key not in ("version", "made_from")}


def _sources() -> dict[str, Path]:
    from tests.tasks.left_records import CARD, CHAMPION, VERDICT, WEIGHTS

    of_model = {"weights": WEIGHTS, "model": WEIGHTS, "card": CARD, "metrics": METRICS, "verdict": VERDICT}
    return {**of_model, "looks": LOOKS, "champion": CHAMPION}

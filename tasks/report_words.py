"""How the report says things: figures with their intervals, verdicts and the gate's word in plain sentences."""

import re
import shlex
import unicodedata
from collections.abc import Mapping
from typing import Any

from adapters.promotions import CHALLENGER, CHAMPION
from tasks.release import kind_of
from tasks.report_records import Records
from transfer.evaluation.promotion import ASK, KEEP, PROMOTE, REFUSE

REFERENCES = {
    "scratch": ("network from scratch", "the same network from random weights, trained on as many images"),
    "random_frozen": ("random features", "a head on the network as it is before any training"),
    "probe": ("linear probe", "a head on the pretrained network, none of whose layers was trained further"),
    "source_head": ("pretrained network as it came", "its own head, cut down to these classes; nothing trained"),
    "nearest_mean": ("class means", "the nearest mean of a class on pretrained features, nothing trained"),
}
_HELPED = {
    "positive": ("Yes: starting from pretrained weights paid off", "good"),
    "neutral": ("It made no difference that matters", "quiet"),
    "negative": ("No: it did harm", "bad"),
    "inconclusive": ("These test images cannot tell", "warn"),
}
_DIRECTED = ("R", "AL", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI", "PDF", "PDI")
_SO = {
    "positive": "The model is surely better than the same network without pretrained weights and than random features.",
    "neutral": "The gain is surely smaller than the {margin} that matter, so a model without "
    "pretrained weights would do as well here. The accuracy stands all the same.",
    "negative": "A model without pretrained weights does surely better on these images. Try another backbone, or train "
    "from scratch.",
    "inconclusive": "That says nothing against the accuracy of the model, only that its gain is not told from chance, "
    "or not from a weak comparison. More test images or a longer training of the reference would tell.",
}
_COLUMNS = {
    "size_px": "image size (px)", "aspect": "width over height", "detail": "detail (low: blurred)",
    "mode": "colour mode", "format": "file format", "exif_orientation": "camera orientation",
}  # fmt: skip
_NOTHING = ("Nothing was transferred: it began with random weights", "quiet")
_ALONE = "There is no pretrained start to judge. The accuracy stands all the same."
_GATE = {
    PROMOTE: ("Yes: it is the champion", "good"),
    KEEP: ("Yes: it is the champion already", "good"),
    ASK: ("A person has to decide", "warn"),
    REFUSE: ("No: the gate refused it", "bad"),
}


def readable(text: str) -> str:
    """Return a sentence of another stage with the references called as the report calls them."""
    text = re.sub(rf"\bover ({'|'.join(REFERENCES)})\b", lambda found: f"over the {REFERENCES[found[1]][0]}", text)
    return re.sub(
        rf"\breference ({'|'.join(REFERENCES)})\b", lambda found: f"reference, the {REFERENCES[found[1]][0]},", text
    )


def reference_named(key: str) -> str:
    """Return how the report calls a reference."""
    return REFERENCES.get(key, (key.replace("_", " "), ""))[0]


def column_named(column: str) -> str:
    """Return how the report calls a column that slices are cut by."""
    return _COLUMNS.get(column, column)


def isolated(name: str) -> str:
    """Keep a name's own direction of writing from what stands around it; most names come back as they are."""
    strong = any(unicodedata.bidirectional(one) in _DIRECTED for one in name)
    return f"\N{FIRST STRONG ISOLATE}{name}\N{POP DIRECTIONAL ISOLATE}" if strong else name


def slice_named(name: str) -> str:
    """Return how the report calls a slice that a record names by column and part."""
    column, _, part = name.partition(" ")
    return f"{column_named(column)} {isolated(part)}"


def is_pretrained(records: Records) -> bool:
    """Say whether the model began with pretrained weights."""
    from transfer.backbones.reference import BackboneReference

    return not BackboneReference.parse(records.card["reference"]).is_random


def helped(records: Records) -> dict[str, str]:
    """Return the verdict on the transfer: headline, what it means, the figures, the class of its colour."""
    kind = kind_of(records.verdict)
    headline, colour = _HELPED[kind] if is_pretrained(records) else _NOTHING
    so = _ALONE if not is_pretrained(records) else _SO[kind].format(margin=points(records.verdict.get("margin", 0.0)))
    return {
        "word": kind,
        "headline": headline,
        "so": so,
        "sentence": readable(records.verdict["sentence"]),
        "kind": colour,
    }


def served(records: Records) -> dict[str, Any]:
    """Return what the gate said, in the same form, with the commands that are left to a person."""
    registration = records.registration
    told, name = registration["promotion"], registration["name"]
    headline, colour = _GATE[told["outcome"]]
    alias = CHAMPION if told["outcome"] in (PROMOTE, KEEP) else CHALLENGER
    so = f"{records.model} is served as models:/{name}@{alias}."
    if alias == CHALLENGER:
        so = f"{records.model} is registered as the {CHALLENGER}; who is champion stays as it was."
    target = shlex.quote(f"{name}@{CHALLENGER}")
    force = "" if told["outcome"] == ASK else " --force"
    command = f"rootstock promote {target} --why REASON{force}" if alias == CHALLENGER else ""
    reasons = [reason for reason in told.get("reasons", ()) if reason not in told["sentence"]]
    reasons += _beside_champion(told)
    return {
        "headline": headline, "so": so, "sentence": told["sentence"], "kind": colour, "command": command,
        "reasons": reasons, "alias": alias, "uri": f"models:/{name}@{alias}",
    }  # fmt: skip


def _beside_champion(told: Mapping[str, Any]) -> list[str]:
    if "gain" not in told:
        return []
    gain = in_points(told["gain"], told["gain_low"], told["gain_high"])
    only = f"only the new model got {told['only_challenger']} right, only the champion {told['only_champion']}"
    return [f"Beside the champion: {gain} points. Of {told['n_rows']} images {only}."]


def interval(metrics: Mapping[str, Any], name: str) -> tuple[float, float, float]:
    """Return a figure with its bounds."""
    value, low, high = (float(metrics[f"{name}{bound}"]) for bound in ("", "_low", "_high"))
    return value, low, high


def three(found: Mapping[str, float], factor: float = 1.0) -> tuple[float, float, float]:
    """Return value and bounds of an interval of a record, times a factor."""
    return factor * found["value"], factor * found["low"], factor * found["high"]


def with_range(value: float, low: float, high: float, digits: int = 3) -> str:
    """Return a figure with its interval as text."""
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def points(share: float) -> str:
    """Return a share as percentage points."""
    return f"{100 * share:g} point{'' if share == 0.01 else 's'}"


def in_points(value: float, low: float, high: float) -> str:
    """Return a difference of shares in percentage points with its interval."""
    return f"{100 * value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Return seconds as a person reads them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

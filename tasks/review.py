"""Which labels of training and validation images look wrong: a page to decide on, and a table of decisions."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import environment, relabelling
from adapters.json_files import read_json
from adapters.kept_labels import kept_labels
from adapters.locks import refuse_if_busy
from adapters.manifest_file import MANIFEST, QUARANTINE, TEST, Manifest, read_manifest
from adapters.project import enter_project
from adapters.review_page import Case, write_page
from adapters.review_table import Suspect, set_aside, write_suspects
from tasks.features import features_of
from tasks.handoffs import RANKING, REVIEW_PAGE, REVIEW_TABLE
from tasks.params import Params, read_params
from transfer.records import Row

if TYPE_CHECKING:
    from torch import Tensor

    from transfer.backbones.backbone import Backbone

MOST_AT_ONCE = 20_000  # rows that judge each other: 2 GB at 1280 features, 640 MB of it how alike they are
_ALIKE = 3
_LIKELY = 0.5  # a label is named where it is more likely wrong than right


@dataclass(frozen=True)
class Judged:
    """Rows with what was found of their labels.

    Args:
        rows: training and validation rows.
        features: float32 (N, D), of the chosen backbone.
        wrong: float64 (N,), how likely each label is wrong.
        suggested: int64 (N,), the most likely class beside the given one.
        accuracy: share of rows whose label a probe that did not see them predicts.
        can_tell: whether wrong labels are told from hard images.
    """

    rows: tuple[Row, ...]
    features: "Tensor"
    wrong: "Tensor"
    suggested: "Tensor"
    accuracy: float
    can_tell: bool

    def named(self) -> list[int]:
        """Return the places of rows whose label is more likely wrong than right, the surest first."""
        found = [place for place, value in enumerate(self.wrong.tolist()) if value > _LIKELY]
        return sorted(found, key=lambda place: (-float(self.wrong[place]), self.rows[place].path))


def review(most: int) -> None:
    """Write the page and the table, and tell how many labels look wrong.

    Args:
        most: images that the page shows, at most.

    Raises:
        UserError: nothing was ranked yet, or an image is gone or has changed since.
    """
    project = enter_project()
    environment.prepare(project)
    refuse_if_busy(project)
    relabelling.refuse_if_cut_off(project)
    params, manifest = read_params(), read_manifest()
    found = judged(params, manifest)
    kept = kept_labels(project)
    seen = {place for place in found.named() if _label(found, manifest.classes, place) in kept}
    named = [place for place in found.named() if place not in seen]
    suspects = [_suspect(found, manifest.classes, place) for place in named]
    alike = _alike(found, named[:most])
    cases = [
        _case(found, manifest.classes, (place, suspect), alike)
        for suspect, place in zip(suspects[:most], named[:most], strict=True)
    ]
    content = _content(found, suspects, manifest.classes, params)
    write_page(REVIEW_PAGE, content, suspects, cases, Path(params.data.path))
    before = set_aside(REVIEW_TABLE)
    write_suspects(REVIEW_TABLE, suspects)
    told = f"What was written into {REVIEW_TABLE} before is in {before} now. " if before else ""
    print(told + _told(len(suspects), found) + _told_again(len(seen)))


def judged(params: Params, manifest: Manifest) -> Judged:
    """Judge the labels of all training and validation rows by features of the backbone that was chosen.

    Args:
        params: of the project.
        manifest: its usable rows.

    Raises:
        UserError: nothing was ranked yet, or an image is gone or has changed since.
    """
    import torch

    from transfer.metrics.label_errors import judge_labels

    rows = tuple(row for row in manifest.rows if row.split != TEST)
    backbone, weights_sha256 = _chosen_backbone(params)
    features = features_of(backbone, weights_sha256, params.data.path, rows, "features")
    labels = torch.tensor([row.label for row in rows], dtype=torch.int64)
    wrong, suggested = torch.zeros(len(rows), dtype=torch.float64), labels.clone()
    accuracy, can_tell = 0.0, True
    for part in parts(rows, MOST_AT_ONCE):
        places = torch.tensor(part)
        of_part = judge_labels(features[places], labels[places], len(manifest.classes))
        wrong[places], suggested[places] = of_part.wrong, of_part.suggested
        accuracy += of_part.accuracy * len(part) / len(rows)
        can_tell &= of_part.can_tell
    return Judged(rows, features, wrong, suggested, accuracy, can_tell)


def parts(rows: Sequence[Row], most: int) -> Iterator[list[int]]:
    """Yield the places of rows in parts of at most so many, each class evenly over them, chosen by content."""
    n_parts = -(-len(rows) // most)
    ordered = sorted(range(len(rows)), key=lambda place: (rows[place].label, rows[place].sha256, rows[place].path))
    for first in range(n_parts):
        yield ordered[first::n_parts]


def _chosen_backbone(params: Params) -> "tuple[Backbone, str | None]":
    from tasks.candidates import candidate
    from transfer.backbones.reference import BackboneReference

    ranking = read_json(RANKING, made_from={"manifest": MANIFEST, "quarantine": QUARANTINE})
    reference = BackboneReference.parse(ranking["winner"])
    return candidate(reference, params.select.weights_sha256.get(reference.record_key or ""))


def _suspect(found: Judged, classes: Sequence[str], place: int) -> Suspect:
    row = found.rows[place]
    suggested = classes[int(found.suggested[place])]
    return Suspect(row.path, row.sha256, classes[row.label], suggested, round(float(found.wrong[place]), 3))


def _label(found: Judged, classes: Sequence[str], place: int) -> tuple[str, str]:
    """Return digest and class of a row."""
    return found.rows[place].sha256, classes[found.rows[place].label]


def _both(found: Judged, place: int) -> tuple[int, int]:
    """Return the suggested and the given class of a row."""
    return int(found.suggested[place]), found.rows[place].label


def _case(
    found: Judged,
    classes: Sequence[str],
    suspected: tuple[int, Suspect],
    alike: Mapping[tuple[int, int], Sequence[int]],
) -> Case:
    """Return a suspect, by its place, with the images that are the most like it."""
    place, suspect = suspected
    like = [(classes[label], [found.rows[near] for near in alike[place, label]]) for label in _both(found, place)]
    return Case(suspect, found.rows[place], like)


def _alike(found: Judged, places: Sequence[int]) -> dict[tuple[int, int], list[int]]:
    """Return (row, class) -> the rows of the class whose features are the most like it and whose labels look right."""
    import torch

    from transfer.explanation.nearest import nearest

    labels = torch.tensor([row.label for row in found.rows])
    asking: dict[int, list[int]] = defaultdict(list)
    for place in places:
        for label in _both(found, place):
            asking[label].append(place)
    alike: dict[tuple[int, int], list[int]] = {}
    for label, rows in asking.items():
        of_class = ((labels == label) & (found.wrong <= _LIKELY)).nonzero().flatten()
        if not len(of_class):
            alike |= {(place, label): [] for place in rows}
            continue
        order, _ = nearest(found.features[torch.tensor(rows)], found.features[of_class], _ALIKE)
        alike |= {(place, label): of_class[near].tolist() for place, near in zip(rows, order, strict=True)}
    return alike


def _content(found: Judged, suspects: Sequence[Suspect], classes: Sequence[str], params: Params) -> dict[str, Any]:
    return {
        "data_path": params.data.path,
        "classes": list(classes),
        "n_judged": len(found.rows),
        "n_named": len(suspects),
        "n_expected": round(sum(one.confidence for one in suspects)),
        "accuracy": found.accuracy,
        "can_tell": found.can_tell,
    }


def _told(n_named: int, found: Judged) -> str:
    n_rows = f"{len(found.rows):,} training and validation images"
    if not n_named and not found.can_tell:
        return (
            f"Wrong labels cannot be told from hard images here: by the chosen backbone's features the label of only "
            f"{found.accuracy:.0%} of {n_rows} is guessed right. Add a backbone to select.candidates that suits the "
            "images better, and run again."
        )
    if not n_named:
        return f"No label of {n_rows} looks wrong."
    verb, where = ("label looks", "it") if n_named == 1 else ("labels look", "them")
    return (
        f"{n_named:,} {verb} wrong, of {n_rows}: decide on {where} in {REVIEW_PAGE}, then run "
        "`rootstock data relabel` with the table that the page saves."
    )


def _told_again(n_kept: int) -> str:
    if not n_kept:
        return ""
    return f" {n_kept:,} that had been kept before {'is' if n_kept == 1 else 'are'} not named again."

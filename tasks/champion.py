"""The champion on the test rows of today: what the gate compares a new model with.

It belongs to the stage `evaluate`, which alone opens test rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, Manifest, read_manifest
from adapters.mlflow_aliases import MODEL_TAG, AliasedVersion
from adapters.model_files import CARD, WEIGHTS
from adapters.promotions import champion
from adapters.sealed_labels import looks_at, open_labels
from adapters.seen_rows import EVIDENCE, SEEN_ROWS, seen_among, write_seen_rows
from adapters.tables import read_table
from tasks.compared import identity_of, own_identity
from tasks.handoffs import CHAMPION, MODEL, PREDICTIONS, SEEN
from tasks.naming import model_name
from tasks.params import read_params
from tasks.step import step
from transfer.errors import EnvironmentFault, RootstockError, UserError
from transfer.records import Row

if TYPE_CHECKING:
    from transfer.backbones.backbone import Classifier
    from transfer.backbones.card import ModelCard

_UNREADABLE = (UserError, RuntimeError, ValueError, KeyError, TypeError)  # what its files are, not how they were read


@step
def compare_with_champion() -> None:
    """Ask the champion about test rows that it has not learned from; write which one it was and who got what right.

    Raises:
        EnvironmentFault: the registry, or a file of the champion, cannot be read at this time.
    """
    params, manifest, project = read_params(), read_manifest(), Path.cwd()
    write_seen_rows(SEEN, (row.sha256 for row in manifest.rows if row.split != "test"))
    name = model_name(params, project)
    found = champion(project, name)
    compared = {"champion": None} if found is None else _compared(found, name, params.data.path, manifest)
    made_from = {"manifest": MANIFEST, "quarantine": QUARANTINE, "weights": MODEL / WEIGHTS, "card": MODEL / CARD}
    write_json(CHAMPION, {"model": name, "own": own_identity(project), **compared}, made_from)


def _compared(found: AliasedVersion, name: str, data_path: str, manifest: Manifest) -> dict[str, Any]:
    who = {"version": found.version, "identity": identity_of(found)}
    if who["identity"] == own_identity(Path.cwd()):
        return {"champion": who, "paired": None, "problem": None}
    try:
        return {"champion": who, **_asked(found, name, data_path, manifest)}
    except OSError as error:  # may pass, and a record of it would stand until there is another champion
        raise EnvironmentFault(
            f"The champion, {name} version {found.version}, cannot be read at this time ({error}); check where its "
            f"files are and run again, or promote another version."
        ) from error
    except _UNREADABLE as error:
        what = str(error) if isinstance(error, RootstockError) else f"{type(error).__name__}: {error}"
        problem = f"the champion, version {found.version}, cannot be read ({' '.join(what.split())[:300].rstrip('.')})"
        return {"champion": who, "paired": None, "problem": problem}


def _asked(found: AliasedVersion, name: str, data_path: str, manifest: Manifest) -> dict[str, Any]:
    from adapters.model_files import load_model
    from adapters.registered_models import model_folder, version_folder

    folder = model_folder(str(version_folder(name, found.version, found.location)))
    classifier, card = load_model(folder)
    facts: dict[str, Any] = {"size_bytes": (folder / WEIGHTS).stat().st_size, "paired": None, "problem": None}
    unknown = sorted(set(card.classes) ^ set(manifest.classes))
    if unknown:
        what = f"the champion, version {found.version}, knows other classes (not in both: {', '.join(unknown)})"
        return {**facts, "problem": what}
    predicted = _predictions()
    asked = [row for row in manifest.rows if row.path in predicted]
    rows = [*{row.sha256: row for row in reversed(asked)}.values()][::-1]  # copies of a file are one image
    seen = seen_among(folder.parent / EVIDENCE / SEEN_ROWS, (row.sha256 for row in rows))
    facts |= {
        "n_challengers": _n_challengers(found, manifest),
        "n_left_out": sum(row.sha256 in (seen or ()) for row in rows),
        "seen_known": seen is not None,
    }
    rows = [row for row in rows if row.sha256 not in (seen or ())]
    if not rows:
        what = f"the champion, version {found.version}, has learned from every test image of today"
        return {**facts, "problem": what}
    choices = _choices(classifier, card, data_path, rows)
    why = f"how the new model compares with the champion, version {found.version}"
    who = found.tags.get(MODEL_TAG, f"version {found.version}")
    opened = open_labels(Path.cwd(), rows, why, who, chosen=False)
    return {**facts, "paired": _paired(opened, choices, manifest.classes, predicted)}


def _n_challengers(found: AliasedVersion, manifest: Manifest) -> int:
    """Return how many models but the champion the test images were asked about: each was a chance to look better."""
    looks = looks_at(Path.cwd(), manifest.of_split("test"))
    return len({look.model_sha256 for look in looks if look.chosen} - {found.tags.get(MODEL_TAG)})


def _choices(classifier: "Classifier", card: "ModelCard", data_path: str, rows: Sequence[Row]) -> list[str]:
    """Return the class that the champion answers with, of each row."""
    from tasks.examples import prepared
    from tasks.progress import progress
    from transfer.finetuning.measuring import predict_logits

    examples = prepared(data_path, rows, card.preprocess, "decoding test images")
    with progress("testing the champion", total=len(rows)) as bar:
        choices = predict_logits(classifier, examples.inputs, bar.advance).argmax(dim=1).tolist()
    return [card.classes[choice] for choice in choices]


def _paired(
    rows: Sequence[Row], choices: Sequence[str], classes: Sequence[str], predicted: Mapping[str, str]
) -> dict[str, int]:
    """Count the rows, which are open, that only one of the two got right."""
    pairs = [
        (predicted[row.path] == classes[row.label], choice == classes[row.label])
        for row, choice in zip(rows, choices, strict=True)
    ]
    return {
        "only_challenger": sum(one and not other for one, other in pairs),
        "only_champion": sum(other and not one for one, other in pairs),
        "n_rows": len(rows),
    }


def _predictions() -> dict[str, str]:
    """Return what the new model said of every test row: path -> class."""
    return {row["path"]: row["predicted"] for row in read_table(PREDICTIONS)}

"""Which weights a registered model may be made from: licence and origin are known, or are allowed not to be."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapters.json_files import read_plain_json, sha256_of
from adapters.model_files import CARD
from adapters.weights_cards import provenance_of, tags_of
from tasks.handoffs import MODEL, RANKING
from transfer.backbones.provenance import Provenance
from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError

WEIGHTS_TAGS = "weights_"  # what the names of tags about the weights begin with
UNKNOWN_TAG = f"{WEIGHTS_TAGS}unknown"
WEIGHTS_DIGEST = f"{WEIGHTS_TAGS}sha256"
RANDOM_WEIGHTS = "none"  # the value of WEIGHTS_DIGEST where they were drawn at random
_ALLOWED = "register.allow_unknown_licence"


def weights_tags(project: Path, *, allow_unknown: bool) -> dict[str, str]:
    """Return what a version says of the weights that the model was made from.

    Args:
        project: the project's folder.
        allow_unknown: whether their licence and origin may be unknown, which is then said too.

    Raises:
        UserError: they are unknown, and may not be.
    """
    reference = BackboneReference.parse(str(read_plain_json(project / MODEL / CARD)["reference"]))
    provenance = _provenance(reference, project)
    missing = " and ".join(provenance.missing())
    if missing and not allow_unknown:
        declare = "" if reference.weights_file is None else f"declare it with `{declaring(reference)}`, or "
        raise UserError(
            f"The {missing} of the weights of {reference} {_are(provenance)} unknown, so the model made from "
            f"them is not registered; {declare}allow it with {_ALLOWED}=true, and run the same command again, which "
            f"takes up what was done."
        )
    allowed = {UNKNOWN_TAG: f"{missing}, allowed by {_ALLOWED}"} if missing else {}
    return tags_of(provenance) | allowed | _digest(reference, project)


def objection(project: Path, reference: str) -> str:
    """Return why a model made from a backbone would not be registered, a phrase; "" where it would.

    Args:
        project: the project's folder.
        reference: of the backbone.
    """
    provenance = _provenance(BackboneReference.parse(reference), project)
    missing = " and ".join(provenance.missing())
    return f"the {missing} of its weights {_are(provenance)} unknown" if missing else ""


def _digest(reference: BackboneReference, project: Path) -> dict[str, str]:
    """Return the digest of the weights that the winner of the ranking was scored with."""
    if reference.is_random:
        return {WEIGHTS_DIGEST: RANDOM_WEIGHTS}
    if not (project / RANKING).is_file():
        return {}
    digest = read_plain_json(project / RANKING)["candidates"][0]["weights_sha256"]
    return {} if digest is None else {WEIGHTS_DIGEST: str(digest)}


def declaring(reference: BackboneReference) -> str:
    """Return the command that says what is known of a local weights file."""
    return f"rootstock backbones declare {shlex.quote(str(reference))} --licence NAME --origin ADDRESS"


def what_is_unknown(project: Path, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each local candidate that could win and then not be registered.

    Args:
        project: the project's folder.
        settings: dotted key -> value, of every parameter that counts.
    """
    if settings[_ALLOWED]:
        return
    for text in settings["select.candidates"]:
        reference = BackboneReference.parse(text)
        known = _provenance(reference, project) if reference.weights_file is not None else None
        if known is not None and known.missing():
            yield (
                f"Note: the {' and '.join(known.missing())} of {reference} {_are(known)} unknown: if it wins, the run "
                f"ends before the model is registered. `{declaring(reference)}` declares it, before the run or after."
            )


def _are(provenance: Provenance) -> str:
    return "is" if len(provenance.missing()) == 1 else "are"


def _provenance(reference: BackboneReference, project: Path) -> Provenance:
    path = None if reference.weights_file is None else project / Path(reference.weights_file).expanduser()
    digest = sha256_of(path) if path is not None and path.is_file() else None
    return provenance_of(reference, digest, project)

"""What `rootstock backbones` knows: lines of the catalogue, cards, and how weights get here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.project import find_project
from tasks.customs import Admitted, admit
from tasks.params import PARAMS_FILE, read_params
from transfer.errors import UserError

if TYPE_CHECKING:
    from transfer.backbones.backbone_card import BackboneCard
    from transfer.backbones.catalogue import Entry
    from transfer.backbones.known_answers import KnownAnswer
    from transfer.backbones.provenance import Provenance
    from transfer.backbones.reference import BackboneReference

_TIMM = "timm/"


@dataclass(frozen=True)
class Shown:
    """A card and what became of the weights.

    Args:
        card: of the backbone.
        admitted: what passed customs; None where the weights are random or not here.
        answer: what the weights give for the fixed input; None where they are random or not here.
        dropped: names of values in the file that the trunk has no place for: those of its head.
        others: lines of the architecture's other published weights.
    """

    card: "BackboneCard"
    admitted: Admitted | None
    answer: "KnownAnswer | None"
    dropped: tuple[str, ...]
    others: "tuple[Entry, ...]"


def listed(text: str = "") -> "list[tuple[Entry, bool]]":
    """Return the lines of the catalogue whose reference holds a text, and whether their weights are here.

    What comes first is at hand: shipped backbones, candidates of the project that are files, registered models.

    Args:
        text: in any case; timm's architectures are listed only where it begins with timm/.

    Raises:
        UserError: timm is asked for and not installed.
    """
    from adapters.published_weights import names_here
    from transfer.backbones.catalogue import published_entries, timm_entries, unfilled_entries

    wanted, here = text.lower(), names_here()
    published = timm_entries(wanted) if wanted.startswith(_TIMM) else published_entries()
    lines = [(entry, True) for entry in (*_at_hand(), *unfilled_entries())] + [
        (entry, _is_among(entry, here)) for entry in published
    ]
    return [(entry, is_here) for entry, is_here in lines if wanted in entry.reference.lower()]


def shown(text: str) -> Shown:
    """Return a card; weights that are here pass customs, nothing is downloaded.

    Args:
        text: a backbone reference; a relative path starts at the current directory.

    Raises:
        UserError: the reference, or weights that are here, are at fault.
    """
    from adapters.published_weights import needs_download
    from transfer.backbones.answers import answer_of
    from transfer.backbones.backbone_card import WeightsFile, card_of
    from transfer.backbones.build import bare_backbone, dropped_names
    from transfer.backbones.published import published_file
    from transfer.backbones.reference import BackboneReference

    reference = BackboneReference.parse(text)
    prefix = published_file(reference).hash_prefix if reference.is_published else None
    others = tuple(_other_lines(reference))
    if reference.is_random or needs_download(reference):
        file = WeightsFile(hash_prefix=prefix)
        card = card_of(bare_backbone(reference), _provenance(reference, None), file)
        return Shown(replace(card, reference=text), None, None, (), others)
    admitted = admit(reference)
    exact = BackboneReference.parse(admitted.backbone.reference)
    file = WeightsFile(str(admitted.path), admitted.sha256, prefix)
    card = card_of(admitted.backbone, _provenance(exact, admitted.sha256), file, admitted.known_answer)
    dropped = dropped_names(exact, admitted.names)
    return Shown(replace(card, reference=text), admitted, answer_of(admitted.backbone), dropped, others)


def fetch(texts: Sequence[str]) -> Iterator[tuple[str, Admitted]]:
    """Bring published weights here and let them pass customs, one after the other.

    Args:
        texts: backbone references; every one is checked before anything is downloaded.

    Yields:
        The reference, and what passed.

    Raises:
        UserError: a reference names nothing that can be fetched; weights are out of reach or do not pass.
    """
    from transfer.backbones.build import check_backbone
    from transfer.backbones.reference import BackboneReference

    references = [BackboneReference.parse(text) for text in texts]
    for reference in references:
        if not reference.is_published:
            raise UserError(
                f"{reference} has no weights to fetch: they are here already, or random; name published ones, for "
                f"example torchvision/resnet18@IMAGENET1K_V1."
            )
        check_backbone(reference, None)
    for reference in references:
        yield str(reference), admit(reference)


def declare(text: str, licence: str, origin: str, training_data: str | None) -> Path:
    """Write what is known of a local weights file beside it, once it has passed customs.

    Args:
        text: a backbone reference that names the file.
        licence: of the weights.
        origin: where they come from.
        training_data: what they were trained on.

    Returns:
        The file that was written.

    Raises:
        UserError: the reference names no file, a text is empty, or the weights do not pass.
    """
    from adapters.weights_cards import Declared
    from adapters.weights_cards import declare as write
    from transfer.backbones.answers import answer_of
    from transfer.backbones.provenance import Provenance
    from transfer.backbones.reference import BackboneReference

    reference = BackboneReference.parse(text)
    if reference.weights_file is None or not all(said.strip() for said in (licence, origin, training_data or "-")):
        raise UserError(
            f"{text} with the licence {licence!r} and the origin {origin!r} declares nothing; name a local file, "
            f"as in torchvision/mobilenet_v2@weights/mine.pth, and both texts."
        )
    path = Path(reference.weights_file).expanduser()
    admitted = admit(reference, asks=False)  # what was said before, the answer among it, is said anew
    said = Provenance(origin, licence, training_data)
    return write(path, Declared(said, admitted.sha256, answer_of(admitted.backbone)))


def _provenance(reference: "BackboneReference", sha256: str | None) -> "Provenance":
    from adapters.weights_cards import provenance_of

    project = find_project() if reference.registered_model is not None else None
    return provenance_of(reference, sha256, project)


def _at_hand() -> "Iterator[Entry]":
    """Yield lines of what needs no download; what is damaged has no line, `show` says what is wrong with it."""
    from adapters.registered_trunks import resolved
    from adapters.weights_cards import provenance_of
    from transfer.backbones.build import bare_backbone
    from transfer.backbones.catalogue import counted_entry, shipped_references

    project, references = _of_project()
    for reference in (*shipped_references(), *references):
        try:
            exact, _ = resolved(reference, project)
            known = provenance_of(exact, _digest(exact, project), project)
            yield counted_entry(str(reference), bare_backbone(exact), known)
        except UserError:
            continue


def _digest(reference: "BackboneReference", project: Path | None) -> str | None:
    from adapters.json_files import sha256_of

    if reference.weights_file is None or project is None:
        return None
    path = project / Path(reference.weights_file).expanduser()
    return sha256_of(path) if path.is_file() else None


def _of_project() -> "tuple[Path | None, list[BackboneReference]]":
    """Return the project around here, and the local files among its candidates and its registered models."""
    from adapters.mlflow_aliases import all_aliases
    from transfer.backbones.reference import BackboneReference

    try:
        project = find_project()
        candidates = map(BackboneReference.parse, read_params(project / PARAMS_FILE).select.candidates)
        files = [reference for reference in candidates if reference.weights_file is not None]
    except UserError:
        return None, []
    return project, [*files, *(BackboneReference("mlflow", name, (), alias) for name, alias in all_aliases(project))]


def _is_among(entry: "Entry", names: set[str]) -> bool:
    from transfer.backbones.published import published_file
    from transfer.backbones.reference import BackboneReference

    try:
        return published_file(BackboneReference.parse(entry.reference)).name in names
    except UserError:  # an architecture without published weights
        return False


def _other_lines(reference: "BackboneReference") -> "Iterator[Entry]":
    from transfer.backbones.catalogue import Entry, other_references, published_entry
    from transfer.backbones.timm_models import licence_of

    for other in other_references(reference):
        if other.source == "torchvision":
            yield published_entry(other)
        else:
            yield Entry(str(other), licence=licence_of(other.arch, other.weights))

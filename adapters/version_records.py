"""What the registry and the runs say of a version, whichever way they were asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a registered model.

    Args:
        name: of the model.
        number: of the version.
        created_ms: when it was registered, milliseconds since the epoch.
        location: folder or URI of its files.
        run_id: of the run that registered it; "" where there is none.
        aliases: that name it, sorted.
        tags: name -> text.
    """

    name: str
    number: str
    created_ms: int
    location: str
    run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]

    def __str__(self) -> str:
        """Return what a person calls it."""
        return f"{self.name} version {self.number}"


@dataclass(frozen=True, slots=True)
class Run:
    """A run.

    Args:
        run_id: its id.
        name: what MLflow's pages call it.
        stage: the word of its stage, or pipeline; "" where it is not one of ours.
        status: as MLflow has it.
        deleted: whether it was deleted.
        place: folder or URI of its files.
    """

    run_id: str
    name: str
    stage: str
    status: str
    deleted: bool
    place: str


def folder_at(place: str) -> Path | None:
    """Return the folder on this disk that a place names; None where it is on a server."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(place) if place and ":/" not in place else None


def near(project: Path, place: str | Path) -> str:
    """Return a place as the project sees it: relative where it lies inside."""
    inside = ":/" not in str(place) and Path(place).is_relative_to(project)
    return str(Path(place).relative_to(project) if inside else place)

"""Which bytes a local weights file had when it was chosen: recorded once, refused when they change unnoticed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.json_files import sha256_of
from tasks.typed_paths import weights_path
from transfer.errors import UserError


def current(
    project: Path,
    candidates: Sequence[str],
    recorded: Mapping[str, str],
    *,
    named: bool = False,
    pinned: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the records that the candidates call for; a file no longer named has none.

    Args:
        project: the project's root; relative weights paths start there.
        candidates: backbone references.
        recorded: path -> sha256, as params.yaml has it.
        named: the candidates were given now, so their files are taken as they are.
        pinned: path -> sha256 that the file must have, whoever names it.

    Raises:
        UserError: a weights file is missing, or is not the recorded one.
    """
    records: dict[str, str] = {}
    for candidate in candidates:
        path = weights_path(candidate)
        if path is None:
            continue
        digest = _digest(project, candidate, path)
        demanded = (pinned or {}).get(path) or (None if named else recorded.get(path))
        if demanded is not None and demanded != digest:
            raise UserError(
                f"{path} is not the weights file that was recorded (sha256 {demanded[:12]}..., now {digest[:12]}...); "
                f"restore the file, or accept the new one by naming it again: "
                f"rootstock run 'select.candidates={','.join(candidates)}'."
            )
        records[path] = digest
    return records


def _digest(project: Path, candidate: str, path: str) -> str:
    file = project / path
    if not file.is_file():
        raise UserError(
            f"The weights file {path} of the candidate {candidate} does not exist; name a file that does, "
            f"or write @none for random weights."
        )
    return sha256_of(file)

"""Which bytes local and registered weights had when they were chosen: recorded once, refused when they change."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.json_files import sha256_of
from tasks.typed_paths import record_key, weights_path
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
        recorded: path, or URI of a registered model -> sha256, as params.yaml has it.
        named: the candidates were given now, so their files are taken as they are.
        pinned: the same -> sha256 that the weights must have, whoever names them.

    Raises:
        UserError: a weights file or a registered model is missing, or is not the recorded one.
    """
    records: dict[str, str] = {}
    for candidate in candidates:
        key = record_key(candidate)
        if key is None:
            continue
        digest = _digest(project, candidate, key)
        demanded = (pinned or {}).get(key) or (None if named else recorded.get(key))
        if demanded is not None and demanded != digest:
            raise UserError(
                f"{key} is not the weights file that was recorded (sha256 {demanded[:12]}..., now {digest[:12]}...); "
                f"restore it, or accept the new one by naming it again: "
                f"rootstock run 'select.candidates={','.join(candidates)}'."
            )
        records[key] = digest
    return records


def _digest(project: Path, candidate: str, key: str) -> str:
    path = weights_path(candidate)
    if path is None:
        from adapters.registered_trunks import registered_trunk

        return registered_trunk(key, project).digest()
    file = project / path
    if not file.is_file():
        raise UserError(
            f"The weights file {path} of the candidate {candidate} does not exist; name a file that does, "
            f"or write @none for random weights."
        )
    return sha256_of(file)

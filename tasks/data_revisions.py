"""Which state of a data set a person names: a revision of git, the beginning of a digest, or the folder of now."""

import re
from dataclasses import dataclass
from pathlib import Path

from adapters import data_lists, data_records, git_copies, mlflow_lineage
from adapters.dvc_lock import LOCK, text_of
from transfer.errors import UserError

WORKSPACE = "workspace"
DIGEST = re.compile(r"[0-9a-f]{6,32}(?:\.dir)?")
_NAMED = re.compile(r"(?P<path>[^@]+)(?:@(?!\{)(?P<revision>.+))?")
_MOST_KNOWN = 10


@dataclass(frozen=True, slots=True)
class State:
    """A state of a data set.

    Args:
        path: of the data set, as DVC has it.
        digest: as DVC has it; None for the folder as it is now, whose digest nobody has asked for yet.
        source: where that was found, in words.
        lock: text of the dvc.lock that goes with it; None where there is none.
    """

    path: str
    digest: str | None
    source: str
    lock: str | None


def named(project: Path, typed_in: Path, text: str, default_path: str | None = None) -> State:
    """Return the state that a text names.

    Args:
        project: the project's folder.
        typed_in: the directory that the text was typed in.
        text: `workspace`, a revision of git, the beginning of a digest, PATH, or PATH@ one of these.
        default_path: of the data set where the text names none; None for data.path of params.yaml.

    Raises:
        UserError: there is no such revision, or nothing is recorded of the data set there.
        EnvironmentFault: the store cannot be read.
    """
    from tasks.params import read_params  # pydantic takes longer to import than `rootstock lineage` may take

    path, revision = _split(project, typed_in, text)
    if path is None:
        path = data_records.as_recorded(project, project, default_path or read_params().data.path)
    else:
        path = data_records.as_recorded(project, typed_in, path)
    if revision == WORKSPACE:
        return State(path, None, "as it is now", text_of(project / LOCK))
    digest, source, commit = at(project, path, revision)
    lock = text_of(project / LOCK) if commit is None else git_copies.text_at(project, commit, LOCK)
    return State(path, digest, source, lock)


def at(project: Path, path: str, revision: str) -> tuple[str, str, str | None]:
    """Return the digest that a data set had at a revision, where that was found, and the commit, where it was one.

    Args:
        project: the project's folder.
        path: of the data set, as DVC has it.
        revision: of git, or at least six digits of a digest.

    Raises:
        UserError: there is no such revision, or nothing is recorded of the data set there.
    """
    if DIGEST.fullmatch(revision):
        known = [one.digest for one in mlflow_lineage.known_data(project) if one.digest.startswith(revision)]
        if len(known) == 1:
            return known[0], "as it was named", None
        if known:
            raise unknown(project, path, f"{revision} begins {len(known)} digests")
    commit = git_copies.commit_of(project, revision)
    if commit is None:
        return _listed(project, path, revision), "as it was named", None
    digest = data_records.at_commit(project, path, commit)
    if digest is None:
        raise unknown(project, path, f"Commit {commit[:12]} says nothing of {path} in {path}.dvc or dvc.lock")
    return digest, f"at commit {commit[:12]}", commit


def unknown(project: Path, path: str, problem: str) -> UserError:
    """Return an error that says what is known of a data set in its place."""
    known = mlflow_lineage.known_data(project)
    own = [one for one in known if one.path in (path, Path(path).name)] or known
    listed = ", ".join(f"{one.path}@{one.digest[:12]} ({one.n_versions})" for one in own[:_MOST_KNOWN])
    more = f" and {len(own) - _MOST_KNOWN} more" if len(own) > _MOST_KNOWN else ""
    have = f"registered models were made from {listed}{more}" if own else "no registered model names its data"
    return UserError(f"{problem}; {have}.")


def _listed(project: Path, path: str, revision: str) -> str:
    """Return the digest that begins so, of those whose list of files the cache holds."""
    found = data_lists.digests_from(project, revision) if DIGEST.fullmatch(revision) else []
    if len(found) == 1:
        return found[0]
    if found:
        raise unknown(project, path, f"{revision} begins {len(found)} digests")
    raise unknown(project, path, f"{revision} is neither a revision of git here nor a digest of a registered model")


def _split(project: Path, typed_in: Path, text: str) -> tuple[str | None, str]:
    """Tell a data set from a revision: a text without `@` is a revision where git knows it, else a folder."""
    parts = _NAMED.fullmatch(text)
    if parts is None or text == WORKSPACE:
        return None, text or WORKSPACE
    path, revision = parts.group("path", "revision")
    if revision is not None:
        return path, revision
    is_folder = "/" in path and (data_records.present(project, path) is not None or (typed_in / path).is_dir())
    return (path, WORKSPACE) if is_folder and git_copies.commit_of(project, path) is None else (None, text)

"""Bring single objects from the project's DVC remote into its cache: a list of files, without the files."""

import tempfile
from pathlib import Path

from adapters import dvc_cache
from transfer.errors import EnvironmentFault, UserError


def fetch(project: Path, digest: str) -> bool:
    """Fetch one object into the cache; False where the remote has none of that digest.

    Of a folder that is its list of files alone: `dvc fetch` brings the files.

    Args:
        project: the project's folder.
        digest: of a folder (ending in .dir) or of a file.

    Raises:
        UserError: there is no default remote, or the package for its kind is missing.
        EnvironmentFault: the remote cannot be reached, or what it gave is damaged.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    place = dvc_cache.object_place(project, digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".rootstock-") as scratch:
        new = Path(scratch) / "object"
        try:
            with Repo(str(project)) as repo:
                store = repo.cloud.get_remote_odb(command="fetch")
                store.fs.get_file(store.oid_to_path(digest), str(new))
        except FileNotFoundError:
            return False
        except DvcException as error:
            raise UserError(f"The remote cannot be asked: {' '.join(str(error).split()).rstrip('.')}.") from error
        except Exception as error:  # what a remote raises is its package's own
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise EnvironmentFault(f"The remote cannot be read: {reason}; `dvc fetch -v` tells more.") from error
        if dvc_cache.digest_of_file(new) != digest.removesuffix(dvc_cache.DIRECTORY):
            raise EnvironmentFault(
                f"The remote gave another object for {digest}; push that state again with `dvc push`."
            )
        new.chmod(0o444)  # as DVC protects its cache
        new.replace(place)
    return True

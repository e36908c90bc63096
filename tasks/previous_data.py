"""Remember what the data were like before they changed: `validate` compares the new version with that."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from adapters import dvc_cache, dvc_lock
from adapters.manifest_file import MANIFEST
from tasks.params import PARAMS_FILE, read_params

if TYPE_CHECKING:
    import pandas as pd

_OF_THE_LOOK = ("highlight", "shadow", "sharpness", "brightness")  # that manifests of older code lack


def remember(project: Path, lock_before: str | None) -> bool:
    """Write what the version of the last run was like, where the data are others now; say whether it was written.

    It is written before `validate` runs, which depends on the file: so the same inputs give the same report, by
    `rootstock run`, by `dvc repro`, and in a copy of the project. Where the data lie elsewhere now they are another
    data set, not another version; where DVC's cache has lost the manifest of the last run, the file stays as it was.

    Args:
        project: the project's folder, in which the stage `manifest` has just run.
        lock_before: text of dvc.lock before it ran; None where nothing had run.
    """
    then, now = dvc_lock.stages(lock_before).get("manifest", {}), dvc_lock.recorded(project).get("manifest", {})
    (path, before), (path_now, digest_now) = dvc_lock.data_of(then), dvc_lock.data_of(now)
    if before is None or path != path_now or before == digest_now:
        return False
    md5 = dvc_lock.made(then, MANIFEST.as_posix())
    files = _table(dvc_cache.content(project, md5) if md5 else None)
    if files is None:
        return False
    from adapters.previous_data import described, write_previous
    from tasks.validate_tables import limits_of, readable_table

    limits = limits_of(read_params(project / PARAMS_FILE).validate)
    write_previous(project, described(readable_table(files, limits), str(path), before))
    return True


def _table(content: bytes | None) -> "pd.DataFrame | None":
    import pandas as pd
    from pyarrow import ArrowException

    if content is None:
        return None
    try:
        files = pd.read_parquet(io.BytesIO(content), engine="pyarrow")
    except (ArrowException, ValueError, OSError):
        return None
    return files.reindex(columns=[*files.columns, *(name for name in _OF_THE_LOOK if name not in files)])

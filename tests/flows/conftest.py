"""A project whose data is described, checked and ranked, with an MLflow database: what the later flows start from."""

from pathlib import Path

import numpy as np
import pytest

N_PER_CLASS = 15


@pytest.fixture
def ranked_project(mlflow_project: Path) -> Path:
    """Make a project with three classes of grey squares, a manifest, no quarantine and a ranking of one candidate."""
    from adapters.digits import write_class_folders
    from adapters.json_files import write_json
    from adapters.manifest_file import MANIFEST, QUARANTINE
    from tasks import manifest, select
    from transfer.data.encoding import grey_png

    names = [name for name in ("bright", "dark", "grey") for _ in range(N_PER_CLASS)]
    levels = [start + place for start in (200, 20, 110) for place in range(N_PER_CLASS)]
    contents = [grey_png(np.full((8, 8), level, dtype=np.uint8), 16) for level in levels]
    write_class_folders(Path("data/digits"), names, contents)
    params = mlflow_project / "params.yaml"
    text = params.read_text(encoding="utf-8").replace("    - rootstock/strokes@none\n", "")
    params.write_text(text.replace("max_images_seen: 1500", "max_images_seen: 30"), encoding="utf-8")
    manifest.describe()
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
    select.rank_candidates()
    return mlflow_project

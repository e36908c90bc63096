"""A project whose data is described, checked and ranked: what training and evaluation start from."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from adapters.json_files import write_json

if TYPE_CHECKING:
    from torch import Tensor

    from transfer.backbones.backbone import Backbone
    from transfer.data.examples import Target

CLASSES = ("bars", "dots", "rings")
N_PER_CLASS = 16


@pytest.fixture
def unmade_photos(project: Path) -> Path:
    """Name the project's data.path `photos` and return the folder, not made yet."""
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("path: data/digits", "path: photos"))
    return Path("photos")


@pytest.fixture
def photos(unmade_photos: Path) -> Path:
    """Make a project whose data set has two classes of 30 good images."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (unmade_photos / name).mkdir(parents=True)
        for index in range(30):
            pixels = draw.integers(0, 256, (10, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(unmade_photos / name / f"{index:02d}.png")
    return unmade_photos


@pytest.fixture(scope="session")
def ranked_once(lay_out: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with three small classes, a manifest and a ranking that a backbone with shipped weights won."""
    from adapters.digits import write_class_folders
    from adapters.manifest_file import MANIFEST, QUARANTINE
    from flows.select import rank_all
    from tasks import manifest
    from transfer.data.encoding import grey_png

    folder = tmp_path_factory.mktemp("ranked") / "project"
    lay_out(folder)
    with contextlib.chdir(folder):
        draw = np.random.default_rng(0)
        names = [name for name in CLASSES for _ in range(N_PER_CLASS)]
        write_class_folders(Path("data/digits"), names, [grey_png(_drawing(name, draw), 32) for name in names])
        params = Path("params.yaml")
        text = params.read_text(encoding="utf-8").replace("    - rootstock/strokes@none\n", "")
        params.write_text(text.replace("max_images_seen: 1500", "max_images_seen: 60"), encoding="utf-8")
        manifest.describe()
        write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
        rank_all()
    return folder


@pytest.fixture(scope="session")
def finetuned_once(ranked_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the ranked project with a fine-tuned model."""
    from tasks import finetune

    return _gone_on(ranked_once, tmp_path_factory, finetune.train)


@pytest.fixture(scope="session")
def trained_once(finetuned_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the fine-tuned project with its references."""
    from tasks import reference

    steps = (reference.train_from_scratch, reference.probe_random_features, reference.probe_pretrained_features)
    return _gone_on(finetuned_once, tmp_path_factory, *steps)


def _gone_on(before: Path, tmp_path_factory: pytest.TempPathFactory, *steps: Callable[[], None]) -> Path:
    """Return a copy of a project in which steps were run."""
    folder = tmp_path_factory.mktemp("gone-on") / "project"
    shutil.copytree(before, folder)
    with contextlib.chdir(folder):
        for step in steps:
            step()
    return folder


@pytest.fixture
def ranked(project: Path, ranked_once: Path) -> Path:
    """Make a project of its own, as `ranked_once` is."""
    return shutil.copytree(ranked_once, project, dirs_exist_ok=True)


@pytest.fixture
def finetuned(project: Path, finetuned_once: Path) -> Path:
    """Make a project of its own, as `finetuned_once` is."""
    return shutil.copytree(finetuned_once, project, dirs_exist_ok=True)


@pytest.fixture
def trained(project: Path, trained_once: Path) -> Path:
    """Make a project of its own, as `trained_once` is."""
    return shutil.copytree(trained_once, project, dirs_exist_ok=True)


@pytest.fixture
def set_params(project: Path) -> Callable[..., None]:
    """Return what changes values of the project's params.yaml, a keyword a block."""
    import yaml

    def change(**blocks: dict[str, Any]) -> None:
        params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
        for block, values in blocks.items():
            params[block] |= values
        (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")

    return change


@pytest.fixture
def weight_of_all_rows() -> "Callable[[Backbone, Target], Tensor]":
    """Return what fits a probe to training and validation rows together and gives its weight."""
    import torch

    from transfer.backbones.features import extract_features
    from transfer.heads.ridge import fit_probe

    def fitted(backbone: "Backbone", target: "Target") -> "Tensor":
        inputs = torch.cat((target.train.inputs, target.val.inputs))
        labels = torch.cat((target.train.labels, target.val.labels))
        return fit_probe(extract_features(backbone, inputs), labels, target.n_classes).weight

    return fitted


def _drawing(name: str, draw: np.random.Generator) -> np.ndarray:
    """Return a noisy 8 x 8 drawing of a class, in grey levels."""
    rows, columns = np.mgrid[0:8, 0:8]
    shapes = {
        "bars": (columns + draw.integers(0, 4)) % 4 < 2,
        "dots": (rows + columns + draw.integers(0, 2)) % 2 == 0,
        "rings": np.hypot(rows - 3.5, columns - 3.5) > draw.uniform(2, 3.5),
    }
    noisy = 170.0 * shapes[name] + draw.normal(40, 15, (8, 8))
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def published_once(
    tmp_path_factory: pytest.TempPathFactory, lay_out: Callable[[Path], None], migrated_database: Path
) -> Path:
    """Make a project with a commit for each state of its data: versions 1 and 2 are of the first, 3 of the second."""
    folder = tmp_path_factory.mktemp("published") / "project"
    lay_out(folder)
    (folder / "mlruns").mkdir()
    shutil.copyfile(migrated_database, folder / "mlruns" / "mlflow.db")
    (folder / ".gitignore").write_text("/artifacts/\n/mlruns/\n/.rootstock/\n", encoding="utf-8")
    from tests.tasks.left_versions import FIRST, SECOND, commit, publish_from

    with contextlib.chdir(folder):
        for seed, digest in enumerate((FIRST, FIRST, SECOND)):
            publish_from(digest, seed)
            if seed != 1:
                commit(folder, f"state {seed}")
    return folder


@pytest.fixture
def published(published_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project of its own, as `published_once` is."""
    folder = Path(shutil.copytree(published_once, tmp_path / "project"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def changed_once(lay_out: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a project whose data set was committed twice and has changed since, and with its remote."""
    from tests.tasks.changed_data import make

    folder = tmp_path_factory.mktemp("changed")
    make(folder, lay_out)
    return folder

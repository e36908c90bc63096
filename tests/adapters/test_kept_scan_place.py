"""Which kept scan belongs to a folder, a recipe and the code that describes; how many are kept."""

import importlib
import shutil
import time
from pathlib import Path

import pytest

from adapters import described_files, environment, kept_scan
from adapters.image_files import describe, list_images, scan_recipe
from adapters.kept_scan import open_scan
from transfer.data.facts import FACT_TYPES


@pytest.mark.usefixtures("settled")
def test_another_recipe_or_other_facts_share_nothing(project: Path, photos: Path, opened: list[str]) -> None:
    def scan(**recipe: str) -> None:
        kept = open_scan(project, photos, scan_recipe() | recipe, FACT_TYPES)
        describe(photos, list_images(photos).files, kept=kept)

    for recipe, n_opened in (({}, 13), ({}, 0), ({"pillow": "0"}, 13), ({}, 0)):
        opened.clear()
        scan(**recipe)
        assert len(opened) == n_opened


@pytest.mark.parametrize("module", ["transfer.data.faults", "adapters.described_files"])
def test_a_change_of_the_code_that_describes_is_another_recipe(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, path = scan_recipe(), Path(str(importlib.import_module(module).__file__))
    shutil.copytree(path.parent, tmp_path / "code", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "code" / path.name).write_text(path.read_text() + "# changed")
    folder = importlib.import_module("transfer.data.decoding") if "faults" in module else described_files
    monkeypatch.setattr(folder, "__file__", str(tmp_path / "code" / Path(str(folder.__file__)).name))
    after = scan_recipe()
    assert before["code"] != after["code"]
    assert before | {"code": ""} == after | {"code": ""}


@pytest.mark.parametrize("nothing", ["0", "0.00"])
def test_nothing_is_kept_where_the_user_wants_no_cache(
    project: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, nothing: str
) -> None:
    monkeypatch.setenv(environment.CACHE_GB, nothing)
    describe(photos, list_images(photos).files, kept=open_scan(project, photos, scan_recipe(), FACT_TYPES))
    assert not (project / ".rootstock" / kept_scan.FOLDER).exists()


@pytest.mark.usefixtures("settled")
def test_only_the_scans_of_the_last_folders_are_kept(project: Path, photos: Path) -> None:
    for number in range(12):
        kept = open_scan(project, photos, {"number": number}, FACT_TYPES)
        describe(photos, list_images(photos).files, kept=kept)
        time.sleep(0.002)
    assert len(list((project / ".rootstock" / kept_scan.FOLDER).iterdir())) == 8


@pytest.mark.usefixtures("settled")
def test_the_scan_of_a_folder_in_use_is_kept_though_it_does_not_change(
    project: Path, photos: Path, opened: list[str]
) -> None:
    for number in range(12):
        for recipe in ({"number": number}, {"in use": True}):
            describe(photos, list_images(photos).files, kept=open_scan(project, photos, recipe, FACT_TYPES))
            time.sleep(0.002)
    assert len(opened) == 13 * 13

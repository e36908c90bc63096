"""Sides of images that belong to a patient: kept when older images are gone, and when patients are named later."""

import hashlib
from pathlib import Path

import numpy as np

from adapters.class_folders import FoundFile
from adapters.described_files import Content, DescribedFile
from tasks.params_blocks import ManifestParams
from tasks.splitting import sides_of


def _described(seed: int, class_name: str, group: str) -> DescribedFile:
    digest = hashlib.sha256(f"{seed}".encode()).hexdigest()
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32), dtype=np.uint8)
    found = FoundFile(f"{class_name}/{seed}.png", class_name, "", group)
    return DescribedFile(found, Content(digest, 1, facts={"thumbnail": pixels.tobytes()}))


def test_a_patient_stays_on_one_side_even_after_the_older_images_are_gone(project: Path) -> None:
    def patients(visit: int) -> list[DescribedFile]:
        return [
            _described(1000 * visit + 10 * patient + number, "ab"[patient % 2], f"patient {patient}")
            for patient in range(20)
            for number in range(3)
        ]

    def by_patient(files: list[DescribedFile]) -> dict[str, set[str]]:
        sides = sides_of(Path("images"), files, (), ManifestParams())
        return {
            name: {sides[one.found.path].split for one in files if one.found.group == name}
            for name in {one.found.group for one in files}
        }

    first = by_patient(patients(0))
    assert all(len(splits) == 1 for splits in first.values())
    assert by_patient(patients(1)) == first
    assert by_patient([*patients(0), *patients(2)]) == first


def test_a_patient_who_is_named_later_stays_on_the_side_of_training(project: Path) -> None:
    def images(first: int, *, named: bool) -> list[DescribedFile]:
        return [_described(first + n, "ab"[n % 2], f"patient {n // 4}" if named else "") for n in range(40)]

    before = sides_of(Path("images"), images(0, named=False), (), ManifestParams())
    sides_of(Path("images"), images(0, named=True), (), ManifestParams())
    after = sides_of(Path("images"), images(1000, named=True), (), ManifestParams())
    for patient in range(10):
        places = range(4 * patient, 4 * patient + 4)
        known = {before[f"{'ab'[n % 2]}/{n}.png"].split for n in places}
        side = next(split for split in ("train", "val", "test") if split in known)
        assert {after[f"{'ab'[n % 2]}/{1000 + n}.png"].split for n in places} == {side}

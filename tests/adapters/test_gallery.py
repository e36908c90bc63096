"""A folder of planted faults: each is named with its word, none ends the scan, none takes much memory."""

import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters import described_files
from adapters.class_folders import FoundFile
from adapters.described_files import DescribedFile
from adapters.image_files import describe, list_images
from adapters.kept_scan import KeptScan
from tests.adapters.gallery import GALLERY, Planted
from tests.adapters.gallery_files import encoded, picture, png_bomb
from transfer.data.decoding import decode
from transfer.data.facts import FACT_TYPES
from transfer.data.faults import FAULTS


@pytest.fixture(scope="module")
def gallery() -> Iterator[Path]:
    """Plant every fault into class `a`; class `b` is sound. The path is short: a socket's may have 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="gallery-") as folder:
        photos = Path(folder) / "photos"
        for name in ("a", "b"):
            (photos / name).mkdir(parents=True)
        (photos / "b" / "sound.jpg").write_bytes(encoded(picture(seed=3)))
        for planted in GALLERY:
            planted.make(photos / "a" / planted.name)
        yield photos


@pytest.fixture(scope="module")
def scanned(gallery: Path) -> dict[str, DescribedFile]:
    return {entry.found.path: entry for entry in describe(gallery, list_images(gallery).files)}


def test_the_gallery_has_forty_kinds_and_more() -> None:
    faults = [planted for planted in GALLERY if planted.kind or planted.remarks]
    assert len(faults) >= 75
    assert len({planted.name for planted in GALLERY}) == len(GALLERY)


@pytest.mark.parametrize("planted", GALLERY, ids=lambda planted: ascii(planted.name)[:30])
def test_each_planted_fault_is_named(planted: Planted, scanned: dict[str, DescribedFile]) -> None:
    entry = scanned[f"a/{planted.name}"]
    assert (entry.content.kind, entry.content.remarks) == (planted.kind, planted.remarks), entry.content.problem
    assert bool(entry.content.problem) == bool(entry.content.kind)
    assert bool(entry.content.facts) == (not entry.content.kind)
    if entry.content.kind:
        assert FAULTS[entry.content.kind].severity == "error"
        assert re.fullmatch(r"[A-Z][^\n]*[;.][^\n]*\.", entry.content.problem), "a sentence that says what to do"
    assert all(FAULTS[word].severity == "warning" for word in entry.content.remarks)


def test_every_word_is_planted_or_tested_below() -> None:
    below = {"path_out", "unreadable", "gone", "out_of_memory"}
    planted = {word for one in GALLERY for word in (one.kind, *one.remarks) if word}
    assert planted | below == set(FAULTS)
    assert not planted & below


def test_what_is_kept_names_the_same_faults(gallery: Path, tmp_path: Path, scanned: dict[str, DescribedFile]) -> None:
    files = list_images(gallery).files
    for _ in range(2):
        kept = KeptScan(tmp_path / "kept", FACT_TYPES)
        assert {entry.found.path: entry for entry in describe(gallery, files, kept=kept)} == scanned


@pytest.mark.parametrize("path", ["../elsewhere.jpg", "a/../../elsewhere.jpg", "/etc/passwd", "a/\0.jpg"])
def test_a_listed_path_that_leads_out_is_not_opened(gallery: Path, path: str) -> None:
    (entry,) = describe(gallery, [FoundFile(path, "a", "")])
    assert (entry.content.kind, entry.content.sha256, entry.content.n_bytes) == ("path_out", "", 0)


def test_a_path_through_a_folder_that_is_a_link_out_is_not_opened(tmp_path: Path) -> None:
    for name in ("photos/a", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "elsewhere" / "1.jpg").write_bytes(encoded(picture()))
    (tmp_path / "photos" / "a" / "far").symlink_to(tmp_path / "elsewhere")
    (entry,) = describe(tmp_path / "photos", [FoundFile("a/far/1.jpg", "a", "")])
    assert entry.content.kind == "link_out"


def test_links_into_a_store_and_a_folder_that_is_itself_a_link_are_followed(tmp_path: Path) -> None:
    store, photos = tmp_path / "store", tmp_path / "photos"
    for folder in (store, photos / "a"):
        folder.mkdir(parents=True)
    (store / "0123").write_bytes(encoded(picture()))
    (photos / "a" / "1.jpg").symlink_to(store / "0123")
    (tmp_path / "other name").symlink_to(photos)
    (entry,) = describe(tmp_path / "other name", [FoundFile("a/1.jpg", "a", "")], stores=[store])
    assert (entry.content.kind, entry.content.remarks) == ("", ("link",))


def test_a_file_that_went_away_is_told(gallery: Path) -> None:
    (entry,) = describe(gallery, [FoundFile("a/never there.jpg", "a", "")])
    assert entry.content.kind == "gone"


def test_a_file_without_permission_is_told() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        secret = Path(folder) / "1.jpg"
        secret.write_bytes(encoded(picture()))
        secret.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65_534)  # root may read everything
        try:
            (entry,) = describe(Path(folder), [FoundFile("1.jpg", "a", "")])
        finally:
            os.seteuid(user)
    assert (entry.content.kind, "Permission denied" in entry.content.problem) == ("unreadable", True)


_READ_IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from adapters.class_folders import FoundFile
from adapters.image_files import describe
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
files = [FoundFile(name, "a", "") for name in sys.argv[2:]]
describe(Path(sys.argv[1]), files[:1])
before = peak()
found = describe(Path(sys.argv[1]), files)
print(before, peak(), *(entry.content.kind or "decoded" for entry in found))
"""


def _read_apart(folder: Path, names: list[str], limit_bytes: int | None = None) -> tuple[int, list[str]]:
    """Read files in a process of their own; return the MiB that it took beyond what one small image takes."""

    def limited() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))

    command = (sys.executable, "-c", _READ_IN_LITTLE_MEMORY, str(folder), *names)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, preexec_fn=limited)
    before, after, *kinds = done.stdout.split()
    return int(after) - int(before), kinds


def test_bombs_are_met_in_little_memory(gallery: Path) -> None:
    names = [f"a/{planted.name}" for planted in GALLERY if "bomb" in planted.kind and "passes" not in planted.name]
    taken_mib, kinds = _read_apart(gallery, ["b/sound.jpg", *names])
    assert (kinds[0], {*kinds[1:]}, len(names) >= 9) == ("decoded", {"bomb", "metadata_bomb"}, True)
    assert taken_mib < 100  # decoded, the largest would take 10 GiB


@pytest.mark.slow
def test_the_whole_gallery_is_read_in_little_memory(gallery: Path) -> None:
    names = [entry.path for entry in list_images(gallery).files]
    taken_mib, _ = _read_apart(gallery, ["b/sound.jpg", *names])
    assert taken_mib < 200


@pytest.mark.slow
def test_images_as_large_as_allowed_are_decoded_one_after_the_other(tmp_path: Path) -> None:
    """89 million pixels with transparency: 340 MiB as stored, 256 MiB as RGB; four at once would take 2.4 GiB."""
    for number in range(4):
        image = Image.new("RGBA", (9_400, 9_400), (number, 90, 90, 128))
        image.save(tmp_path / f"{number}.png", compress_level=1)
    (tmp_path / "small.jpg").write_bytes(encoded(picture()))
    taken_mib, kinds = _read_apart(tmp_path, ["small.jpg", *(f"{number}.png" for number in range(4))])
    assert set(kinds) == {"decoded"}
    assert taken_mib < 1100


@pytest.mark.slow
def test_too_little_memory_is_told_and_not_kept(tmp_path: Path) -> None:
    Image.new("RGB", (9_400, 9_400)).save(tmp_path / "large.png")
    (tmp_path / "small.jpg").write_bytes(encoded(picture()))
    _, kinds = _read_apart(tmp_path, ["small.jpg", "large.png"], limit_bytes=600 << 20)
    assert kinds == ["decoded", "out_of_memory"]
    kept = KeptScan(tmp_path / "kept", FACT_TYPES)
    (entry,) = describe(tmp_path, [FoundFile("large.png", "a", "")], kept=kept)
    assert entry.content.kind == ""


def test_threads_never_decode_more_pixels_together_than_are_allowed() -> None:
    allowed, in_work, most, counted = 90_000_000, [0], [0], threading.Lock()

    def decode_one(n_pixels: int) -> None:
        with described_files.admitted(n_pixels):
            with counted:
                in_work[0] += n_pixels
                most[0] = max(most[0], in_work[0])
            time.sleep(0.002)
            with counted:
                in_work[0] -= n_pixels

    sizes = [1 << 21, 24_000_000, 89_000_000, 50_000_000, 24_000_000, 40_000_000, 24_000_000] * 5
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode_one, sizes))
    assert 72_000_000 <= most[0] <= allowed
    with (
        pytest.raises(KeyError),
        described_files.admitted(allowed + 1),
    ):  # one alone is let through, and forgotten after
        raise KeyError
    assert described_files._in_work == []


def test_a_hundred_million_pixels_are_a_bomb_of_a_few_kilobytes() -> None:
    content = png_bomb()
    assert len(content) * 900 < 10_000 * 10_000 * 3
    with pytest.raises(Exception, match="more than 89478485 pixels"):
        decode(content)


def test_what_is_used_of_odd_images_is_what_references_give(gallery: Path) -> None:
    """Pillow's own conversions, NumPy for 16 bits, whatever the scan remarks."""
    folder = gallery / "a"

    def pixels(name: str) -> np.ndarray:
        return np.asarray(decode((folder / name).read_bytes())).astype(int)

    grey = np.arange(0, 65_536, 64).reshape(32, 32) >> 8
    assert np.array_equal(pixels("16 bit.png"), np.repeat(grey[..., None], 3, axis=2))
    assert np.array_equal(pixels("16 bit inverted.tiff"), 255 - pixels("16 bit.png"))
    for name in ("moves.gif", "moves.png", "pages.tiff", "moves.webp", "1 bit.png", "palette.png"):
        with Image.open(folder / name) as image:
            assert np.array_equal(pixels(name), np.asarray(image.convert("RGB"))), name


def test_colours_of_print_are_no_negative(gallery: Path) -> None:
    """Adobe stores CMYK inverted, as Pillow does when it writes a JPEG."""
    ours = np.asarray(decode((gallery / "a" / "cmyk.jpg").read_bytes())).astype(int)
    assert np.abs(ours - np.asarray(picture())).mean() < 6
    assert np.abs(255 - ours - np.asarray(picture())).mean() > 30

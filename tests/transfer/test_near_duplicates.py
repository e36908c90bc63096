"""Near-duplicates: planted copies are found, in all eight turns; what only looks alike is left apart."""

import io
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from scipy.fft import dctn
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits

from transfer.data.alignment import distances, halved, smoothed
from transfer.data.facts import reduced
from transfer.data.lookalikes import frequencies
from transfer.data.near_duplicates import MOST_APART, near_duplicates
from transfer.data.turns import TURNS

Change = Callable[[Image.Image], Image.Image]
SIDE = 160


@cache
def _scene(seed: int) -> Image.Image:
    """Paint what photographs have: the larger, the stronger (a spectrum that falls with frequency)."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    spectrum = np.fft.fft2(rng.normal(size=(SIDE, SIDE))) / np.maximum(frequency, 1 / SIDE) ** 1.5
    field = np.real(np.fft.ifft2(spectrum))
    return Image.fromarray(np.uint8(np.clip(128 + 50 * (field - field.mean()) / field.std(), 0, 255)))


def _encoded(image: Image.Image, quality: int = 40) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=quality)
    return Image.open(stream)


CHANGES: dict[str, Change] = {
    "encoded anew": _encoded,
    "half the size": lambda image: image.resize((SIDE // 2, SIDE // 2)),
    "of another shape": lambda image: image.resize((SIDE * 2, SIDE)),
    "cropped to nine tenths": lambda image: image.crop((0, SIDE // 20, SIDE * 9 // 10, SIDE * 19 // 20)),
    "mirrored": ImageOps.mirror,
    "upended": ImageOps.flip,
    "turned left": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned right": lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "lighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "all together": lambda image: _encoded(
        ImageEnhance.Brightness(ImageOps.mirror(image.crop((8, 0, SIDE, SIDE - 8)))).enhance(0.85)
    ),
}


def _thumbnails(images: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(reduced(image.convert("L"))) for image in images])


@cache
def _scenes() -> np.ndarray:
    return _thumbnails([_scene(seed) for seed in range(60)])


@pytest.mark.parametrize("change", CHANGES)
def test_planted_copies_are_found_and_nothing_else(change: str) -> None:
    copies = _thumbnails([CHANGES[change](_scene(seed)) for seed in range(10)])
    found = near_duplicates(np.concatenate([_scenes(), copies])).pairs
    assert {(pair.first, pair.second) for pair in found} == {(seed, 60 + seed) for seed in range(10)}
    assert all(0 <= pair.apart <= MOST_APART for pair in found)
    assert [pair.apart for pair in found] == sorted(pair.apart for pair in found)


def test_the_order_of_the_images_is_of_no_account() -> None:
    images = np.concatenate([_scenes(), _thumbnails([CHANGES["all together"](_scene(seed)) for seed in range(10)])])
    order = np.random.default_rng(0).permutation(len(images))
    straight = {(frozenset((pair.first, pair.second)), pair.apart) for pair in near_duplicates(images).pairs}
    mixed = near_duplicates(images[order]).pairs
    assert {(frozenset((int(order[one.first]), int(order[one.second]))), one.apart) for one in mixed} == straight
    assert len(straight) == 10


def test_equal_images_make_pairs_with_the_first_and_hide_no_other_copy() -> None:
    """However many they are: a crop is found among forty of them, too."""
    images = np.concatenate([_scenes(), _thumbnails([_scene(7)] * 40 + [CHANGES["cropped to nine tenths"](_scene(7))])])
    found = near_duplicates(images).pairs
    assert [(one.first, one.second) for one in found] == [*((7, place) for place in range(60, 100)), (7, 100)]
    assert {one.apart for one in found[:-1]} == {0.0}


def test_no_scanned_digit_is_the_copy_of_another() -> None:
    """They are 8 pixels wide and many are all but equal: what a threshold alone would glue together by hundreds."""
    scans = load_digits().images[:300]
    images = [Image.fromarray(np.uint8(scan * 255 / 16)).resize((32, 32), Image.Resampling.BICUBIC) for scan in scans]
    thumbnails = _thumbnails(images)
    found = near_duplicates(thumbnails)
    assert found.pairs == ()
    images, known = smoothed(np.unique(thumbnails, axis=0)), found.known
    assert len(images) == len(known.neighbours.digests)
    apart = known.coarse
    assert (apart <= MOST_APART).sum() >= 3


def test_plain_images_are_copies_of_nothing() -> None:
    plain = np.stack([np.full((32, 32), level, dtype=np.uint8) for level in range(0, 250, 10)])
    plain = np.concatenate([plain, plain[:3]])
    assert near_duplicates(plain).pairs == ()
    assert near_duplicates(plain[:0]).pairs == near_duplicates(plain[:1]).pairs == ()


def test_frequencies_are_those_of_scipy() -> None:
    images = np.random.default_rng(0).normal(size=(4, 32, 32)).astype(np.float32)
    expected = dctn(images, type=2, norm="ortho", axes=(1, 2))[:, :8, :8]
    expected[:, 0, 0] = 0
    assert np.allclose(frequencies(images, 8), expected, atol=1e-4)


@pytest.mark.parametrize("place", range(len(TURNS)))
def test_a_turn_of_frequencies_is_the_turn_of_pixels(place: int) -> None:
    images = np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32)
    turned = TURNS[place].of_frequencies(frequencies(images, 8))
    assert np.allclose(turned, frequencies(TURNS[place].of_pixels(images), 8), atol=1e-4)


def test_turns_are_the_eight_symmetries_of_a_square() -> None:
    square = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    expected = {np.rot90(one, k).tobytes() for one in (square[0], square[0].T) for k in range(4)}
    assert {np.ascontiguousarray(turn.of_pixels(square)[0]).tobytes() for turn in TURNS} == expected


@settings(max_examples=20)
@given(
    seed=st.integers(0, 59),
    scale=st.tuples(st.floats(0.92, 1.08), st.floats(0.92, 1.08)),
    shift=st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5)),
    gain=st.floats(0.5, 1.5),
    offset=st.floats(-40, 40),
)
def test_what_scipy_shifts_and_scales_is_laid_over_again(
    seed: int, scale: tuple[float, float], shift: tuple[float, float], gain: float, offset: float
) -> None:
    image = smoothed(_scenes()[seed : seed + 1])
    centre = 15.5 * (1 - np.array(scale)) + np.array(shift)
    moved = gain * affine_transform(image[0].astype(float), np.array(scale), centre, order=1, mode="nearest") + offset
    before = 1 - np.corrcoef(image[0][4:-4, 4:-4].ravel(), moved[4:-4, 4:-4].ravel())[0, 1]
    (after,) = distances(moved[None].astype(np.float32), image, 6)
    assert after <= 0.01
    assert after <= before + 0.01


def test_without_a_step_the_distance_is_one_minus_the_correlation() -> None:
    images = smoothed(_scenes()[:20])
    found = distances(images[:10], images[10:], 0)
    expected = [
        min(1, 1 - np.corrcoef(one.ravel(), two.ravel())[0, 1])
        for one, two in zip(images[:10], images[10:], strict=True)
    ]
    assert np.allclose(found, expected, atol=1e-3)


def test_halving_means_four_pixels() -> None:
    images = np.random.default_rng(0).normal(size=(2, 8, 8)).astype(np.float32)
    assert halved(images)[1, 2, 3] == pytest.approx(images[1, 4:6, 6:8].mean(), abs=1e-6)

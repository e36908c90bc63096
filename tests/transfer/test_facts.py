"""Facts of images against formulas computed another way."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageFilter
from scipy.fft import dctn

from transfer.data.decoding import decode_described
from transfer.data.detail import laplacian_variance
from transfer.data.facts import FACT_TYPES, describe_image, perceptual_hash, sharpness


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def _noise(seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize("seed", range(5))
def test_the_perceptual_hash_is_the_sign_of_low_frequencies(seed: int) -> None:
    grey = Image.fromarray(_noise(seed)).convert("L")
    spectrum = dctn(np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS), dtype=float), type=2)[:8, :8]
    bits = "".join("1" if value > np.median(spectrum) else "0" for value in spectrum.ravel())
    assert perceptual_hash(grey) == f"{int(bits, 2):016x}"


def test_similar_images_have_similar_hashes_and_others_do_not() -> None:
    image = Image.fromarray(_noise(0)).convert("L")
    smaller, brighter = image.resize((30, 20)), image.point(lambda value: min(255, value + 12))
    hashed = perceptual_hash(image)
    assert _distance(hashed, perceptual_hash(smaller)) <= 6
    assert _distance(hashed, perceptual_hash(brighter)) <= 6
    assert _distance(hashed, perceptual_hash(Image.fromarray(_noise(1)).convert("L"))) >= 16


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_brightness_is_the_mean_luma(pixels: np.ndarray) -> None:
    facts = describe_image(decode_described(_png(pixels)))
    assert facts.brightness == pytest.approx(pixels.mean() / 255, abs=5e-5)


@given(arrays(np.uint8, st.tuples(st.integers(1, 15), st.integers(1, 15))))
def test_shadow_and_highlight_are_quantiles_of_the_luma(pixels: np.ndarray) -> None:
    facts = describe_image(decode_described(_png(pixels)))
    low, high = np.quantile(pixels, [0.01, 0.99], method="inverted_cdf") / 255
    assert (facts.shadow, facts.highlight) == (round(float(low), 4), round(float(high), 4))


@given(arrays(np.uint8, st.tuples(st.integers(3, 12), st.integers(3, 12))))
def test_sharpness_is_the_root_of_the_variance_that_slices_use(pixels: np.ndarray) -> None:
    grey = np.repeat(pixels[None, None], 3, axis=1)
    theirs = laplacian_variance(torch.from_numpy(grey)).sqrt().item()
    assert sharpness(Image.fromarray(pixels)) == pytest.approx(theirs, abs=1e-6)


def test_sharpness_falls_with_blur_and_hardly_depends_on_the_resolution() -> None:
    image = Image.fromarray(_noise(2, 512, 512)).convert("L")
    edges = image.point(lambda value: 255 * (value > 128))
    blurred = [sharpness(edges.filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 4, 8, 16)]
    assert blurred == sorted(blurred, reverse=True)
    assert blurred[0] > 5 * blurred[2]
    larger = edges.resize((1536, 1536), Image.Resampling.NEAREST)
    assert sharpness(larger) == pytest.approx(sharpness(edges), rel=0.05)


@pytest.mark.parametrize("size", [(1, 1), (2, 50), (5000, 1), (3000, 2)])
def test_an_image_of_two_lines_has_no_sharpness(size: tuple[int, int]) -> None:
    assert sharpness(Image.new("L", size, 9)) == 0.0


def test_facts_name_size_mode_and_format() -> None:
    facts = describe_image(decode_described(_png(_noise(0))))
    assert (facts.width_px, facts.height_px, facts.mode, facts.format, facts.exif_orientation) == (
        60,
        40,
        "RGB",
        "PNG",
        1,
    )


def test_size_is_that_of_the_upright_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(_noise(0)).save(stream, format="JPEG", exif=exif)
    facts = describe_image(decode_described(stream.getvalue()))
    assert (facts.width_px, facts.height_px, facts.exif_orientation) == (40, 60, 6)


def test_every_fact_has_a_column_type() -> None:
    facts = describe_image(decode_described(_png(_noise(0))))
    assert [*FACT_TYPES] == [*facts.__slots__]

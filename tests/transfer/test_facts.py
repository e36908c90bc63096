"""Facts of images against formulas computed another way."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.fft import dctn

from transfer.data.decoding import decode_described
from transfer.data.facts import FACT_TYPES, describe_image, perceptual_hash


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

"""Decoding against Pillow's and torchvision's own, and that damaged bytes give a sentence and nothing else."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import PIL
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from transfer.backbones.build import preprocess_of
from transfer.backbones.reference import BackboneReference
from transfer.data import decoding
from transfer.data.batches import normalise
from transfer.data.decoding import decode, decode_described, to_example, to_pixels
from transfer.data.encoding import grey_png
from transfer.data.undecodable import UndecodableError
from transfer.errors import UserError
from transfer.records import INTERPOLATIONS, Preprocess


def _pixels(height: int = 30, width: int = 50, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def _with_orientation(orientation: int, kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _encoded(Image.fromarray(_pixels()), kind, exif=exif)


JPEG = _encoded(Image.fromarray(_pixels()), "JPEG")
PNG = _encoded(Image.fromarray(_pixels()))
PREPROCESS = Preprocess(resize_px=40, crop_px=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def transforms() -> Any:
    from torchvision.transforms import v2

    return v2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_pillow(orientation: int, kind: str) -> None:
    content = _with_orientation(orientation, kind)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    decoded = decode_described(content)
    assert np.array_equal(decoded.image, expected)
    assert (decoded.exif_orientation, decoded.format) == (orientation, kind)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_does_not_exist_means_upright(orientation: int) -> None:
    assert np.array_equal(decode(_with_orientation(orientation, "PNG")), _pixels())


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_opaque_modes_become_rgb_as_pillow_does_it(mode: str) -> None:
    image = Image.fromarray(_pixels()).convert(mode)
    decoded = decode_described(_encoded(image, "TIFF"))
    assert decoded.mode == mode
    assert np.array_equal(decoded.image, image.convert("RGB"))


def test_transparency_is_laid_over_white() -> None:
    image = Image.fromarray(_pixels()).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    alpha = np.asarray(image)[..., 3:].astype(float) / 255
    expected = _pixels() * alpha + 255 * (1 - alpha)
    assert np.abs(np.asarray(decode(_encoded(image))).astype(float) - expected).max() <= 1


def test_a_transparent_palette_colour_is_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((0, 0), 0)
    decoded = decode(_encoded(image, transparency=0))
    assert decoded.getpixel((0, 0)) == (255, 255, 255)
    assert decoded.getpixel((1, 1)) == (40, 50, 60)


def test_16_bit_grey_keeps_its_upper_bits() -> None:
    values = np.arange(0, 65_536, 64, dtype=np.uint16).reshape(32, 32)
    decoded = np.asarray(decode(_encoded(Image.fromarray(values))))
    assert np.array_equal(decoded, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2))


@pytest.mark.parametrize(("dtype", "word"), [(np.float32, "floating-point"), (np.int32, "32-bit")])
def test_pixels_of_unknown_range_are_refused(dtype: Any, word: str) -> None:
    values = np.full((4, 4), 1e6).astype(dtype)
    with pytest.raises(UndecodableError, match=word):
        decode(_encoded(Image.fromarray(values), "TIFF"))


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("L", (6, 6), grey) for grey in (10, 200)]
    content = _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(content).getpixel((3, 3)) == (10, 10, 10)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"hello, I am a text", "not a JPEG, PNG, BMP, WEBP, TIFF, GIF or PPM image"),
        (JPEG[: len(JPEG) * 9 // 10], "damaged .*truncated"),
        (PNG[: len(PNG) // 2], "damaged"),
        (PNG[:60] + bytes(40) + PNG[100:], "damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", "not a JPEG"),
    ],
)
def test_bytes_that_are_no_image_give_a_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(UndecodableError, match=sentence) as caught:
        decode(content)
    assert isinstance(caught.value, UserError)
    assert " at 0x" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", [10_000, 40_000])
def test_a_decompression_bomb_is_refused_before_it_unfolds(side: int) -> None:
    header = _encoded(Image.new("1", (1, 1)), "PPM")
    assert header.startswith(b"P4\n1 1\n")
    with pytest.raises(UndecodableError, match="pixels"):
        decode(f"P4\n{side} {side}\n".encode() + bytes(100))


def test_more_bytes_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_BYTES", 10)
    with pytest.raises(UndecodableError, match="bytes"):
        decode(PNG)


@given(content=st.sampled_from([JPEG, PNG]), place=st.floats(0, 1), noise=st.binary(min_size=1, max_size=30))
def test_damage_never_ends_in_anything_but_an_image_or_a_sentence(content: bytes, place: float, noise: bytes) -> None:
    start = int(place * len(content))
    try:
        image = decode(content[:start] + noise + content[start + len(noise) :])
    except UndecodableError:
        return
    assert image.mode == "RGB"


@given(place=st.integers(45, len(PNG) - 20), change=st.integers(1, 255))
def test_a_changed_byte_in_the_pixels_of_a_png_is_noticed(place: int, change: int) -> None:
    with pytest.raises(UndecodableError, match="damaged"):
        decode(PNG[:place] + bytes([PNG[place] ^ change]) + PNG[place + 1 :])


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("size", [(50, 30), (30, 50), (41, 40), (33, 257), (7, 9), (40, 40)])
def test_an_example_is_torchvisions_resize_and_centre_crop(
    size: tuple[int, int], interpolation: str, transforms: Any
) -> None:
    image = Image.fromarray(_pixels(size[1], size[0]))
    steps = [
        transforms.Resize(PREPROCESS.resize_px, interpolation=transforms.InterpolationMode(interpolation)),
        transforms.CenterCrop(PREPROCESS.crop_px),
        transforms.PILToTensor(),
    ]
    expected = transforms.Compose(steps)(image)
    example = to_example(_encoded(image), replace(PREPROCESS, interpolation=interpolation))
    assert (example.dtype, tuple(example.shape)) == (torch.uint8, (3, 32, 32))
    rounding = 2 if interpolation == "lanczos" else 1  # torchvision crops after it has rounded, we before
    assert (example.int() - expected.int()).abs().max() <= rounding


@pytest.mark.parametrize("name", ["efficientnet_b0@IMAGENET1K_V1", "vit_b_16@IMAGENET1K_SWAG_LINEAR_V1"])
def test_an_example_is_what_torchvision_documents_for_published_weights(name: str) -> None:
    from torchvision import models

    arch, _, weights = name.partition("@")
    preset = models.get_model_weights(arch)[weights].transforms()
    preprocess = preprocess_of(BackboneReference.parse(f"torchvision/{name}"))
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 410, 3), dtype=np.uint8))
    ours, plain = (
        normalise(to_example(_encoded(photo), each)[None], preprocess)[0]
        for each in (preprocess, replace(preprocess, interpolation="bilinear"))
    )
    one_grey_level = 1 / 255 / min(preprocess.std)
    assert (ours - preset(photo)).abs().max() <= 1.01 * one_grey_level
    assert (plain - preset(photo)).abs().max() > 5 * one_grey_level


@pytest.mark.parametrize("kind", [b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"])
def test_every_kind_of_netpbm_is_decoded(kind: bytes) -> None:
    largest = b"" if kind in (b"P1", b"P4") else b" 255"
    pixels = b"0 " * 12 if kind in (b"P1", b"P2", b"P3") else bytes(12)
    assert decode(kind + b" 2 2" + largest + b"\n" + pixels).size == (2, 2)


def test_a_sliver_does_not_unfold_into_a_giant() -> None:
    sliver = Image.fromarray(_pixels(2, 20_000))
    assert tuple(to_example(_encoded(sliver), PREPROCESS).shape) == (3, 32, 32)


def test_grey_png_enlarges_and_repeats_itself() -> None:
    scan = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    content = grey_png(scan, 32)
    assert content == grey_png(scan, 32)
    expected = Image.fromarray(scan).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.array_equal(Image.open(io.BytesIO(content)), expected)


def _photo(width: int, height: int, kind: str = "JPEG", orientation: int = 1, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _encoded(Image.fromarray(_pixels(height, width)), kind, exif=exif, quality=95, **options)


def _in_full(content: bytes, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    with monkeypatch.context() as patched:
        patched.setattr(decoding, "_REDUCTIONS", ())
        return to_pixels(content, PREPROCESS).astype(int)


@pytest.mark.parametrize(
    ("size", "reduction"),
    [((159, 400), 1), ((160, 400), 2), ((400, 319), 2), ((333, 487), 4), ((641, 1283), 8), ((2001, 1999), 8)],
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_is_reduced_while_decoding_and_shows_the_same(
    size: tuple[int, int], reduction: int, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = _photo(*size, orientation=orientation)
    decoded = decoding._decoded(content, PREPROCESS.resize_px * 2)
    turned = size if orientation < 5 else size[::-1]
    assert (decoded.reduction, decoded.size) == (reduction, turned)
    assert decoded.image.size == tuple(-(-side // reduction) for side in turned)
    difference = np.abs(to_pixels(content, PREPROCESS).astype(int) - _in_full(content, monkeypatch))
    assert difference.mean() < 0.7
    assert difference.max() <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_image_is_not_shifted(orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sloping edge next to the side where a reduced image ends in a partial pixel shows a shift of a fraction."""
    slope = np.add.outer(np.arange(321), np.arange(329)) * 255 / (321 + 329)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.repeat(slope[..., None], 3, axis=2).astype(np.uint8))
    content = _encoded(image, "JPEG", exif=exif, quality=100, subsampling=0)
    signed = to_pixels(content, PREPROCESS).astype(int) - _in_full(content, monkeypatch)
    assert abs(signed.mean()) < 0.2


@pytest.mark.parametrize("mode", ["L", "CMYK", "YCbCr"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_every_kind_of_jpeg_is_reduced(mode: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    content = _encoded(Image.fromarray(_pixels(500, 700)).convert(mode), "JPEG", quality=95, **options)
    assert decoding._decoded(content, 80).reduction == 4
    assert np.abs(to_pixels(content, PREPROCESS) - _in_full(content, monkeypatch)).mean() < 0.7


def test_pictures_of_several_frames_are_reduced_too(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.fromarray(_pixels(500, 700, seed)) for seed in (1, 2)]
    content = _encoded(frames[0], "MPO", save_all=True, append_images=frames[1:], quality=95)
    assert decoding._decoded(content, 80).reduction == 4
    assert np.abs(to_pixels(content, PREPROCESS) - _in_full(content, monkeypatch)).mean() < 0.7


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_other_formats_are_decoded_in_full(kind: str) -> None:
    assert decoding._decoded(_photo(700, 500, kind), 80).reduction == 1


def test_a_large_jpeg_that_is_cut_short_is_refused() -> None:
    content = _photo(1600, 1300)
    with pytest.raises(UndecodableError, match=r"damaged .*truncated"):
        to_pixels(content[: len(content) * 9 // 10], PREPROCESS)


def test_an_example_is_its_pixels_with_channels_first() -> None:
    example = to_example(PNG, PREPROCESS)
    assert np.array_equal(example.permute(1, 2, 0), to_pixels(PNG, PREPROCESS))
    assert example[None].is_contiguous(memory_format=torch.channels_last)


def test_what_pixels_depend_on_is_said() -> None:
    facts = decoding.decoder_facts()
    assert facts["pillow"] == PIL.__version__
    assert set(facts) == {"decoder", "pillow", "libjpeg_turbo", "webp", "libtiff"}

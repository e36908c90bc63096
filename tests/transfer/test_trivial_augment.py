"""TrivialAugment's operations against torchvision's, and its draws."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as theirs

from transfer.data.trivial_augment import OPERATIONS, trivial_augment

STRENGTHS = (-1.0, -0.4, 0.0, 0.3, 1.0)


@pytest.fixture
def images() -> Tensor:
    draw = torch.Generator().manual_seed(0)
    smooth = torch.rand((3, 3, 6, 6), generator=draw)
    return (255 * torch.nn.functional.interpolate(smooth, (28, 28), mode="bilinear")).round()


def ours(name: str, images: Tensor, strength: float) -> Tensor:
    return OPERATIONS[name](images, torch.full((len(images),), strength)).round().clamp(0, 255)


def close(found: Tensor, expected: Tensor) -> bool:
    """Say whether no pixel is off by more than two roundings: theirs cuts grey and result down to whole numbers."""
    return float((found - expected.float()).abs().max()) <= 2


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("brightness", lambda image, m: theirs.adjust_brightness(image, 1 + 0.99 * m)),
        ("color", lambda image, m: theirs.adjust_saturation(image, 1 + 0.99 * m)),
        ("contrast", lambda image, m: theirs.adjust_contrast(image, 1 + 0.99 * m)),
        ("sharpness", lambda image, m: theirs.adjust_sharpness(image, 1 + 0.99 * m)),
        ("posterize", lambda image, m: theirs.posterize(image, 8 - round(6 * abs(m)))),
        ("solarize", lambda image, m: theirs.solarize(image, 255 * (1 - abs(m)))),
        ("autocontrast", lambda image, _: theirs.autocontrast(image)),
        ("equalize", lambda image, _: theirs.equalize(image)),
        ("identity", lambda image, _: image),
    ],
)
def test_colours_change_as_torchvisions_do(
    images: Tensor, name: str, reference: Callable[[Tensor, float], Tensor], strength: float
) -> None:
    expected = torch.stack([reference(image.to(torch.uint8), strength) for image in images])
    assert close(ours(name, images, strength), expected)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_rotation_is_torchvisions(images: Tensor, strength: float) -> None:
    found = ours("rotate", images, strength)
    expected = theirs.rotate(images, -135 * strength, InterpolationMode.BILINEAR)
    assert float((found - expected).abs()[:, :, 8:20, 8:20].max()) <= 1  # they fill the outside in another way


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_translation_and_shear_by_hand(images: Tensor, axis: str, strength: float) -> None:
    turned = images if axis == "x" else images.transpose(2, 3)
    shifted, sheared = (
        (made if axis == "x" else made.transpose(2, 3))
        for made in (ours(f"translate_{axis}", images, strength), ours(f"shear_{axis}", images, strength))
    )
    by = round(28 / 7 * strength)
    if by == 28 / 7 * strength:  # a whole number of pixels
        assert torch.equal(shifted[..., 6:22], turned[..., 6 + by : 22 + by])
    for row, offset in ((13, -0.5), (14, 0.5)):  # the rows beside the centre move by half a pixel's share
        at = torch.arange(6, 22) + 0.99 * strength * offset
        low, share = at.floor().long(), at - at.floor()
        expected = (1 - share) * turned[:, :, row, low] + share * turned[:, :, row, low + 1]
        assert float((sheared[:, :, row, 6:22] - expected).abs().max()) <= 1


def test_draws_belong_to_the_generator_and_cover_all_operations() -> None:
    draw = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (400, 3, 12, 12), dtype=torch.uint8, generator=draw)
    first, again, other = (trivial_augment(pictures, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.dtype == torch.uint8
    assert first.shape == pictures.shape
    unchanged = (first == pictures).flatten(1).all(1).float().mean()
    assert 1 / 28 < float(unchanged) < 1 / 5  # identity, and strengths of zero


def test_images_of_one_colour_and_of_one_pixel_pass() -> None:
    for side in (1, 2, 9):
        flat = torch.full((60, 3, side, side), 77, dtype=torch.uint8)
        assert trivial_augment(flat, torch.Generator().manual_seed(0)).shape == flat.shape
    assert torch.equal(
        OPERATIONS["equalize"](torch.full((1, 3, 4, 4), 9.0), torch.ones(1)), torch.full((1, 3, 4, 4), 9.0)
    )

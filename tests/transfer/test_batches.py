"""Batches against torchvision's own normalisation, and what augmentation must leave as it is."""

from typing import Any

import pytest
import torch

from transfer.data.batches import Augmentation, augment, normalise
from transfer.records import Preprocess

PREPROCESS = Preprocess(resize_px=16, crop_px=16, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@pytest.fixture(scope="module")
def functional() -> Any:
    from torchvision.transforms.v2 import functional

    return functional


def _examples(n: int = 6, side: int = 16) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_normalise_is_torchvisions(functional: Any) -> None:
    examples = _examples()
    expected = functional.normalize(examples.float() / 255, PREPROCESS.mean, PREPROCESS.std)
    torch.testing.assert_close(normalise(examples, PREPROCESS), expected)


def test_normalise_leaves_its_input_alone() -> None:
    examples = _examples()
    kept = examples.clone()
    normalise(examples, PREPROCESS)
    assert torch.equal(examples, kept)


def test_augmented_examples_keep_shape_and_type_and_differ() -> None:
    examples = _examples()
    varied = augment(examples, _generator(), Augmentation())
    assert (varied.shape, varied.dtype) == (examples.shape, torch.uint8)
    assert all(not torch.equal(one, other) for one, other in zip(varied, examples, strict=True))


def test_the_generator_alone_decides() -> None:
    examples = _examples()
    assert torch.equal(
        augment(examples, _generator(1), Augmentation()), augment(examples, _generator(1), Augmentation())
    )
    assert not torch.equal(
        augment(examples, _generator(1), Augmentation()), augment(examples, _generator(2), Augmentation())
    )


def test_each_image_is_varied_by_itself() -> None:
    same = _examples(1).expand(8, -1, -1, -1)
    assert len({image.numpy().tobytes() for image in augment(same, _generator(), Augmentation())}) == 8


def test_augmentation_can_be_switched_off() -> None:
    examples = _examples()
    assert torch.equal(augment(examples, _generator(), Augmentation(min_area=1.0, flip_probability=0.0)), examples)


def test_mirroring_alone_is_exact() -> None:
    examples = _examples(side=17)
    mirrored = augment(examples, _generator(), Augmentation(min_area=1.0, flip_probability=1.0))
    assert torch.equal(mirrored, examples.flip(3))


def test_half_of_the_images_are_mirrored() -> None:
    examples = _examples(1, side=8).expand(2000, -1, -1, -1)
    varied = augment(examples, _generator(), Augmentation(min_area=1.0, flip_probability=0.5))
    share = (varied == examples.flip(3)).flatten(1).all(1).float().mean().item()
    assert share == pytest.approx(0.5, abs=0.05)


def test_an_image_of_one_colour_stays_one() -> None:
    plain = torch.full((20, 3, 9, 9), 137, dtype=torch.uint8)
    assert torch.equal(augment(plain, _generator(), Augmentation(min_area=0.1)), plain)


def test_crops_lie_inside_the_image_and_cover_the_asked_area() -> None:
    """On a ramp the crop's extent can be read from its values."""
    side = 64
    ramp = torch.linspace(0, 252, side).round().to(torch.uint8)
    examples = ramp.view(1, 1, 1, side).expand(500, 3, side, side).clone()
    examples[:, 1] = ramp.view(1, side, 1)
    varied = augment(examples, _generator(), Augmentation(min_area=0.5, flip_probability=0.0)).float() / 252
    width = varied[:, 0, 0, -1] - varied[:, 0, 0, 0]
    height = varied[:, 1, -1, 0] - varied[:, 1, 0, 0]
    area = (width * height).clamp(max=1)
    assert 0.4 < area.min().item() < 0.62
    assert area.max().item() > 0.85

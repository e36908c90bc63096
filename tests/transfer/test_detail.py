"""Detail: scipy's Laplacian, and less of it the more an image is blurred."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from transfer.data.detail import laplacian_variance


def test_it_is_the_variance_of_scipys_laplacian() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 12, 17)).astype(np.uint8)
    luma = np.tensordot(np.array([0.299, 0.587, 0.114]), images / 255, axes=(0, 1))
    expected = [ndimage.laplace(one)[1:-1, 1:-1].var() for one in luma]
    assert laplacian_variance(torch.from_numpy(images)).tolist() == pytest.approx(expected, rel=1e-12)


def test_it_falls_as_an_image_is_blurred() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.float64)
    images = np.stack([ndimage.gaussian_filter(sharp, width) for width in (0, 0.5, 1, 2)])
    found = laplacian_variance(torch.from_numpy(images.astype(np.uint8))[:, None].expand(-1, 3, -1, -1))
    assert found.tolist() == sorted(found.tolist(), reverse=True)
    assert laplacian_variance(torch.full((1, 3, 9, 9), 7, dtype=torch.uint8)).tolist() == [pytest.approx(0, abs=1e-20)]

"""Planted cues: one place tells the class, and what is counted as pointing at it is pointing at it."""

import pytest
import torch

from benchmarks.planted_cues import KINDS, N_CLASSES, N_CUES, hits, patches, patches_at_peaks, planted


@pytest.mark.parametrize("kind", KINDS)
def test_a_cue_is_where_it_is_said_to_be(kind: str) -> None:
    labels, draw = torch.arange(40) % N_CLASSES, torch.Generator().manual_seed(0)
    images, cues = planted(torch.full((40, 3, 32, 32), 7, dtype=torch.uint8), labels, kind, draw)
    assert bool((cues.flatten(1).sum(1) == 64).all())
    for image, cue, label in zip(images, cues, labels.tolist(), strict=True):
        bright = image[1].reshape(-1)[cue.reshape(-1)].reshape(8, 8) > 100
        assert label == N_CUES or torch.equal(bright, patches(8, kind)[label])
        assert int((image != 7).any(0).sum()) == 128  # the decoy beside it, which nowhere lies over it


@pytest.mark.parametrize("kind", KINDS)
def test_cues_of_a_kind_are_unlike_each_other(kind: str) -> None:
    for width in (8, 16, 40):
        shapes = patches(width, kind).flatten(1).float()
        unlike = torch.cdist(shapes, shapes, p=1) / shapes.shape[1]
        assert float(unlike[~torch.eye(N_CUES, dtype=torch.bool)].min()) > 0.25


def test_a_peak_at_the_cue_is_a_hit_and_one_beside_it_is_none() -> None:
    cues = torch.zeros(3, 60, 60, dtype=torch.bool)
    cues[:, 20:35, 20:35] = True
    maps = torch.zeros(3, 60, 60)
    maps[0, 25, 30] = maps[1, 38, 20] = maps[2, 39, 20] = 1  # inside, a 15th of the side away, and one pixel more
    assert hits(maps, cues).tolist() == [True, True, False]


def test_a_patch_at_a_peak_is_as_large_as_a_cue_and_lies_within_the_image() -> None:
    maps = torch.rand(20, 32, 32, generator=torch.Generator().manual_seed(0))
    found = patches_at_peaks(maps)
    assert bool((found.flatten(1).sum(1) == 64).all())
    assert bool(found.flatten(1).gather(1, maps.flatten(1).argmax(1, keepdim=True)).all())

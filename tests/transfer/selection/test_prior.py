"""The static prior: published figures as torchvision states them, and what counts where there is none."""

import pytest
from torchvision import models

from transfer.errors import UserError
from transfer.selection.scores.prior import RANDOM_TOP1, UNPUBLISHED_TOP1, imagenet_top1, known_top1


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("torchvision/resnet50@IMAGENET1K_V1", 76.130),
        ("torchvision/resnet50@IMAGENET1K_V2", 80.858),
        ("torchvision/resnet50", 80.858),
        ("torchvision/mobilenet_v2?crop_px=96@IMAGENET1K_V1", 71.878),
        ("torchvision/resnet50@none", RANDOM_TOP1),
        ("rootstock/strokes", UNPUBLISHED_TOP1),
        ("rootstock/strokes@none", RANDOM_TOP1),
        ("torchvision/resnet50@./mine.safetensors", UNPUBLISHED_TOP1),
        ("torchvision/resnet50@models:/photos/3", UNPUBLISHED_TOP1),
        ("mlflow/photos@champion", UNPUBLISHED_TOP1),
    ],
)
def test_a_candidate_has_the_figure_of_its_weights(reference: str, expected: float) -> None:
    assert imagenet_top1(reference) == expected


def test_a_file_is_known_by_its_digest() -> None:
    digits = models.get_model_weights("mobilenet_v2")["IMAGENET1K_V1"].url.rpartition("-")[2].removesuffix(".pth")
    assert imagenet_top1("torchvision/mobilenet_v2@./w.pth", digits + "0" * 56) == 71.878
    assert imagenet_top1("torchvision/mobilenet_v2@./w.pth", "0" * 64) == UNPUBLISHED_TOP1


def test_every_published_figure_lies_above_what_counts_without_one() -> None:
    figures = [
        known_top1(f"torchvision/{arch}@{entry.name}")
        for arch in models.list_models(module=models)
        for entry in models.get_model_weights(arch)
    ]
    assert RANDOM_TOP1 < UNPUBLISHED_TOP1 < min(figures) < max(figures) < 100


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("torchvision/resnet51", "no classification architecture 'resnet51'"),
        ("torchvision/resnet50@IMAGENET1K_V9", "no weights 'IMAGENET1K_V9'"),
    ],
)
def test_what_torchvision_does_not_have_is_refused(reference: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        imagenet_top1(reference)

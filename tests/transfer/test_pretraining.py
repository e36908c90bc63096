"""Procedural classes and the loop that learns them."""

import copy
import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from transfer.backbones.strokes import PREPROCESS
from transfer.errors import UserError
from transfer.pretraining.bank import KINDS, Bank, draw_bank
from transfer.pretraining.held_out import few_shot_accuracy
from transfer.pretraining.loop import PretrainingRecord, Settings, draw_batch, pretrain
from transfer.pretraining.render import render

ONE_OF_EACH = dict.fromkeys(KINDS, 1) | {"texture": 4}
SETTINGS = Settings(
    steps=50,
    batch_size=32,
    learning_rate=2e-2,
    warmup_fraction=0.25,
    weight_decay=0.05,
    label_smoothing=0.1,
    average_decay=0.9,
    bfloat16=False,
    report_every_steps=20,
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Keep tensors this small on one thread: more of them only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_bank(n_glyphs: int = 4, seed: int = 0) -> Bank:
    return draw_bank({"glyph": n_glyphs, "texture": 1}, 2, 24, seeded(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_fields_have_the_asked_shape_and_are_finite(kind: str) -> None:
    fields = KINDS[kind].fields(5, 3, 20, seeded())
    assert fields.shape == (5, 3, 20, 20)
    assert fields.dtype == torch.float32
    assert torch.isfinite(fields).all()


@pytest.mark.parametrize("kind", KINDS)
def test_fields_are_fixed_by_the_generator(kind: str) -> None:
    assert torch.equal(KINDS[kind].fields(4, 2, 16, seeded(3)), KINDS[kind].fields(4, 2, 16, seeded(3)))
    assert not torch.equal(KINDS[kind].fields(4, 2, 16, seeded(3)), KINDS[kind].fields(4, 2, 16, seeded(4)))


@pytest.mark.parametrize("kind", ["glyph", "contour", "fractal"])
def test_variants_of_a_class_are_closer_than_classes(kind: str) -> None:
    fields = KINDS[kind].fields(24, 4, 24, seeded()).flatten(2)
    within = torch.cdist(fields, fields).sum() / (24 * 4 * 3)
    between = torch.cdist(fields[:, 0], fields[:, 0]).sum() / (24 * 23)
    assert within < 0.8 * between


def test_glyph_field_is_the_distance_to_the_strokes() -> None:
    fields = KINDS["glyph"].fields(6, 2, 32, seeded())
    assert fields.max() <= 0.0
    pixel = 2.0 / 32
    assert (fields[..., 1:] - fields[..., :-1]).abs().max() <= pixel * 1.01


def test_fractal_density_lies_in_the_unit_interval() -> None:
    fields = KINDS["fractal"].fields(6, 2, 32, seeded())
    assert fields.min() >= 0.0
    torch.testing.assert_close(fields.amax(dim=(2, 3)), torch.ones(6, 2))


def test_textures_are_standardised() -> None:
    fields = KINDS["texture"].fields(8, 2, 32, seeded())
    torch.testing.assert_close(fields.mean(dim=(2, 3)), torch.zeros(8, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(fields.std(dim=(2, 3)), torch.ones(8, 2), atol=1e-4, rtol=0)


def test_bank_has_a_row_for_every_class() -> None:
    bank = draw_bank(ONE_OF_EACH, 2, 16, seeded())
    assert bank.n_classes == sum(ONE_OF_EACH.values())
    assert bank.kind.tolist() == [0, 1, 2, 3, 3, 3, 3, 4, 5]


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(UserError, match="'doodle'"):
        draw_bank({"doodle": 3, "texture": 1}, 2, 16, seeded())


def test_bank_without_textures_is_refused() -> None:
    with pytest.raises(UserError, match="at least 1 texture"):
        draw_bank({"glyph": 3}, 2, 16, seeded())


def test_images_are_rgb_in_the_unit_interval() -> None:
    bank = draw_bank(ONE_OF_EACH, 2, 24, seeded())
    images = render(bank, torch.arange(bank.n_classes).repeat(4), 28, seeded())
    assert images.shape == (36, 3, 28, 28)
    assert images.min() >= 0.0
    assert images.max() <= 1.0
    assert (images.flatten(1).std(dim=1) > 0.0).all()


def test_images_are_fixed_by_the_generator() -> None:
    bank, labels = small_bank(), torch.arange(4)
    assert torch.equal(render(bank, labels, 20, seeded(1)), render(bank, labels, 20, seeded(1)))
    assert not torch.equal(render(bank, labels, 20, seeded(1)), render(bank, labels, 20, seeded(2)))


def test_drawing_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    render(draw_bank(ONE_OF_EACH, 2, 16, seeded()), torch.arange(4), 16, seeded())
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_are_normalised_and_channels_last() -> None:
    images, labels = draw_batch(small_bank(), PREPROCESS, 8, seeded())
    assert images.shape == (8, 3, PREPROCESS.crop_px, PREPROCESS.crop_px)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images.min() >= -2.0
    assert images.max() <= 2.0
    assert labels.min() >= 0
    assert labels.max() < 5


def tiny_trunk() -> nn.Module:
    first = (nn.Conv2d(3, 16, 5, 2, 2), nn.BatchNorm2d(16), nn.ReLU())
    second = (nn.Conv2d(16, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
    return nn.Sequential(*first, *second, nn.AdaptiveAvgPool2d(2), nn.Flatten())


def run_pretraining(settings: Settings, seed: int = 0) -> tuple[list[PretrainingRecord], nn.Module, nn.Module]:
    bank = draw_bank({"glyph": 2, "texture": 2}, 2, 24, seeded(seed))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        trunk, head = tiny_trunk(), nn.Linear(64, bank.n_classes)
    average = copy.deepcopy(trunk)
    return list(pretrain(trunk, head, average, bank, PREPROCESS, settings, seeded(seed))), trunk, average


def test_a_few_steps_lower_the_loss() -> None:
    records, _, _ = run_pretraining(SETTINGS)
    assert [record.step for record in records] == [20, 40, 50]
    assert [record.images_seen for record in records] == [640, 1280, 1600]
    assert records[-1].train_loss < records[0].train_loss
    assert records[-1].train_loss < math.log(4)


def test_a_run_is_fixed_by_its_seeds() -> None:
    settings = Settings(3, 8, 3e-3, 0.5, 0.05, 0.1, 0.9, bfloat16=False, report_every_steps=1)
    first, trunk, average = run_pretraining(settings)
    second, same_trunk, same_average = run_pretraining(settings)
    assert first == second
    for mine, theirs in ((trunk, same_trunk), (average, same_average)):
        assert all(
            torch.equal(a, b) for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True)
        )


def test_without_memory_the_average_is_the_trunk() -> None:
    settings = Settings(2, 8, 3e-3, 0.5, 0.05, 0.1, 0.0, bfloat16=False, report_every_steps=1)
    _, trunk, average = run_pretraining(settings)
    for name, value in trunk.state_dict().items():
        torch.testing.assert_close(average.state_dict()[name], value)


class Blind(nn.Module):
    """Features that say nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(x), 2)


def test_features_that_say_nothing_score_chance() -> None:
    accuracy = few_shot_accuracy(Blind(), small_bank(6), PREPROCESS, 3, seeded(), n_ways=4, n_shots=2, n_queries=5)
    assert accuracy == pytest.approx(1 / 4)


def test_few_shot_accuracy_is_fixed_by_the_generator() -> None:
    trunk = tiny_trunk()
    first, second = (few_shot_accuracy(trunk, small_bank(6), PREPROCESS, 2, seeded(5), 3, 2, 4) for _ in range(2))
    assert first == second

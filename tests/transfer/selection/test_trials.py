"""Trials: halving as it is written down, and a change of accuracy that has the mean and the noise it should."""

import math

import pytest
import torch
from torch import Tensor

from transfer.selection.trials import Arm, Trial, tried

LABELS = torch.arange(40) % 2


def _draws(*accuracies: float) -> Tensor:
    noise = 0.001 * torch.randn(4000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.tensor(accuracies, dtype=torch.float64) + noise


def _trial(arm: Arm, n_images: int, gained: int, lost: int = 0) -> Trial:
    before, after = torch.zeros(40, dtype=torch.float64), torch.zeros(40, dtype=torch.float64)
    after[:gained], before[gained : gained + lost] = 1.0, 1.0
    return Trial(arm, n_images, before, after)


def test_half_of_the_arms_is_left_out_a_round_and_images_are_shared_as_published() -> None:
    seen: list[tuple[int, int]] = []
    arms = [Arm(place, "staged") for place in range(8)]

    def try_out(arm: Arm, n_images: int) -> Trial:
        seen.append((arm.candidate, n_images))
        return _trial(arm, n_images, gained=arm.candidate // 2, lost=0)

    found = tried(_draws(*[0.5] * 8), arms, LABELS, try_out, 2400, 0.9999)
    assert [n_images for _, n_images in seen] == [100] * 8 + [200] * 4 + [400] * 2
    assert {place for place, n_images in seen if n_images == 200} == {4, 5, 6, 7}
    assert {place for place, n_images in seen if n_images == 400} == {6, 7}
    assert found.rounds == 3
    assert found.arms == tuple(arms)
    assert found.n_images == (100, 100, 100, 100, 200, 200, 400, 400)


def test_what_is_sure_is_not_tried_for_longer() -> None:
    arms = [Arm(0, "staged"), Arm(1, "staged"), Arm(2, "staged")]
    found = tried(
        _draws(0.5, 0.5, 0.5), arms, LABELS, lambda arm, n: _trial(arm, n, 30 * (arm.candidate == 2)), 600, 0.9
    )
    assert found is not None
    assert found.rounds == 1
    assert int(found.best().argmax()) == 2


def test_strategies_of_one_backbone_are_told_apart() -> None:
    arms = [Arm(0, "staged"), Arm(0, "full")]
    found = tried(_draws(0.5), arms, LABELS, lambda arm, n: _trial(arm, n, 15 * (arm.strategy == "full")), 600, 0.95)
    assert found.arms[int(found.best().argmax())].strategy == "full"


@pytest.mark.parametrize(("gained", "lost"), [(5, 0), (6, 3), (0, 4), (0, 0)])
def test_a_change_has_the_direction_and_the_noise_of_the_rows_that_changed(gained: int, lost: int) -> None:
    def try_out(arm: Arm, n_images: int) -> Trial:
        trial = _trial(arm, n_images, gained, lost)
        trial.before[20:] = trial.after[20:] = 1.0  # rows that stay as they are: half of them are right
        return trial

    found = tried(_draws(0.5), [Arm(0, "full")], LABELS, try_out, 100, 0.95)
    assert found is not None
    changes = found.draws[:, 0].logit() - _draws(0.5)[:, 0].logit()
    right_before, right_after = (20 + lost + 1) / 42, (20 + gained + 1) / 42  # with the rows beside them
    expected = math.log(right_after / (1 - right_after)) - math.log(right_before / (1 - right_before))
    assert float(changes.mean()) == pytest.approx(expected, abs=0.03)
    slope = 1 / (right_before * (1 - right_before))  # of the logit
    noise = slope * math.sqrt(
        (gained + lost + 1) / 42 / 42
    )  # Rubin 1981: the rows that changed, and half of two beside
    assert float(changes.std()) == pytest.approx(noise, rel=0.2)


def test_what_is_believed_stays_an_accuracy() -> None:
    found = tried(_draws(0.97), [Arm(0, "full")], LABELS, lambda arm, n: _trial(arm, n, 30), 100, 0.95)
    assert found is not None
    assert float(found.draws.min()) > 0
    assert 0.97 < float(found.draws.mean()) < 1

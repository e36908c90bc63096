"""Plans are data: which group learns at which rate in which step."""

import pytest

from transfer.finetuning.plan import scratch_plan, staged_plan

GROUPS = ("stem", "middle", "deep")


def test_the_last_step_trains_the_deepest_group_and_the_head() -> None:
    last, _ = staged_plan(GROUPS, head_lr=0.01, backbone_lr=0.001, lr_decay=2.0)
    assert (last.name, dict(last.rates)) == ("last", {"deep": 0.001, "head": 0.01})


def test_every_shallower_group_learns_more_slowly() -> None:
    _, everything = staged_plan(GROUPS, head_lr=0.01, backbone_lr=0.001, lr_decay=2.6)
    assert everything.name == "all"
    assert list(everything.rates) == ["stem", "middle", "deep", "head"]
    assert dict(everything.rates) == pytest.approx(
        {"deep": 0.001, "middle": 0.001 / 2.6, "stem": 0.001 / 2.6**2, "head": 0.01}
    )


def test_a_trunk_of_one_group_is_trained_whole_in_both_steps() -> None:
    last, everything = staged_plan(("only",), head_lr=0.01, backbone_lr=0.001, lr_decay=2.6)
    assert dict(last.rates) == dict(everything.rates) == {"only": 0.001, "head": 0.01}


def test_from_scratch_every_group_learns_at_one_rate() -> None:
    step = scratch_plan(GROUPS, 0.002)
    assert dict(step.rates) == dict.fromkeys((*GROUPS, "head"), 0.002)


def test_only_random_weights_adapt_their_norm_statistics() -> None:
    staged = staged_plan(GROUPS, head_lr=0.01, backbone_lr=0.001, lr_decay=2.0)
    from_random = staged_plan(GROUPS, head_lr=0.01, backbone_lr=0.001, lr_decay=2.0, adapts_norms=True)
    assert [step.adapts_norms for step in (*staged, *from_random)] == [False, False, True, True]
    assert scratch_plan(GROUPS, 0.002).adapts_norms

"""Several processes make the updates that one would make, agree on what goes wrong, and end when one of them does."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from transfer.data.batches import Augmentation, augment
from transfer.finetuning.parallel import ALONE, Ranks, buckets, filled_share, share
from transfer.finetuning.shared_norms import SharedNorms
from transfer.randomness import generator

RUN = Path(__file__).with_name("rank_runs.py")
BOUNDED_S = 30.0  # until the others find out that a process was killed
Outcome = tuple[dict[str, Tensor], dict[str, Any]]


class Runs:
    """Runs of the training loop in processes of their own, in folders that a test names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, name: str, size: int, *switches: str) -> list[subprocess.Popen[bytes]]:
        """Start `size` processes that train together."""
        out = self.folder / name
        out.mkdir(exist_ok=True)
        (out / "store").unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(RUN.parents[2]), "GLOO_SOCKET_IFNAME": "lo"}
        return [
            subprocess.Popen([sys.executable, RUN, out, str(rank), str(size), *switches], env=environment)
            for rank in range(size)
        ]

    def ended(self, name: str, size: int, *switches: str) -> list[Outcome]:
        """Return weights and events of each process."""
        assert [one.wait(120) for one in self.start(name, size, *switches)] == [0] * size
        return [self.outcome(name, rank) for rank in range(size)]

    def outcome(self, name: str, rank: int) -> Outcome:
        """Return what one process wrote."""
        said = json.loads((self.folder / name / f"{rank}.json").read_text(encoding="utf-8"))
        return load_file(self.folder / name / f"{rank}.safetensors"), said


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Return what runs the loop in several processes."""
    if sys.platform != "linux":
        pytest.skip("the loopback device has another name here")
    return Runs(tmp_path)


def farthest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return max(float((value.double() - other[name].double()).abs().max()) for name, value in one.items())


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def losses(said: dict[str, Any]) -> list[float]:
    return [event["train_loss"] for event in said["events"] if event["kind"] == "EpochRecord"]


def test_two_processes_end_where_one_does(runs: Runs) -> None:
    together = runs.start("two", 2)  # 41 rows in batches of 8 and 7: shares are uneven
    ((alone, said),) = runs.ended("one", 1)
    assert [one.wait(120) for one in together] == [0, 0]
    (first, heard), (second, _) = (runs.outcome("two", rank) for rank in (0, 1))
    assert equal(first, second)
    assert farthest(alone, first) < 1e-5
    assert losses(heard) == pytest.approx(losses(said), rel=1e-5)
    assert len(losses(said)) == 5


@pytest.mark.slow
def test_norms_that_are_trained_share_their_statistics(runs: Runs) -> None:
    ((alone, said),) = runs.ended("one", 1, "norms")
    (first, heard), (second, _) = runs.ended("two", 2, "norms")
    assert equal(first, second)
    assert farthest(alone, first) < 1e-4
    assert losses(heard) == pytest.approx(losses(said), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("remedy", ["weights", "sampling", "logits"])
def test_classes_count_the_same_whoever_has_their_rows(runs: Runs, remedy: str) -> None:
    ((alone, said),) = runs.ended("one", 1, remedy)
    (first, heard), (second, _) = runs.ended("two", 2, remedy)
    assert equal(first, second)
    assert farthest(alone, first) < 1e-4
    assert losses(heard) == pytest.approx(losses(said), rel=1e-4)


@pytest.mark.slow
def test_a_process_without_a_row_takes_part(runs: Runs) -> None:
    ((alone, _),) = runs.ended("one", 1, "few", "norms")  # batches of three rows
    found = runs.ended("four", 4, "few", "norms")
    assert all(equal(found[0][0], state) for state, _ in found)
    assert farthest(alone, found[0][0]) < 1e-4


@pytest.mark.slow
def test_dropout_is_the_same_for_the_same_number_of_processes(runs: Runs) -> None:
    once, again = (runs.ended(name, 2, "dropout") for name in ("once", "again"))
    assert equal(once[0][0], again[0][0])
    assert equal(once[0][0], once[1][0])


@pytest.mark.slow
@pytest.mark.parametrize("norms", ["frozen", "norms"])
@pytest.mark.parametrize(("trouble", "what"), [("exploding", "loss"), ("memory", "memory")])
def test_trouble_in_one_process_is_everyones(runs: Runs, trouble: str, what: str, norms: str) -> None:
    (first, said), (second, heard) = runs.ended("two", 2, trouble, norms)
    assert said == heard
    assert equal(first, second)
    assert [event["what"] for event in said["events"] if event["kind"] == "Rescue"] == [what]
    assert len(losses(said)) == 5


@pytest.mark.slow
def test_a_killed_process_is_found_at_once(runs: Runs) -> None:
    began = time.monotonic()
    first, second = runs.start("two", 2, "killed", "norms")
    assert second.wait(120) == -9
    assert first.wait(BOUNDED_S) == 0
    _, said = runs.outcome("two", 0)
    assert said["lost"].startswith("Another process of the run is gone")
    assert time.monotonic() - began < BOUNDED_S


@pytest.mark.slow
def test_together_they_go_on_from_a_snapshot_to_the_same_bytes(runs: Runs) -> None:
    whole = runs.ended("two", 2, "dropout", "norms", "keep")
    resumed = runs.ended("two", 2, "dropout", "norms", "resume")
    assert equal(whole[0][0], resumed[0][0])
    assert losses(whole[0][1])[-1] == losses(resumed[0][1])[-1]


@given(st.integers(0, 50), st.integers(1, 9))
def test_shares_are_all_rows_in_order(n_rows: int, size: int) -> None:
    parts = [list(range(n_rows))[share(n_rows, rank, size)] for rank in range(size)]
    assert [row for part in parts for row in part] == list(range(n_rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    filled = [filled_share(n_rows, rank, size) for rank in range(size)]
    assert [counted for _, counted in filled] == [float(bool(part)) for part in parts]


@given(st.lists(st.tuples(st.integers(1, 5_000_000), st.booleans()), max_size=12))
def test_buckets_hold_every_tensor_once(sizes: list[tuple[int, bool]]) -> None:
    tensors = [torch.empty(n, dtype=torch.float64 if wide else torch.float32, device="meta") for n, wide in sizes]
    found = buckets(tensors)
    assert sorted(id(one) for bucket in found for one in bucket) == sorted(map(id, tensors))
    assert all(len({one.dtype for one in bucket}) == 1 for bucket in found)
    assert all(len(b) == 1 or sum(one.numel() * one.element_size() for one in b) <= 25_000_000 for b in found)


@pytest.mark.parametrize("part", [slice(0, 3), slice(3, 8)])
def test_a_part_of_a_batch_is_varied_as_within_it(part: slice) -> None:
    images = torch.randint(0, 255, (8, 3, 8, 8), dtype=torch.uint8, generator=generator(0, "images"))
    how = Augmentation(flip_probability=0.5, trivial=True)
    whole = augment(images, generator(1, "variation"), how)
    own = augment(images[part], generator(1, "variation"), how, (part.start, 8))
    assert torch.equal(own, whole[part])


class _Half:
    """The processes of one whose twin has the very same rows."""

    rank, size = 0, 2

    def add(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            if tensor.dim() and len(tensor) == 2 and tensor.shape[1:] != torch.Size([3]):
                tensor[1] = tensor[0]
            else:
                tensor.mul_(2)

    def worst(self, word: int) -> int:
        return word

    gathered, told = ALONE.gathered, ALONE.told


def test_shared_norms_agree_with_torchs() -> None:
    ranks: Ranks = _Half()
    rows = torch.randn(4, 3, 5, 5, generator=generator(0, "rows"), dtype=torch.float32)
    plain, shared = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    whole, own = torch.cat((rows, rows)).requires_grad_(), rows.clone().requires_grad_()
    functional.gelu(plain(whole)).square().sum().backward()
    with SharedNorms(ranks, 1.0):
        made = shared(own)
    functional.gelu(made).square().sum().backward()
    assert whole.grad is not None
    torch.testing.assert_close(own.grad, whole.grad[:4], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(2 * shared.weight.grad, plain.weight.grad, rtol=1e-4, atol=1e-4)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(shared, name), getattr(plain, name))


def test_one_process_exchanges_nothing() -> None:
    rows = torch.arange(3)
    ALONE.add([rows])
    assert torch.equal(ALONE.gathered(rows, 3), torch.arange(3))
    assert (ALONE.worst(2), ALONE.told({"rows": rows}, "said")[1]) == (2, "said")

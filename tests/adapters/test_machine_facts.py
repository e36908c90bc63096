"""What a machine is and how much memory it gives: control groups of both versions, the innermost limit counts."""

import os
from pathlib import Path

import pytest
import torch

from adapters import machine
from adapters.machine import machine_facts, memory_limit_bytes

GIB = 1 << 30
PHYSICAL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty tree of control groups that stands in for the machine's."""
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine, "_MEMBERSHIP", tmp_path / "membership")
    return tmp_path


def _limit(root: Path, place: str, name: str, content: str) -> None:
    folder = root / "groups" / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


def test_without_control_groups_memory_is_the_machines(groups: Path) -> None:
    assert memory_limit_bytes() == PHYSICAL


@pytest.mark.parametrize(
    ("membership", "limits", "expected"),
    [
        ("0::/a/b\n", {("a", "memory.max"): f"{GIB // 4}\n", ("a/b", "memory.max"): "max\n"}, GIB // 4),
        ("0::/a/b\n", {("a", "memory.max"): f"{GIB // 2}\n", ("a/b", "memory.max"): f"{GIB // 4}\n"}, GIB // 4),
        ("4:memory:/job\n", {("memory/job", "memory.limit_in_bytes"): f"{GIB // 4}\n"}, GIB // 4),
        ("4:cpu:/job\n", {("memory/job", "memory.limit_in_bytes"): f"{GIB // 4}\n"}, PHYSICAL),
        ("4:memory:/\n", {("memory", "memory.limit_in_bytes"): "9223372036854771712\n"}, PHYSICAL),
        ("0::/\n", {("", "memory.max"): "no number\n"}, PHYSICAL),
        ("0::/\n", {("", "memory.max"): "0\n"}, PHYSICAL),
        ("damaged", {}, PHYSICAL),
    ],
)
def test_the_smallest_limit_counts(
    groups: Path, membership: str, limits: dict[tuple[str, str], str], expected: int
) -> None:
    (groups / "membership").write_text(membership)
    for (place, name), content in limits.items():
        _limit(groups, place, name, content)
    assert memory_limit_bytes() == expected


def test_facts_are_the_same_every_time_and_follow_the_threads() -> None:
    first = machine_facts()
    assert machine_facts() == first
    n_threads = torch.get_num_threads()
    torch.set_num_threads(n_threads + 1)
    try:
        assert machine_facts() == first | {"torch_threads": n_threads + 1}
    finally:
        torch.set_num_threads(n_threads)


def test_facts_name_the_processor_and_its_instructions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "_CPU_INFO", info)
    core = "processor\t: 0\nmodel name\t: Some CPU: fast\nflags\t\t: {}\n\nprocessor\t: 1\nmodel name\t: Other\n"
    info.write_text(core.format("sse avx2"))
    facts = machine_facts()
    assert facts["cpu"] == "Some CPU: fast"
    info.write_text(core.format("avx2 sse"))
    assert machine_facts() == facts
    info.write_text(core.format("avx2 sse avx512f"))
    assert machine_facts()["cpu_flags"] != facts["cpu_flags"]
    info.unlink()
    assert machine_facts()["torch"] == torch.__version__.partition("+")[0]

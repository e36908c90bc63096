"""What a machine is and how much memory it gives: control groups of both versions, the innermost limit counts."""

import os
from pathlib import Path

import pytest
import torch

from adapters import machine
from adapters.machine import free_memory_bytes, machine_facts, memory_limit_bytes

MIB, GIB = 1 << 20, 1 << 30
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


def _account(root: Path, place: str, files: dict[str, str]) -> None:
    for name, content in files.items():
        _limit(root, place, name, content)


STAT_2 = "anon {anon}\nfile {file}\ninactive_file {inactive}\nactive_file {active}\nfile_dirty {dirty}\n"
STAT_1 = (  # of a group of version 1: its own figures, then those with its children's
    "cache 0\nrss 0\ninactive_file 0\nactive_file 0\ntotal_rss {anon}\n"
    "total_inactive_file {inactive}\ntotal_active_file {active}\ntotal_dirty {dirty}\n"
)
HELD = {"anon": 60 * MIB, "file": 40 * MIB, "inactive": 25 * MIB, "active": 15 * MIB, "dirty": 5 * MIB}


@pytest.mark.parametrize(
    ("membership", "place", "files"),
    [
        (
            "0::/job\n",
            "job",
            {"memory.max": f"{200 * MIB}\n", "memory.high": "max\n", "memory.current": f"{100 * MIB}\n"},
        ),
        ("0::/job\n", "job", {"memory.max": "max", "memory.high": f"{200 * MIB}", "memory.current": f"{100 * MIB}"}),
        ("0::/job/inner\n", "job", {"memory.max": f"{200 * MIB}\n", "memory.current": f"{100 * MIB}\n"}),
        ("0::/elsewhere\n", "", {"memory.max": f"{200 * MIB}\n", "memory.current": f"{100 * MIB}\n"}),
    ],
    ids=["limit", "throttled from", "of the group around", "a container that sees its own group as the root"],
)
def test_what_a_group_holds_but_for_file_pages_is_taken(
    groups: Path, monkeypatch: pytest.MonkeyPatch, membership: str, place: str, files: dict[str, str]
) -> None:
    monkeypatch.setattr(machine, "_resident_bytes", lambda: 0)
    (groups / "membership").write_text(membership)
    _account(groups, place, {**files, "memory.stat": STAT_2.format(**HELD)})
    assert free_memory_bytes() == (200 - (100 - (25 + 15 - 5))) * MIB


def test_version_1_counts_the_pages_of_child_groups(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_resident_bytes", lambda: 0)
    (groups / "membership").write_text("7:cpu:/other\n4:memory:/job\n0::/\n")
    files = {"memory.limit_in_bytes": f"{200 * MIB}\n", "memory.usage_in_bytes": f"{100 * MIB}\n"}
    _account(groups, "memory/job", {**files, "memory.stat": STAT_1.format(**HELD)})
    _account(groups, "memory", {"memory.limit_in_bytes": "9223372036854771712", "memory.usage_in_bytes": f"{5 * GIB}"})
    assert free_memory_bytes() == (200 - (100 - (25 + 15 - 5))) * MIB


@pytest.mark.parametrize("stat", ["", "damaged", "inactive_file\n", "inactive_file many\n"])
def test_without_figures_of_pages_all_that_is_held_is_taken(
    groups: Path, monkeypatch: pytest.MonkeyPatch, stat: str
) -> None:
    monkeypatch.setattr(machine, "_resident_bytes", lambda: 0)
    (groups / "membership").write_text("0::/job\n")
    _account(groups, "job", {"memory.max": f"{200 * MIB}", "memory.current": f"{150 * MIB}", "memory.stat": stat})
    assert free_memory_bytes() == 50 * MIB


def test_a_full_group_leaves_nothing(groups: Path) -> None:
    (groups / "membership").write_text("0::/job\n")
    _account(groups, "job", {"memory.max": f"{200 * MIB}", "memory.current": f"{201 * MIB}"})
    assert free_memory_bytes() == 0

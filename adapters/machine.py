"""What this machine lets the process use."""

import getpass
import hashlib
import math
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from adapters import environment

_CPU_INFO = Path("/proc/cpuinfo")
_VERSIONS = ("torch", "onnxruntime")  # the packages that decide how fast a network runs
_CGROUPS = Path("/sys/fs/cgroup")
_UNKNOWN_BYTES = 4_000_000_000  # taken to be free where the system does not say
_MEMBERSHIP = Path("/proc/self/cgroup")
_ACCOUNTS = (  # what a control group holds, its limits, and what begins the names of its figures with its children's
    ("memory.current", ("memory.max", "memory.high"), ""),
    ("memory.usage_in_bytes", ("memory.limit_in_bytes",), "total_"),
)
_DROPPABLE = ("inactive_file", "active_file", "slab_reclaimable")
_UNWRITTEN = ("file_dirty", "file_writeback", "dirty", "writeback")  # the kernel cannot drop them before it wrote them


def account() -> str:
    """Return the name of the account that the process runs under."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an account
        return "unknown"


def usable_cores() -> int:
    """Return how many cores may work at once: those the process may run on, or fewer where a container's quota says so.

    Source: Linux kernel documentation, "Control Group v2" (cpu.max) and "CFS Bandwidth Control" (cpu.cfs_quota_us).
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota) for quota in _cpu_quotas()]
    return max(1, min([allowed, *quotas]))


def memory_limit_bytes() -> int | None:
    """Return how much memory the process may use: what the machine has, or less where a control group says so.

    None where neither is known.

    Source: Linux kernel documentation, "Control Group v2" (memory.max), "Memory Resource Controller"
    (memory.limit_in_bytes).
    """
    limits = [
        int(word)
        for folder in _groups("memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        for word in _words(folder / name)
        if word.isdigit()  # "max" means no limit
    ]
    with suppress(AttributeError, ValueError, OSError):  # not asked for in this way outside Linux and macOS
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((limit for limit in limits if limit > 0), default=None)


def described() -> str:
    """Return what of this machine decides the last digits of what is computed on it, in words."""
    threads = environment.get("OMP_NUM_THREADS") or usable_cores()
    return f"{platform.system()} {platform.machine()}, {processor()}, {threads} threads"


def processor() -> str:
    """Return the name of the processor's model."""
    return _cpu_info().get("model name", platform.processor()) or "unknown processor"


def machine_facts() -> dict[str, str | int | None]:
    """Return what decides how fast a network runs here: two machines with equal facts are as fast as each other."""
    import torch

    info = _cpu_info()
    flags = info.get("flags", info.get("Features", ""))
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": info.get("model name", platform.processor()),
        "cpu_flags": hashlib.sha256(" ".join(sorted(flags.split())).encode()).hexdigest()[:16],
        "usable_cores": usable_cores(),
        "torch_threads": torch.get_num_threads(),
        "memory_limit_bytes": memory_limit_bytes(),
        **{package: _version(package) for package in _VERSIONS},
    }


def _cpu_info() -> dict[str, str]:
    """Return what Linux tells of the first core."""
    try:
        text = _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def free_memory_bytes() -> int:
    """Return the memory that the process may still take: what its control groups leave it, and what the machine has.

    What other processes of a group hold is taken; file pages that the kernel drops when memory is asked for are free.

    Source: Linux kernel documentation, "Control Group v2" (memory.current, memory.high, memory.stat), "Memory Resource
    Controller" (memory.usage_in_bytes, memory.stat), "The /proc filesystem" (MemAvailable).
    """
    free = [left for folder in _groups("memory") for left in _left_in(folder)]
    info = _words(Path("/proc/meminfo"))
    if "MemAvailable:" in info:
        free.append(int(info[info.index("MemAvailable:") + 1]) * 1024)
    limit = memory_limit_bytes()
    if limit is not None:
        free.append(limit - _resident_bytes())  # where no group says what it holds
    return max(0, min(free, default=_UNKNOWN_BYTES))


def _left_in(folder: Path) -> Iterator[int]:
    """Yield what a control group leaves below each of its limits, bytes."""
    for used_name, limit_names, prefix in _ACCOUNTS:
        used = [int(word) for word in _words(folder / used_name) if word.isdigit()]
        limits = [int(word) for name in limit_names for word in _words(folder / name) if word.isdigit()]
        stat = _words(folder / "memory.stat")
        held = dict(zip(stat[::2], stat[1::2], strict=False))

        def bytes_of(*names: str, held: dict[str, str] = held, prefix: str = prefix) -> int:
            return sum(int(held[prefix + name]) for name in names if held.get(prefix + name, "").isdigit())

        droppable = max(0, bytes_of(*_DROPPABLE) - bytes_of(*_UNWRITTEN))
        yield from (limit - max(0, used[0] - droppable) for limit in limits if used and limit > 0)


def _resident_bytes() -> int:
    words = _words(Path("/proc/self/statm"))
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") if len(words) > 1 and words[1].isdigit() else 0


def _cpu_quotas() -> Iterator[float]:
    """Yield the quota of every control group around the process, in cores."""
    for folder in _groups("cpu"):
        words = [
            word for name in ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us") for word in _words(folder / name)
        ]
        if len(words) == 2 and all(word.isdigit() and int(word) for word in words):  # "max" and -1 mean no quota
            yield int(words[0]) / int(words[1])


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups around the process, of version 1 or 2, the innermost first."""
    try:
        lines = _MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers and controller not in controllers.split(","):
            continue
        root = _CGROUPS / controllers if controllers else _CGROUPS
        inner = root / path.lstrip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder == root or root in folder.parents)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return []

"""What a process of ours asks the operating system for."""

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
_NEVER = -1
_POLL_S = 1.0


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent is killed, so that no orphan goes on writing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def end_when_orphaned(grace_s: float = 10.0) -> None:
    """End this process some seconds after its parent, should the signal of `die_with_parent` not have ended it.

    Prefect answers that signal by reporting to its server, again and again when the server was killed as well.

    Args:
        grace_s: seconds to end by itself.
    """
    threading.Thread(target=_end_after, args=(os.getppid(), grace_s), daemon=True).start()


def _end_after(parent: int, grace_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    time.sleep(grace_s)
    os._exit(1)


def keep_freed_memory() -> None:
    """Let malloc reuse what was freed instead of giving it back to the system, where malloc is glibc's.

    A training step frees and asks for the same large blocks again; fetched from the system they come as zeroed pages,
    one fault for every 4 KiB, which takes a third of the time of a step (`benchmarks/kept_memory.py`).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)

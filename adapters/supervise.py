"""Run a server and end it with everything it started when whoever started it lets go of the pipe, even by dying.

Started by `adapters/servers.py` as a file, with the standard library alone: `python supervise.py GRACE_S COMMAND...`.
The starter holds the other end of standard input; closing it, or dying, ends the server: SIGTERM, then SIGKILL.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

_POLL_S = 0.02
_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Run the command until it ends by itself or the pipe closes; return its exit status."""
    grace_s, command = float(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":  # processes whose parent died become ours, whichever group they are in
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # A shell's background job ignores SIGINT and hands that on; Prefect's worker then never stops on SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # In a group of its own, so that a Ctrl-C in the terminal reaches the starter alone, which then stops in order.
    leader = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _send(leader.pid, signal.SIGTERM))
    threading.Thread(target=_end_with_pipe, args=(leader.pid, grace_s), daemon=True).start()
    status = _wait(leader.pid)
    _end(leader.pid, grace_s)  # what the leader left behind
    return status if status >= 0 else 128 - status


def _wait(leader: int) -> int:
    """Wait for the leader and bury orphans meanwhile: a dead one still looks alive to whoever asks for its number."""
    while True:
        try:
            process, status = os.waitpid(-1, 0)
        except ChildProcessError:  # the other thread, which ends everything, buried the leader
            return 0
        if process == leader:
            return os.waitstatus_to_exitcode(status)


def _end_with_pipe(group: int, grace_s: float) -> None:
    while os.read(sys.stdin.fileno(), 64):
        continue
    _end(group, grace_s)


def _end(group: int, grace_s: float) -> None:
    """Ask the group and adopted orphans to end, and kill what is left after the grace period."""
    deadline = time.monotonic() + grace_s
    asked: set[int] = set()
    while left := _running(group):
        late = time.monotonic() > deadline
        for process in left if late else left - asked:
            _send(process, signal.SIGKILL if late else signal.SIGTERM)
        asked |= left
        time.sleep(_POLL_S)


def _running(group: int) -> set[int]:
    """Return the group while it has a living member, and the adopted orphans; the dead ones are reaped."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    found = {int(pid) for pid in children.read_text(encoding="ascii").split()} if children.exists() else set()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, 0)
        found.add(group)
    return found


def _send(process: int, name: signal.Signals) -> None:
    for send in (os.killpg, os.kill):  # a leader stands for its group
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(process, name)
            return


if __name__ == "__main__":
    sys.exit(main())

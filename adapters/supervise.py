"""Run a server and end it with its whole process group when whoever started it lets go of the pipe, even by dying.

Started by `adapters/servers.py` as a file, with the standard library alone: `python supervise.py GRACE_S COMMAND...`.
The starter holds the other end of standard input; closing it, or dying, ends the group: SIGTERM, then SIGKILL.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

_POLL_S = 0.02


def main() -> int:
    """Run the command until it ends by itself or the pipe closes; return its exit status."""
    grace_s, command = float(sys.argv[1]), sys.argv[2:]
    # A shell's background job ignores SIGINT and hands that on; Prefect's worker then never stops on SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # In a group of its own, so that a Ctrl-C in the terminal reaches the starter alone, which then stops in order.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _signal_group(child, signal.SIGTERM))
    threading.Thread(target=_end_with_pipe, args=(child, grace_s), daemon=True).start()
    status = child.wait()
    _end(child, grace_s)  # what the leader left behind
    return status if status >= 0 else 128 - status


def _end_with_pipe(child: "subprocess.Popen[bytes]", grace_s: float) -> None:
    while os.read(sys.stdin.fileno(), 64):
        continue
    _end(child, grace_s)


def _end(child: "subprocess.Popen[bytes]", grace_s: float) -> None:
    deadline = time.monotonic() + grace_s
    running = _signal_group(child, signal.SIGTERM)
    while running and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        running = _signal_group(child, None)
    if running:
        _signal_group(child, signal.SIGKILL)


def _signal_group(child: "subprocess.Popen[bytes]", name: signal.Signals | None) -> bool:
    """Send a signal to the group (None only asks); return whether any member is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, name or 0)
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())

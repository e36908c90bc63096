"""Run a server and end it with its whole process group when whoever started it lets go of the pipe, even by dying.

Started by `adapters/servers.py` as a file, with the standard library alone: `python supervise.py GRACE_S COMMAND...`.
The starter holds the other end of standard input; closing it, or dying, ends the group: SIGINT, SIGTERM, then SIGKILL.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    """Run the command until it ends by itself or the pipe closes; return its exit status."""
    grace_s, command = float(sys.argv[1]), sys.argv[2:]
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN if name == signal.SIGHUP else signal.SIG_DFL)
    # In a group of its own, so that a Ctrl-C in the terminal reaches the starter alone, which then stops in order.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603  our own command
    signal.signal(signal.SIGTERM, lambda *_: _start_ending(child, grace_s))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_pipe, args=(child, grace_s), daemon=True).start()
    status = child.wait()
    _signal_group(child, signal.SIGKILL)  # what the leader left behind
    return status if status >= 0 else 128 - status


def _end_with_pipe(child: "subprocess.Popen[bytes]", grace_s: float) -> None:
    while os.read(sys.stdin.fileno(), 64):
        continue
    _end(child, grace_s)


def _start_ending(child: "subprocess.Popen[bytes]", grace_s: float) -> None:
    threading.Thread(target=_end, args=(child, grace_s), daemon=True).start()


def _end(child: "subprocess.Popen[bytes]", grace_s: float) -> None:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        _signal_group(child, name)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace_s / 2)
            return


def _signal_group(child: "subprocess.Popen[bytes]", name: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, name)


if __name__ == "__main__":
    sys.exit(main())

"""Run a module as `python -m` does: in a copy of the project's warm process where one serves, else in this process.

`python -m adapters.launch MODULE ARGUMENT...` is the command of every stage. A fresh Python spends seconds on importing
the same packages in each of them; a copy of a process that has them needs milliseconds. See `adapters/warm_process.py`.
"""

import contextlib
import ctypes
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WARM = "ROOTSTOCK_WARM"  # the socket of this pipeline run's warm process, relative to the project
_PR_SET_PDEATHSIG = 1
_LENGTH_BYTES = 8
_KILLED = 1


class Copy:
    """A copy of the warm process that runs a module.

    Args:
        number: its process id.
        link: tells its exit code; closing it ends the copy.
    """

    def __init__(self, number: int, link: socket.socket) -> None:
        self.pid = number
        self._link = link
        self._code: int | None = None

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the exit code, 1 where something killed it; None when it still runs after the timeout."""
        if self._code is None and select.select([self._link], [], [], timeout_s)[0]:
            try:
                told = self._link.recv(1)
            except OSError:
                told = b""
            self._link.close()
            self._code = told[0] if told else _KILLED
        return self._code

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def ask(
    arguments: Sequence[str], streams: Sequence[int], environment: Mapping[str, str], *, leads: bool = False
) -> Copy | None:
    """Ask for a copy that runs a module in this directory; None when there is no warm process, or it refuses.

    Args:
        arguments: the module and its arguments.
        streams: file descriptors of its standard input, output and error.
        environment: its environment; what packages read on their import must be as in the warm process.
        leads: whether it leads a session of its own, with the processes that it starts.
    """
    address = os.environ.get(WARM)
    if not address:
        return None
    request = {
        "arguments": list(arguments),
        "directory": str(Path.cwd()),
        "environment": dict(environment),
        "python": sys.prefix,
        "leads": leads,
    }
    content = json.dumps(request).encode()
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(address)
        socket.send_fds(link, [len(content).to_bytes(_LENGTH_BYTES)], list(streams))
        link.sendall(content)
        number = int.from_bytes(link.recv(_LENGTH_BYTES))
    except OSError:
        number = 0
    if number == 0:
        link.close()
        return None
    return Copy(number, link)


def main() -> None:
    """Run the module that the command line names, and end as it does."""
    arguments = sys.argv[1:]
    copy = ask(arguments, (0, 1, 2), os.environ)
    if copy is None:
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        return
    _pass_on_signals(copy)
    os._exit(copy.wait() or 0)


def _pass_on_signals(copy: Copy) -> None:
    """Send the copy what this process is sent, also by Linux when its parent is killed."""

    def pass_on(number: int, _: Any) -> None:
        copy.send(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    main()

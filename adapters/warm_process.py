"""A process that has imported the heavy packages once and forks a copy of itself for every module it is asked to run.

Started by `adapters/servers.py` as a file, with the standard library alone: `python warm_process.py SOCKET GROUP...`, a
group being packages joined by commas. They are third-party ones, never the project's own code: a copy reads that anew,
as a fresh Python would. A process that forks has one thread, so that its copies lack none. Each group is imported by a
child that takes over when it has it, so that nobody waits for what only later stages use. Whoever asks sends its
standard streams, directory, environment and arguments, is told the number of the copy and, at the end, its exit code;
when it goes away, the copy is told to end.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

# What differs between the stages of one run and is read when it is used. Anything else is read on import as well, so a
# caller in which it differs is refused, and runs its module itself.
_FREE = ("ROOTSTOCK_", "DVC_")
_FREE_NAMES = frozenset({"PATH", "PWD", "OLDPWD", "SHLVL", "_", "LINES", "COLUMNS", "PREFECT_API_URL"})
_REQUEST_TIMEOUT_S = 5.0
_GRACE_S = 10.0
_LENGTH_BYTES = 8
_ASKED = {"arguments", "directory", "environment", "python", "leads"}
_PR_SET_PDEATHSIG = 1
_ARG_START, _ARG_END = 45, 46  # of /proc/PID/stat, counted after the name

_given = dict(os.environ)  # as it was before the imports: scikit-learn's adds to it
_exit_code = 1


def main() -> NoReturn:
    """Import the packages and serve until the end of whoever started this process."""
    address, groups = sys.argv[1], sys.argv[2:]
    del sys.path[0]  # this file's folder
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # copies are not waited for: they report by themselves
    with socket.socket(socket.AF_UNIX) as listener:
        _bind(listener, Path(address))
        for group in groups:
            _grow(listener, group.split(","))
        while True:
            _serve(listener)


def _grow(listener: socket.socket, packages: list[str]) -> None:
    """Return in a child that has imported the packages, and serve until then; return here if they kill that child."""
    done, told = os.pipe()
    if os.fork() == 0:
        os.close(done)
        _end_with_parent()
        for package in packages:
            with contextlib.suppress(ImportError):  # who needs it will say so
                importlib.import_module(package)
        gc.collect()
        gc.freeze()
        os.write(told, b"1")
        os.close(told)
        return
    os.close(told)
    while done not in select.select([listener.fileno(), done], [], [])[0]:
        _serve(listener)
    while os.read(done, 1):
        signal.pause()
    os.close(done)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _bind(listener: socket.socket, address: Path) -> None:
    """Listen to processes of this user; what an earlier, killed process left there is replaced."""
    address.unlink(missing_ok=True)
    mask = os.umask(0o177)
    listener.bind(str(address))
    os.umask(mask)
    listener.listen()


def _serve(listener: socket.socket) -> None:
    asker, _ = listener.accept()
    with asker:
        try:
            request, streams = _receive(asker)
        except (OSError, ValueError):
            return
        refused = request["python"] != sys.prefix or _setting(request["environment"]) != _setting(_given)
        if not refused and os.fork() == 0:
            listener.close()
            _become(socket.socket(fileno=asker.detach()), request, streams)
        for stream in streams:
            os.close(stream)
        if refused:
            asker.sendall(bytes(_LENGTH_BYTES))


def _receive(asker: socket.socket) -> tuple[dict[str, Any], list[int]]:
    asker.settimeout(_REQUEST_TIMEOUT_S)
    head, streams, *_ = socket.recv_fds(asker, _LENGTH_BYTES, 3)
    request = None
    try:
        with asker.makefile("rb") as stream:
            request = json.loads(stream.read(int.from_bytes(head)))
    finally:
        is_request = isinstance(request, dict) and request.keys() == _ASKED
        for number in () if is_request else streams:
            os.close(number)
    if not is_request:
        raise ValueError("this is no request")
    asker.settimeout(None)
    return request, streams


def _setting(environment: dict[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name not in _FREE_NAMES and not name.startswith(_FREE) and value != ""
    }


def _become(asker: socket.socket, request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Run the module in this copy as `python -m` would, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _end_with_parent()
    if request["leads"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    environment, arguments = request["environment"], request["arguments"]
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(request["directory"])
    _name_itself(["python", "-m", *arguments])
    asker.sendall(os.getpid().to_bytes(_LENGTH_BYTES))
    threading.Thread(target=_end_with, args=(asker,), daemon=True).start()
    atexit.register(_end, asker)
    _run(arguments)


def _run(arguments: list[str]) -> NoReturn:
    global _exit_code  # noqa: PLW0603  the interpreter tells no atexit function how it ends
    sys.argv = list(arguments)
    sys.path.insert(0, str(Path.cwd()))
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        _exit_code = 0
    except SystemExit as end:
        _exit_code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  what the interpreter does at its top
        traceback.print_exc()
    sys.exit(_exit_code)


def _end(asker: socket.socket) -> NoReturn:
    """Report the exit code after everything else that runs at exit; taking the packages apart would take longer."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    with contextlib.suppress(OSError):
        asker.sendall(bytes([_exit_code & 0xFF]))
    os._exit(_exit_code)


def _end_with(asker: socket.socket) -> None:
    """End this copy when whoever asked for it is gone."""
    with contextlib.suppress(OSError):
        while asker.recv(1):
            continue
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)


def _name_itself(words: list[str]) -> None:
    """Show another command line to `ps`; it is cut to the room that the first one took."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
        text = b"".join(word.encode() + b"\0" for word in words)[: end - start - 1]
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


if __name__ == "__main__":
    main()

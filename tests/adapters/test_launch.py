"""A module runs the same in a copy of the warm process as in a Python of its own, and ends as it does."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import launch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a warm process forks, which is safe on Linux alone")

MODULE = """
import json, os, signal, sys, threading, time
{body}
"""
FACTS = """
print(json.dumps({"argv": sys.argv[1:], "name": __name__, "cwd": os.getcwd(), "own": os.environ.get("ROOTSTOCK_OWN"),
                  "warm": "wave" in sys.modules, "threads": threading.active_count(), "python": sys.prefix}))
"""
LINGER = "import pathlib; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"


@pytest.fixture
def warm(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[subprocess.Popen[bytes]]":
    """Keep a warm process in a folder, and change there; it has imported `wave`, which nothing else here does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # it changes between here and the test
    server = subprocess.Popen(
        [sys.executable, root / "adapters" / "warm_process.py", "warm.sock", "wave", "no_such_thing"]
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "warm.sock").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    monkeypatch.setenv(launch.WARM, "warm.sock")
    yield server
    server.kill()
    server.wait()


def write(body: str) -> None:
    Path("chosen.py").write_text(MODULE.format(body=body), encoding="utf-8")


def start(*arguments: str, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "adapters.launch", "chosen", *arguments],
        env={name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"} | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ending(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def seen(*arguments: str, **more: str) -> dict[str, object]:
    code, out, err = ending(start(*arguments, **more))
    assert (code, err) == (0, "")
    facts: dict[str, object] = json.loads(out)
    return facts


def lingering() -> int:
    deadline = time.monotonic() + 20
    while not Path("pid").exists() or not Path("pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(Path("pid").read_text())


def passing_on(pid: int) -> bool:
    """Wait until whoever asked for a copy sends it what it is sent itself; SIGTERM is the last that it takes over."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        if int(status["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1:
            return True
        time.sleep(0.01)
    return False


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not Path(f"/proc/{pid}").exists()


def test_copy_sees_what_a_python_of_its_own_would(warm: object) -> None:
    write(FACTS)
    deadline = time.monotonic() + 20
    while not (copy := seen("a", "b c", ROOTSTOCK_OWN="1"))["warm"]:
        assert time.monotonic() < deadline
    alone = seen("a", "b c", ROOTSTOCK_OWN="1", ROOTSTOCK_WARM="")
    assert (copy.pop("warm"), alone.pop("warm")) == (True, False)
    assert copy.pop("threads") == 2  # one of them watches for the end of whoever asked
    assert alone.pop("threads") == 1
    assert copy == alone


def test_code_is_read_anew_each_time(warm: object) -> None:
    write("print('before')")
    assert ending(start()) == (0, "before\n", "")
    write("print('after')")
    assert ending(start()) == (0, "after\n", "")


@pytest.mark.parametrize(
    ("body", "code", "word"),
    [
        ("sys.exit(0)", 0, ""),
        ("sys.exit(2)", 2, ""),
        ("sys.exit('a sentence')", 1, "a sentence"),
        ("[][1]", 1, "IndexError"),
        ("import atexit; atexit.register(print, 'late', file=sys.stderr)", 0, "late"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 1, ""),
    ],
)
def test_copy_ends_as_its_module_does(warm: object, body: str, code: int, word: str) -> None:
    write(body)
    ended, out, err = ending(start())
    assert (ended, out) == (code, "")
    assert word in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_reaches_the_copy(warm: object, number: signal.Signals) -> None:
    write(f"signal.signal({int(number)}, lambda *_: sys.exit(7)); {LINGER}")
    process = start()
    lingering()
    assert passing_on(process.pid)
    process.send_signal(number)
    assert ending(process)[0] == 7


def test_copy_ends_when_whoever_asked_is_killed(warm: object) -> None:
    write(LINGER)
    process = start()
    pid = lingering()
    process.kill()
    assert gone(pid)
    process.communicate()


def test_copy_ends_with_the_warm_process(warm: "subprocess.Popen[bytes]") -> None:
    write(LINGER)
    process = start()
    pid = lingering()
    warm.kill()
    assert gone(pid)
    assert ending(process)[0] == 1


def test_copy_is_listed_under_the_command_it_runs(warm: object) -> None:
    write(LINGER)
    process = start()
    pid = lingering()
    assert "chosen" in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    process.kill()
    process.communicate()


def test_other_settings_than_those_at_the_imports_are_refused(warm: object) -> None:
    write(FACTS)
    deadline = time.monotonic() + 20
    while not seen()["warm"]:
        assert time.monotonic() < deadline
    assert not seen(MLFLOW_LOGGING_LEVEL="ERROR")["warm"]


@pytest.mark.parametrize("content", [b"{}", b"[]", b"\xff", b"null", b'{"python": 1}', b""])
def test_what_is_no_request_ends_nothing(warm: "subprocess.Popen[bytes]", content: bytes) -> None:
    write(FACTS)
    with socket.socket(socket.AF_UNIX) as link, Path("chosen.py").open() as stream:
        link.connect("warm.sock")
        socket.send_fds(link, [len(content).to_bytes(8)], [stream.fileno()] * 3)
        with contextlib.suppress(BrokenPipeError):  # it may have hung up by now
            link.sendall(content)
            link.shutdown(socket.SHUT_WR)
        assert link.recv(8) == b""
    deadline = time.monotonic() + 20
    while not seen()["warm"]:
        assert time.monotonic() < deadline
    assert warm.poll() is None
    assert not [
        link for link in Path(f"/proc/{warm.pid}/fd").iterdir() if link.readlink() == Path("chosen.py").resolve()
    ]


def test_without_a_warm_process_the_module_runs_here(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv(launch.WARM, "nobody.sock")
    write(FACTS)
    assert seen("x")["argv"] == ["x"]

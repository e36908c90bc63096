"""Join the processes that train together: those that torchrun started, or others that are started here.

A process that is killed closes its connections, which every other one finds at its next exchange. A process that was
started here ends with the one that started it: it holds the other end of its standard input.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from adapters import environment
from adapters.machine import usable_cores
from transfer.errors import EnvironmentFault, UserError

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]  # torch offers it without saying so

_HOST = "127.0.0.1"
_LOOPBACK = {"linux": "lo", "darwin": "lo0"}
_TOGETHER_S = 120.0  # until all processes have met
_EXCHANGE = timedelta(hours=2)  # process 0 probes and measures alone meanwhile; a killed process is found at once
_LET_GO_S = 10.0
_POLL_S = 0.05
_KNOWN_S = 2.0


@dataclass(frozen=True)
class Place:
    """A process's place among those that train together.

    Args:
        rank: its number, in [0, size).
        size: how many there are.
        local_rank: its number among those on its machine.
        local_size: how many there are on its machine.
        started: processes that this one started.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    started: "tuple[subprocess.Popen[bytes], ...]" = field(default=(), repr=False)

    @property
    def threads(self) -> int:
        """Return the threads that this process may keep busy: its share of the machine's cores."""
        return max(1, usable_cores() // self.local_size)

    def endings(self) -> str:
        """Say how processes that were started here ended, as far as they have."""
        deadline = time.monotonic() + _KNOWN_S  # a killed process is found by its connection before its end is known
        while self.started and time.monotonic() < deadline and not any(one.poll() for one in self.started):
            time.sleep(_POLL_S)
        ended = [(rank, process.poll()) for rank, process in enumerate(self.started, 1)]
        return "; ".join(f"process {rank} {_ending(code)}" for rank, code in ended if code)


def _given() -> Place | None:
    """Return the place that the environment gives this process; None where it gives none.

    Raises:
        UserError: torchrun's variables are no numbers.
    """
    own = environment.get(environment.RANK_PLACE)
    if own is not None:
        rank, size, _ = (int(word) for word in own.split())
        return Place(rank, size, rank, size)
    if environment.get("RANK") is None or environment.get("WORLD_SIZE") is None:
        return None
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    try:
        rank, size, local_rank, local_size = (
            int(environment.get(name) or default) for name, default in zip(names, "0101", strict=True)
        )
    except ValueError as error:
        raise UserError(
            "RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE in the environment must be whole numbers; "
            "let torchrun set them, or unset them."
        ) from error
    return Place(rank, size, local_rank, local_size)


@contextmanager
def joined(module: str, processes: int, *, on_gpus: bool) -> Iterator[Place]:
    """Join the processes of a run, starting those that are missing; torch's default group is theirs meanwhile.

    Args:
        module: what `python -m` runs in the others.
        processes: how many train together, at least 1; where torchrun started this one, as many as it did.
        on_gpus: whether sums are exchanged between GPUs.

    Raises:
        UserError: torchrun started another number than `processes`, which is not 1.
        EnvironmentFault: they do not meet.
    """
    given = _given()
    if given is None and processes == 1:
        yield Place()
        return
    if given is not None and processes not in (1, given.size):
        raise UserError(
            f"finetune.processes is {processes}, but {given.size} were started together; "
            "make it 1, which means as many as are started, or the same number."
        )
    if given is not None and given.size == 1:
        yield given
        return
    with _met(given, module, processes, on_gpus=on_gpus) as place:
        yield place


@contextmanager
def _met(given: Place | None, module: str, processes: int, *, on_gpus: bool) -> Iterator[Place]:
    from torch import distributed

    place = given or Place(0, processes, 0, processes)
    local = place.size == place.local_size
    if local and sys.platform in _LOOPBACK and environment.get("GLOO_SOCKET_IFNAME") is None:
        environment.put("GLOO_SOCKET_IFNAME", _LOOPBACK[sys.platform])  # the machine's name may lead nowhere
    if environment.get(environment.RANK_PLACE) is not None:
        threading.Thread(target=_end_with_starter, daemon=True).start()
    started: list[subprocess.Popen[bytes]] = []
    try:
        try:
            store = _store(place, given, module, started)
            _await(store, place, started)
            backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
            distributed.init_process_group(
                backend, store=store, timeout=_EXCHANGE, rank=place.rank, world_size=place.size
            )
        except RuntimeError as error:
            raise EnvironmentFault(
                f"The {place.size} processes of the run did not meet: {str(error).splitlines()[0]}"
            ) from error
        yield Place(place.rank, place.size, place.local_rank, place.local_size, tuple(started))
    finally:
        if distributed.is_initialized():
            with contextlib.suppress(RuntimeError):
                distributed.destroy_process_group()
        _let_go(started)


def _store(place: Place, given: Place | None, module: str, started: "list[subprocess.Popen[bytes]]") -> "Store":
    """Return where the processes meet; start those that are missing."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # as above
    from torch.distributed.rendezvous import rendezvous

    limit = timedelta(seconds=_TOGETHER_S)
    own = environment.get(environment.RANK_PLACE)
    if own is not None:
        return TCPStore(_HOST, int(own.split()[2]), place.size, is_master=False, timeout=limit)
    if given is not None:
        store: Store = next(rendezvous("env://", timeout=limit))[0]
        return store
    own_store = TCPStore(_HOST, 0, place.size, is_master=True, timeout=limit, wait_for_workers=False)
    started += [_start(module, rank, place.size, own_store.port) for rank in range(1, place.size)]
    return own_store


def _await(store: "Store", place: Place, started: "list[subprocess.Popen[bytes]]") -> None:
    store.set(f"here/{place.rank}", "1")
    missing, deadline = [f"here/{rank}" for rank in range(place.size)], time.monotonic() + _TOGETHER_S
    while not store.check(missing):
        ended = Place(started=tuple(started)).endings() if any(one.poll() is not None for one in started) else ""
        if ended or time.monotonic() > deadline:
            raise EnvironmentFault(
                f"The {place.size} processes of the run did not meet: {ended or 'they took too long to start'}."
            )
        time.sleep(_POLL_S)


def _start(module: str, rank: int, size: int, port: int) -> "subprocess.Popen[bytes]":
    """Start a process that takes part; it ends when its standard input does."""
    settings = {**os.environ, environment.RANK_PLACE: f"{rank} {size} {port}"}
    command = [sys.executable, "-m", "adapters.launch", module]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=settings,
        start_new_session=True,  # a Ctrl-C in the terminal reaches this process alone, which ends the others
    )


def _let_go(started: "list[subprocess.Popen[bytes]]") -> None:
    """Give the processes a while to end by themselves, and end those that do not."""
    deadline = time.monotonic() + _LET_GO_S
    for process in started:
        if process.stdin is not None:
            process.stdin.close()
    for process in started:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_with_starter() -> None:
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 64):
            continue
    time.sleep(_LET_GO_S / 2)  # its work may be done, or it is ending by itself
    os._exit(1)


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

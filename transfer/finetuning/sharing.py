"""Values at a freeze boundary by several processes: each computes its share, process 0 alone looks and keeps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from transfer.backbones.executors import BATCH_SIZE, Run, prepare
from transfer.finetuning.caching import Compute, Execute, Keep
from transfer.finetuning.parallel import Ranks, filled_share

_CHUNK = 8 * BATCH_SIZE  # rows a process computes between two exchanges


def kept_together(ranks: Ranks, keep: Keep) -> Keep:
    """Return what keeps rows for all processes: what is missing is computed in shares, and all get all of it.

    Args:
        ranks: the processes; each calls what is returned with the same rows.
        keep: where process 0 keeps them.
    """

    def kept(what: Mapping[str, Any], keys: Sequence[str], compute: Compute) -> Tensor:
        if ranks.rank == 0:
            values = keep(what, keys, lambda missing: _led(ranks, missing, compute))
            ranks.told({"rows": torch.empty(0, dtype=torch.int64)})
            return ranks.told({"values": values})[0]["values"]
        while len(rows := ranks.told({})[0]["rows"]):
            for _ in _computed(ranks, rows, compute):
                continue
        return ranks.told({})[0]["values"]

    return keep if ranks.size == 1 else kept


def chosen_together(ranks: Ranks, execute: Execute) -> Execute:
    """Return what finds an executor for all processes: the one that process 0 chooses while the others wait."""

    def chosen(network: nn.Module, sample: Tensor, n_images: int) -> tuple[str, Run]:
        if ranks.rank == 0:
            name, run = execute(network, sample, n_images)
            ranks.told({}, name)
            return name, run
        name = ranks.told({})[1]
        return name, prepare(name, network, sample[:1])

    return execute if ranks.size == 1 else chosen


def _led(ranks: Ranks, missing: Sequence[int], compute: Compute) -> Iterator[Tensor]:
    rows = torch.tensor(list(missing), dtype=torch.int64)
    if len(rows):
        ranks.told({"rows": rows})
        yield from _computed(ranks, rows, compute)


def _computed(ranks: Ranks, rows: Tensor, compute: Compute) -> Iterator[Tensor]:
    """Yield what all processes compute for rows, chunk by chunk."""
    for chunk in rows.split(_CHUNK * ranks.size):
        part, counted = filled_share(len(chunk), ranks.rank, ranks.size)
        own = torch.cat(list(compute(chunk[part].tolist())))
        yield ranks.gathered(own if counted else own[:0], len(chunk))

"""Which device training runs on, what it is, and what memory it has left."""

from typing import TYPE_CHECKING

from adapters import environment
from adapters.machine import free_memory_bytes
from transfer.errors import UserError

if TYPE_CHECKING:
    import torch

AUTO = "auto"


def device_of(name: str, local_rank: int = 0, local_size: int = 1) -> "torch.device":
    """Return the device that a process trains on.

    Args:
        name: `auto` (a GPU where there is one), `cpu`, `cuda` (one GPU a process) or `cuda:N`.
        local_rank: the process's number on its machine.
        local_size: processes on its machine.

    Raises:
        UserError: there is no such GPU, or not one for each process.
    """
    import torch

    if name == "cpu":
        return torch.device("cpu")
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == AUTO:
        return torch.device("cuda", local_rank) if n_gpus >= local_size else torch.device("cpu")
    wanted, _, number = name.partition(":")
    index = int(number) if number else local_rank
    if index >= n_gpus:
        what = f"GPU number {index}" if n_gpus else "GPU"
        has = f"; there {'is' if n_gpus == 1 else 'are'} {n_gpus}" if n_gpus else " that this PyTorch can use"
        raise UserError(f"finetune.device is {name!r}, but this machine has no {what}{has}; choose auto or cpu.")
    if number and local_size > 1:
        raise UserError(
            f"finetune.device is {name!r}, which {local_size} processes cannot share; choose cuda, one GPU a process."
        )
    return torch.device(wanted, index)


def prepare_device(device: "torch.device") -> None:
    """Make a GPU this process's own, and let it choose deterministic operations wherever it has them."""
    import torch

    if device.type != "cuda":
        return
    if environment.get("CUBLAS_WORKSPACE_CONFIG") is None:  # without it matrix products are summed in any order
        environment.put("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.cuda.set_device(device)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32: validation and frozen prefixes are judged by it
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.use_deterministic_algorithms(True, warn_only=True)


def device_facts(device: "torch.device") -> dict[str, str | bool]:
    """Return what a record says of a device: its name, and whether a repeated run is promised the same bits.

    On a GPU it is not: operations that have no deterministic form run all the same.
    """
    import torch

    if device.type != "cuda":
        return {"device": device.type, "deterministic": True}
    return {"device": f"{device} {torch.cuda.get_device_name(device)}", "deterministic": False}


def free_device_bytes(device: "torch.device", local_size: int = 1) -> int:
    """Return the memory that a process may still take for training: a GPU's own, or its share of the machine's."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()  # what torch holds without using it is free
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory_bytes() // local_size

"""Executors: ways to run a frozen network on a processor, fast, and each row the same whatever runs beside it.

    name              what it does
    eager             PyTorch as it is, images channels last in memory
    folded            batch norms folded into the convolutions before them, weights channels last, on a copy
    folded-bfloat16   the same under autocast to bfloat16: about three decimal digits
    onnxruntime       the graph exported to ONNX and run by ONNX Runtime, in float32

Every executor takes one tensor and returns one; weights and modes of the network it was made from stay as they are.

Source of folding: Jacob et al. 2018, "Quantization and training of neural networks for efficient
integer-arithmetic-only inference", equation 14.
"""

import io
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from transfer.backbones.modes import evaluating
from transfer.records import Preprocess

Run = Callable[[Tensor], Tensor]

EAGER, FOLDED, FOLDED_BFLOAT16, ONNXRUNTIME = "eager", "folded", "folded-bfloat16", "onnxruntime"
NAMES = (EAGER, FOLDED, FOLDED_BFLOAT16, ONNXRUNTIME)
BATCH_SIZE = 8  # from here to 32 speeds differ by less than 5 % (decision 16), and padding wastes least


class UnavailableError(Exception):
    """An executor cannot run this network here; the sentence says why."""


class FromPixels(nn.Module):
    """A network that takes pixels: normalisation and what follows it as one graph.

    Args:
        network: float32 (N, 3, H, W), normalised -> (N, ...).
        preprocess: mean and standard deviation in [0, 1].
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.network = network
        device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
        mean, std = (
            torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (preprocess.mean, preprocess.std)
        )
        self.register_buffer("offset", 255.0 * mean, persistent=False)
        self.register_buffer("scale", 1.0 / (255.0 * std), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return what the network makes of uint8 (N, 3, H, W), RGB."""
        made: Tensor = self.network((pixels.to(torch.float32) - self.offset) * self.scale)
        return made


def prepare(name: str, network: nn.Module, example: Tensor) -> Run:
    """Make an executor.

    Args:
        name: one of `NAMES`.
        network: one tensor in, one tensor (N, ...) out; it runs in evaluation mode and is left as it is. While the
            executor is used its weights must not change: `eager` would see it, the others would not.
        example: (1, ...), what a row of its input looks like.

    Returns:
        Input of any number of rows, on the device of `example` -> float32 output on the CPU, without a gradient.

    Raises:
        UnavailableError: the executor cannot run this network, or not on this device.
    """
    if name != EAGER and example.device.type != "cpu":
        raise UnavailableError(f"{name} runs on the processor, and the network is on {example.device}")
    makers = {EAGER: _eager, FOLDED: _folded, FOLDED_BFLOAT16: _folded_bfloat16, ONNXRUNTIME: _onnxruntime}
    try:
        with warnings.catch_warnings(), evaluating(network):
            warnings.simplefilter("ignore")  # tracers remark on Python values that they fix, which is what is wanted
            return makers[name](network, example)
    except UnavailableError:
        raise
    except Exception as error:  # what tracers and exporters cannot do, they say with exceptions of every kind
        raise UnavailableError(f"{name} cannot run it ({type(error).__name__}: {_first_line(error)})") from error


def run_rows(
    run: Run, rows: Tensor, batch_size: int = BATCH_SIZE, advance: Callable[[int], None] = lambda _: None
) -> Iterator[Tensor]:
    """Run an executor over rows in batches of one size, the last one filled up, and yield what each batch gave.

    With one size, the bits of a row depend neither on the rows beside it nor on how many there are; where an executor
    does not keep that for a network, `transfer.backbones.trial` finds it out.

    Args:
        run: what `prepare` returned.
        rows: (N, ...).
        batch_size: at least 1.
        advance: called with the number of rows done, after every batch.

    Yields:
        float32 (n, ...), n at most `batch_size`.
    """
    for batch in rows.split(batch_size) if len(rows) else ():
        n_rows, n_filled = len(batch), batch_size - len(batch)
        full = torch.cat((batch, batch[:1].expand(n_filled, *batch.shape[1:]))) if n_filled else batch
        yield run(full)[:n_rows]
        advance(n_rows)


def _eager(network: nn.Module, example: Tensor) -> Run:
    def run(rows: Tensor) -> Tensor:
        with evaluating(network), torch.inference_mode():
            made: Tensor = network(_channels_last(rows.to(example.device)))
            return made.float().cpu()

    return run


def _folded(network: nn.Module, example: Tensor) -> Run:
    copy = _fused(network)

    def run(rows: Tensor) -> Tensor:
        with torch.inference_mode():
            made: Tensor = copy(_channels_last(rows))
            return made.float()

    run(example)
    return run


def _folded_bfloat16(network: nn.Module, example: Tensor) -> Run:
    folded = _folded(network, example)

    def run(rows: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return folded(rows)

    return run


def _onnxruntime(network: nn.Module, example: Tensor) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what fails is raised
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # no faster, and it starves who decodes
    graph = _exported(network, example)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(rows: Tensor) -> Tensor:
        (made,) = session.run(None, {"rows": rows.contiguous().numpy()})
        return torch.from_numpy(made).float()

    n_made = len(run(torch.cat((example, example))))
    if n_made != 2:  # a trace can fix the number of rows where the network computes with it
        raise UnavailableError(f"{ONNXRUNTIME} gives {n_made} rows for 2")
    return run


def _exported(network: nn.Module, example: Tensor) -> bytes:
    """Return the network as an ONNX graph with any number of rows.

    The exporter that traces is used because it takes a quarter of the time of the one on `torch.export`, and its graphs
    run a fifth faster (docs/decisions/0016-a-frozen-trunk-runs-in-onnx-runtime.md).
    """
    stream, fast_attention = io.BytesIO(), torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # ONNX has no name for that operator
    try:
        with torch.no_grad():
            torch.onnx.export(
                network,
                (example,),
                stream,  # type: ignore[arg-type]  # a path by its types, and a stream as well by what it does
                dynamo=False,
                input_names=["rows"],
                output_names=["made"],
                dynamic_axes={"rows": {0: "n"}, "made": {0: "n"}},
            )
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_attention)
    return stream.getvalue()


def _fused(network: nn.Module) -> nn.Module:
    from torch.fx.experimental.optimization import fuse

    copy: nn.Module = fuse(network)
    return copy.eval().to(memory_format=torch.channels_last)


def _channels_last(rows: Tensor) -> Tensor:
    return rows.contiguous(memory_format=torch.channels_last) if rows.dim() == 4 else rows


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no reason given").splitlines()[0].rstrip(".")

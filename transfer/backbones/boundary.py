"""Cut a trunk where training begins: what no trained weight touches is computed once, the rest again and again.

The cut follows the flow of data, not a list of architectures: a value belongs to the prefix when neither it nor
anything it is computed from depends on a trained weight or on a module in training mode.

Source: symbolic tracing, Reed et al. 2022, "Torch.fx: practical program capture and transformation", arXiv:2112.08429.
"""

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from transfer.backbones.backbone import Backbone
from transfer.backbones.digests import digest_of
from transfer.backbones.operations import n_operations, shapes_of

_OF_TORCHVISION = "torchvision.ops."


@dataclass(frozen=True, slots=True)
class Boundary:
    """A trunk in two parts that share its weights: `suffix(prefix(images))` are the trunk's features, bit for bit.

    Args:
        prefix: float (N, 3, H, W), normalised -> float (N, width); everything in it is frozen.
        suffix: float (N, width) -> float (N, feature_dim); what is trained.
        width: numbers an image leaves at the boundary.
        after: the last operation before the boundary, as the traced graph names it.
        frozen_share: the prefix's share of the floating point operations of a forward pass, in [0, 1].
    """

    prefix: nn.Module
    suffix: nn.Module
    width: int
    after: str
    frozen_share: float

    def digest(self) -> str:
        """Return the sha256 over names, shapes and bytes of the prefix's weights and statistics, and over its graph."""
        graph = str(getattr(self.prefix, "graph", ""))
        return hashlib.sha256(f"{graph}{digest_of(self.prefix)}".encode()).hexdigest()


def cut(backbone: Backbone) -> Boundary | None:
    """Cut a trunk at the first values that training changes.

    Args:
        backbone: some of its groups made trainable, see `transfer.finetuning.freezing.thaw`; with none the prefix is
            the whole trunk.

    Returns:
        The two parts; None where the trunk cannot be traced, where nothing is frozen before the first trained weight,
        or where something other than a value an image crosses the boundary.
    """
    try:
        graph = _Tracer().trace(backbone.trunk)
    except (fx.proxy.TraceError, TypeError, RuntimeError):
        return None  # control flow that depends on values: such a trunk runs whole
    later = _touched(backbone.trunk, graph)
    crossing = _crossing(graph, later)
    frozen = (node for node in graph.nodes if node.op == "call_module" and node not in later)
    if not any(_holds_weights(backbone, node) for node in frozen):
        return None
    shapes = _shapes(backbone, graph, crossing)
    if shapes is None:
        return None
    prefix = _module(backbone.trunk, _prefix_graph(graph, later, crossing))
    suffix = _module(backbone.trunk, _suffix_graph(graph, later, crossing, shapes))
    width = sum(math.prod(shape) for shape in shapes)
    return Boundary(prefix, suffix, width, crossing[-1].name, _frozen_share(backbone, prefix))


class _Tracer(fx.Tracer):
    """Keeps torchvision's own operators whole: some of them ask for their mode while they run."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Say whether a module is one node of the graph."""
        is_operator = type(m).__module__.startswith(_OF_TORCHVISION) and not isinstance(m, nn.Sequential)
        return is_operator or super().is_leaf_module(m, module_qualified_name)


def _touched(trunk: nn.Module, graph: fx.Graph) -> set[fx.Node]:
    """Return the nodes whose values training changes."""
    later: set[fx.Node] = set()
    for node in graph.nodes:
        if _is_trained(trunk, node) or any(source in later for source in node.all_input_nodes):
            later.add(node)
    return later


def _is_trained(trunk: nn.Module, node: fx.Node) -> bool:
    if node.op == "get_attr":
        value = _attribute(trunk, str(node.target))
        return isinstance(value, Tensor) and value.requires_grad
    if node.op != "call_module":
        return False
    module = trunk.get_submodule(str(node.target))
    return any(parameter.requires_grad for parameter in module.parameters()) or any(
        part.training for part in module.modules()
    )


def _holds_weights(backbone: Backbone, node: fx.Node) -> bool:
    return bool(backbone.trunk.get_submodule(str(node.target)).state_dict())


def _attribute(trunk: nn.Module, path: str) -> object:
    value: object = trunk
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _crossing(graph: fx.Graph, later: set[fx.Node]) -> list[fx.Node]:
    """Return the frozen nodes that the rest asks for; `later` gains those that the rest can compute from others."""
    while True:
        found = [node for node in graph.nodes if node.op != "get_attr" and _is_asked_for(node, later)]
        spare = next((node for node in found if _follows_from(node, found)), None)
        if spare is None:
            return found
        later.add(spare)


def _is_asked_for(node: fx.Node, later: set[fx.Node]) -> bool:
    return node not in later and any(user in later or user.op == "output" for user in node.users)


def _follows_from(node: fx.Node, crossing: list[fx.Node]) -> bool:
    """Say whether a value is a function without weights of others that cross anyway."""
    sources = [source for source in node.all_input_nodes if source.op != "get_attr"]
    return node.op in ("call_function", "call_method") and bool(sources) and all(one in crossing for one in sources)


def _shapes(backbone: Backbone, graph: fx.Graph, crossing: list[fx.Node]) -> list[tuple[int, ...]] | None:
    """Return the shape that every crossing value has for one image; None where one is no tensor with a row an image."""
    values = [value for value in _values(backbone, graph, crossing, n_images=2) if isinstance(value, Tensor)]
    if len(values) == len(crossing) and all(one.is_floating_point() and one.shape[:1] == (2,) for one in values):
        return [tuple(one.shape[1:]) for one in values]
    return None


def _values(backbone: Backbone, graph: fx.Graph, nodes: list[fx.Node], n_images: int) -> list[object]:
    """Run a part of the graph without computing: only shapes and types come of it."""
    picked = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node.op != "output":
            copies[node] = picked.node_copy(node, copies.__getitem__)
    picked.output(tuple(copies[node] for node in nodes))
    return list(shapes_of(_module(backbone.trunk, picked), _no_images(backbone, n_images)))


def _no_images(backbone: Backbone, n_images: int) -> Tensor:
    side = backbone.preprocess.crop_px
    return torch.empty(n_images, 3, side, side, device="meta")


def _module(trunk: nn.Module, graph: fx.Graph) -> fx.GraphModule:
    """Return a module that runs a graph with the trunk's own weights; what nothing asks for is left out."""
    made = fx.GraphModule(trunk, graph)
    made.graph.eliminate_dead_code()
    made.delete_all_unused_submodules()
    made.recompile()
    return made


def _prefix_graph(graph: fx.Graph, later: set[fx.Node], crossing: list[fx.Node]) -> fx.Graph:
    made = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node not in later and node.op != "output":
            copies[node] = made.node_copy(node, copies.__getitem__)
    flat = [made.call_function(torch.flatten, (copies[node], 1)) for node in crossing]
    made.output(flat[0] if len(flat) == 1 else made.call_function(torch.cat, (flat, 1)))
    return made


def _suffix_graph(
    graph: fx.Graph, later: set[fx.Node], crossing: list[fx.Node], shapes: list[tuple[int, ...]]
) -> fx.Graph:
    made = fx.Graph()
    rows = made.placeholder("rows")
    copies: dict[fx.Node, fx.Node] = {}
    at = 0
    for node, shape in zip(crossing, shapes, strict=True):
        part = made.call_method("narrow", (rows, 1, at, math.prod(shape)))
        at += math.prod(shape)
        copies[node] = made.call_method("unflatten", (part, 1, shape))
        if len(shape) == 3:  # convolutions on a processor run soonest on it
            copies[node] = made.call_method("contiguous", (copies[node],), {"memory_format": torch.channels_last})
    for node in graph.nodes:
        if node.op == "output":
            made.output(fx.map_arg(node.args[0], copies.__getitem__))
        elif node in later or node.op == "get_attr":
            copies[node] = made.node_copy(node, copies.__getitem__)
    return made


def _frozen_share(backbone: Backbone, prefix: nn.Module) -> float:
    of_prefix, of_all = (n_operations(network, _no_images(backbone, 1)) for network in (prefix, backbone))
    return of_prefix / of_all if of_all else 0.0

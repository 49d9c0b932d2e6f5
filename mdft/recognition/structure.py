"""The structure of a trainable NIR graph: nodes, checks, and the shapes of the outputs."""

from __future__ import annotations

import math
from collections.abc import Collection
from copy import copy
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hardware.graph.network import Network
from mdft.errors import UserError
from mdft.lif.grid import MOST_BITS
from mdft.recognition.neurons import SPIKING, Neurons
from mdft.recognition.weights import WEIGHTED, Weights

_POOLS = (nir.SumPool2d, nir.AvgPool2d)
_FIXED = (*_POOLS, nir.Flatten, nir.Input, nir.Output)
#: The nodes that a trainable graph may have.
TRAINABLE = tuple(kind.__name__ for kind in (*WEIGHTED, *SPIKING, *_FIXED))


def plain(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The same graph with numbers in the place of arrays without axes, which nir cannot write."""
    nodes = {name: copy(node) for name, node in graph.nodes.items()}
    for node in nodes.values():
        for field, value in vars(node).items():
            if isinstance(value, np.ndarray) and value.ndim == 0:
                setattr(node, field, value.item())
    return nir.NIRGraph(nodes, list(graph.edges), type_check=False)


def check_nodes(graph: nir.NIRGraph, lowered: Network) -> None:
    """Refuse a graph that cannot be trained.

    Args:
        graph: the graph.
        lowered: the same graph for the simulators.

    Raises:
        UserError: see :class:`mdft.recognition.network.SpikingGraph`.
    """
    for name, node in graph.nodes.items():
        if type(node).__name__ not in TRAINABLE:
            raise UserError(
                f"node {name!r} has type {type(node).__name__}, expected one of "
                f"{', '.join(TRAINABLE)} in a graph that is trained"
            )
    if len(lowered.inputs) != 1 or len(lowered.outputs) != 1:
        raise UserError(
            f"the graph has {len(lowered.inputs)} Inputs and {len(lowered.outputs)} Outputs, "
            "expected one of each"
        )
    (output,) = lowered.outputs.values()
    if output not in graph.nodes or not isinstance(graph.nodes[output], SPIKING):
        raise UserError("the Output is no node of spiking neurons, expected one that leads to it")
    for name, node in graph.nodes.items():
        if isinstance(node, WEIGHTED):
            edges = [(str(a), str(b)) for a, b in graph.edges]
            ends = [n for n, x in graph.nodes.items() if isinstance(x, (*SPIKING, *WEIGHTED))]
            for target, _ in nodes_after(name, edges, ends):
                if isinstance(graph.nodes[target], WEIGHTED):
                    raise UserError(
                        f"nodes {name!r} and {target!r} both have weights and no neurons between "
                        "them, expected one: fold them into one node"
                    )


def nodes_after(
    name: str, edges: list[tuple[str, str]], among: Collection[str]
) -> list[tuple[str, bool]]:
    """The nearest nodes of a set that a node leads to, and whether one edge does.

    Args:
        name: the node.
        edges: the graph's edges.
        among: the set; a path ends at its first node of it.
    """
    found: dict[str, bool] = {}
    waiting = [(b, True) for a, b in edges if a == name]
    while waiting:
        node, direct = waiting.pop()
        if node in among:
            found[node] = direct
        else:
            waiting += [(b, False) for a, b in edges if a == node]
    return list(found.items())


def output_shapes(
    graph: nir.NIRGraph, order: list[str], before: dict[str, list[str]], neurons: dict[str, Neurons]
) -> dict[str, tuple[int, ...]]:
    """The shape of every node's output, by a forward pass of zeros.

    Args:
        graph: the graph.
        order: its nodes, each after those that lead to it but for cycles.
        before: node → the nodes that lead to it.
        neurons: its nodes of neurons.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name in order:
        node = graph.nodes[name]
        if isinstance(node, nir.Input):
            shapes[name] = tuple(int(n) for n in node.input_type["input"])
        elif name in neurons:
            shapes[name] = neurons[name].shape
        else:
            known = [shapes[a] for a in before[name] if a in shapes]
            x = torch.zeros(1, 1, *known[0])
            if isinstance(node, WEIGHTED):
                module = Weights(name, node, np.ones(1), MOST_BITS, 1.0)
                x = module(x, torch.zeros(np.shape(node.weight)))
            else:
                x = through_fixed(node, x)
            shapes[name] = tuple(x.shape[2:])
    return shapes


def through_fixed(node: Any, x_BSX: Tensor) -> Tensor:
    """The output of a pooling, Flatten or Output, (B,S,…).

    Args:
        node: the node.
        x_BSX: its input.
    """
    if isinstance(node, nir.Flatten):
        shape = tuple(int(n) for n in np.ravel(node.output_type["output"]))
        return x_BSX.reshape(*x_BSX.shape[:2], *shape)
    if not isinstance(node, _POOLS):
        return x_BSX
    sizes = [
        tuple(int(n) for n in np.ravel(x)) for x in (node.kernel_size, node.stride, node.padding)
    ]
    area = math.prod(sizes[0]) if isinstance(node, nir.AvgPool2d) else 1
    kernel, stride, padding = sizes
    pooled = F.avg_pool2d(
        x_BSX.flatten(0, 1).float(), kernel, stride, padding, divisor_override=area
    )
    return pooled.unflatten(0, x_BSX.shape[:2])

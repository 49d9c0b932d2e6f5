"""Level 0 of parity: the graph in nirtorch with snnTorch neurons, without code of ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import nir
import numpy as np
import torch
from torch import Tensor, nn

from hardware.graph.graph import lower
from hardware.graph.network import DT
from hardware.graph.neurons import snap_decay
from mdft.errors import UserError

with warnings.catch_warnings():  # both packages cause warnings when imported
    warnings.simplefilter("ignore")
    import nirtorch
    import snntorch

FUSED = "fused_input"


class LeakyNode(nn.Module):
    """NIR's LIF as snnTorch's `Leaky` with reset to zero, one step per call.

    β = 1 − dt/τ, rounded to 1/4096 since τ is stored as float32. snnTorch resets at the start of
    the next step and returns the membrane before the reset; spikes are the same.

    The input is multiplied by r·dt/τ, which is 1 in the convention of unit gain.

    Raises:
        UserError: a LIF that `Leaky` cannot express (v_leak or v_reset ≠ 0).
    """

    def __init__(self, node: nir.LIF, dt: float = DT) -> None:
        super().__init__()
        decay = snap_decay(dt / np.asarray(node.tau, np.float64))
        if np.any(node.v_leak) or (node.v_reset is not None and np.any(node.v_reset)):
            raise UserError("a LIF has v_leak or v_reset ≠ 0; snnTorch's Leaky has neither")
        gain = snap_decay(np.asarray(node.r, np.float64) * decay)
        self.gain = torch.from_numpy(gain.astype(np.float32))
        self.leaky = snntorch.Leaky(
            beta=torch.from_numpy((1 - decay).astype(np.float32)),
            threshold=torch.from_numpy(np.asarray(node.v_threshold, np.float32)),  # type: ignore[arg-type]
            reset_mechanism="zero",
        )

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return spikes and membrane; `state` is the previous membrane, None at rest."""
        membrane = torch.zeros_like(x) if state is None else state
        return self.leaky(self.gain * x, membrane)


def _affine(node: nir.Affine) -> nn.Linear:
    # nirtorch's mapping leaves the bias at random values.
    module = nn.Linear(node.weight.shape[1], node.weight.shape[0], bias=True)
    module.weight.data = torch.from_numpy(node.weight)
    module.bias.data = torch.from_numpy(node.bias)
    return module


def fuse_inputs(graph: nir.NIRGraph) -> tuple[nir.NIRGraph, list[str]]:
    """Replace all Inputs by one with the concatenated channels: nirtorch supports only one.

    Each former Input becomes a Linear of zeros and ones that selects its channels, which is exact.

    Returns:
        The graph, and the names of the former inputs in the order of their channels.
    """
    names = sorted(graph.inputs)
    widths = [int(np.prod(graph.nodes[n].input_type["input"])) for n in names]
    select = np.eye(sum(widths), dtype=np.float32)
    nodes: dict[str, nir.NIRNode] = {
        FUSED: nir.Input(input_type={"input": np.array([sum(widths)])})
    }
    nodes |= {n: node for n, node in graph.nodes.items() if n not in names}
    start = 0
    for name, width in zip(names, widths, strict=True):
        nodes[name] = nir.Linear(weight=select[start : start + width])
        start += width
    return nir.NIRGraph(nodes, [*graph.edges, *((FUSED, n) for n in names)]), names


@torch.no_grad()
def run_graph(graph: nir.NIRGraph, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Run a graph in nirtorch with snnTorch neurons, every sample from rest.

    Args:
        graph: the result of `hardware.graph.file.read_nir`, which checks the names of the nodes:
            nirtorch inserts them into source code.
        inputs: float32 (B, S, width), by Input name.

    Returns:
        Spikes (B, S, N) of each LIF node, and of the Output under its name.

    Raises:
        UserError: `hardware.graph.graph.lower` refuses the graph, or it does not have exactly one
            Output: nirtorch does not terminate with two.
    """
    lower(graph)  # nirtorch accepts NaN, cycles and time constants of 0 without a message
    if len(graph.outputs) != 1:
        raise UserError(f"the graph has {len(graph.outputs)} Outputs, nirtorch runs graphs of one")
    several = len(graph.inputs) > 1
    fused, names = fuse_inputs(graph) if several else (graph, list(graph.inputs))
    module = nirtorch.nir_to_torch(fused, {nir.Affine: _affine, nir.LIF: LeakyNode})  # type: ignore[dict-item]
    steps: dict[str, list[Tensor]] = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.LIF):
            part = module.get_submodule(name.replace(".", "_"))
            part.register_forward_hook(_keep(steps.setdefault(name, [])))
    (output,) = graph.outputs
    steps[output] = []
    x_BSF = torch.cat([inputs[name] for name in names], dim=2)
    state = None
    for x_BF in x_BSF.unbind(1):
        spikes_BN, state = module(x_BF, state)
        steps[output].append(spikes_BN)
    return {name: torch.stack(found, 1) for name, found in steps.items()}


def _keep(found: list[Tensor]) -> Callable[..., None]:
    def hook(_module: nn.Module, _args: tuple, result: tuple[Tensor, Tensor]) -> None:
        found.append(result[0].clone())

    return hook

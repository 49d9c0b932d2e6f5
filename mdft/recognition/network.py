"""A NIR graph as a trainable network whose spikes are those of the graph that is written back."""

from __future__ import annotations

import math
from typing import NamedTuple

import nir
import numpy as np
import torch
from torch import Tensor, nn

from hardware.fixed_point.quantise import quantise
from hardware.graph.graph import lower
from hardware.graph.network import DT, Network, Population
from hardware.graph.topology import back_edges, topological
from mdft.errors import UserError
from mdft.lif.grid import GRID, MOST_BITS, Arithmetic
from mdft.lif.loihi import check_bits
from mdft.recognition.blocks import find_blocks
from mdft.recognition.neurons import Neurons, State
from mdft.recognition.structure import check_nodes, nodes_after, output_shapes, plain, through_fixed
from mdft.recognition.threshold import CURRENT, MovingThreshold, with_threshold_input
from mdft.recognition.weights import WEIGHTED, OnGrid, Weights


class Trace(NamedTuple):
    """Spikes and membranes before the reset of one node, (B,S,N)."""

    spikes_BSN: Tensor
    membranes_BSN: Tensor


class _Constant(NamedTuple):
    """What does not change over the steps of a signal on the way to neurons.

    Attributes:
        bias: shape of the signal, or None.
        unit: one unit of Loihi's synaptic input; None before any weights.
        grid: the power of two of which the signal's values are multiples before weights.
    """

    bias: Tensor | None
    unit: float | None
    grid: float


class SpikingGraph(nn.Module):
    """A NIR graph in PyTorch: weights of 2 to 8 bits, membranes in float or in Loihi's integers.

    Feed-forward graphs compute a node for all steps at once; graphs with cycles compute all nodes
    step by step, and an edge that closes a cycle delivers one step later, as in
    ``hardware.graph.graph.lower``. With arithmetic ``loihi`` the spikes and membranes equal those
    of :meth:`trained` in ``hardware.fixed_point.reference_int``, bit for bit.

    >>> import torch
    >>> from mdft.recognition.initial import initial_graph
    >>> from mdft.recognition.layers import parse_layers
    >>> graph = initial_graph(parse_layers("8c3s2-C", classes=3), (2, 8, 8), beta=0.75)
    >>> network = SpikingGraph(graph, arithmetic="loihi")
    >>> network(torch.ones(1, 5, 2, 8, 8)).shape
    torch.Size([1, 5, 3])

    Args:
        graph: one Input, one Output that one node of spiking neurons leads to, and nodes of
            ``TRAINABLE``; between two nodes of neurons there is at most one node with weights.
        arithmetic: ``float``, or ``loihi`` for integer membranes.
        bits: bits of a weight, 2 to 8.
        dt: seconds per step.
        alpha: sharpness of the surrogate gradient for a threshold of 1.
        headroom: by how much weights can grow before they saturate at their largest integer.
        threshold: makes the threshold of all neurons follow the events of each bin; the graph has
            the constant one, and :meth:`trained` adds the Input that moves it.

    Raises:
        UserError: the graph has another node, is no such graph, or Loihi cannot hold it.
        ValueError: a moving threshold and a cycle, or neurons with another β than its own.
    """

    def __init__(
        self,
        graph: nir.NIRGraph,
        *,
        arithmetic: Arithmetic = "float",
        bits: int = MOST_BITS,
        dt: float = DT,
        alpha: float = 2.0,
        headroom: float = 1.0,
        threshold: MovingThreshold | None = None,
    ) -> None:
        super().__init__()
        check_bits(bits)
        self.threshold = threshold
        graph = plain(graph)
        self.graph, self.arithmetic, self.bits, self.dt = graph, arithmetic, bits, dt
        self.edges = [(str(a), str(b)) for a, b in graph.edges]
        lowered = lower(graph, dt)
        check_nodes(graph, lowered)
        self.outputs = lowered.outputs
        (self.input,), (self.output,) = lowered.inputs, self.outputs.values()
        self.features = lowered.inputs[self.input]
        self.neurons = {
            p.name: Neurons(graph.nodes[p.name], p, arithmetic, alpha) for p in lowered.populations
        }
        self.back = back_edges(graph.nodes, self.edges, [self.input], list(self.neurons))
        forward = [e for e in self.edges if e not in self.back]
        if threshold is not None:
            threshold.check(lowered.populations, cycles=bool(self.back))
        self.order = topological(graph.nodes, forward)
        self.before: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for a, b in sorted(self.edges):
            self.before[b].append(a)
        self._shapes = output_shapes(graph, self.order, self.before, self.neurons)
        gains = self._gains(lowered)
        # Names of modules may not contain dots, those of NIR nodes may.
        self._modules_of = {
            name: Weights(name, node, gains[name], bits, headroom)
            for name, node in graph.nodes.items()
            if isinstance(node, WEIGHTED)
        }
        # The pass over a block has no current that moves the threshold.
        self.blocks = (
            {}
            if threshold is not None
            else find_blocks(graph.nodes, self.before, self._shapes, self.neurons, self._modules_of)
        )
        self.weights = nn.ModuleDict(
            {name.replace(".", "/"): module for name, module in self._modules_of.items()}
        )

    @property
    def classes(self) -> int:
        """Number of neurons of the output."""
        return math.prod(self.neurons[self.output].shape)

    def forward(self, x_BSX: Tensor) -> Tensor:
        """Spikes (B,S,N) of the output.

        Args:
            x_BSX: the input of every step, (B,S,…) with as many values a step as the graph's
                Input; multiples of 1 with arithmetic ``loihi``.

        Raises:
            ValueError: the input has another size.
            UserError: arithmetic ``loihi``: a current or a membrane leaves 24 bits.
        """
        return self._run(x_BSX, whole=False)[self.output][0].flatten(2)

    def inputs(self, x_BSX: Tensor) -> dict[str, Tensor]:
        """The value of every Input of :meth:`trained`, (B,S,n), for an input as in forward."""
        found = {self.input: x_BSX.flatten(2)}
        if self.threshold is not None:
            found[CURRENT] = self.threshold.current(x_BSX)
        return found

    @property
    def grids(self) -> dict[str, float]:
        """Input of :meth:`trained` → the power of two of which its values are multiples."""
        moving = {} if self.threshold is None else {CURRENT: GRID}
        return {self.input: 1.0, **moving}

    def counts(self, x_BSX: Tensor) -> Tensor:
        """The number of spikes of each neuron of the output, (B,N)."""
        return self(x_BSX).sum(1)

    def trace(self, x_BSX: Tensor) -> dict[str, Trace]:
        """Spikes and membranes of every node of neurons; arguments and errors as in forward."""
        return {
            name: Trace(spikes_BSX.flatten(2), membranes_BSX.flatten(2))
            for name, (spikes_BSX, membranes_BSX) in self._run(x_BSX, whole=True).items()
        }

    def _run(self, x_BSX: Tensor, *, whole: bool) -> dict[str, tuple[Tensor, Tensor]]:
        """Spikes and membranes of every node of neurons, in the node's shape.

        Unless `whole`, spikes that only a pooling reads may be their sums over its windows.
        """
        if x_BSX.ndim < 3 or math.prod(x_BSX.shape[2:]) != self.features:
            raise ValueError(
                f"SpikingGraph: input has shape {tuple(x_BSX.shape)}, expected (B, S, …) with "
                f"{self.features} values a step"
            )
        if x_BSX.dtype != torch.uint8 or self.back:  # the sparse products take bytes as they are
            x_BSX = x_BSX.float()
        x_BSX = x_BSX.reshape(*x_BSX.shape[:2], *self._shape(self.input))
        given = {name: module.on_grid() for name, module in self._modules_of.items()}
        constants = self._constants(given)
        if self.back:
            return self._by_steps(x_BSX, given, constants)
        return self._at_once(x_BSX, given, constants, whole)

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(int(n) for n in self.graph.nodes[name].input_type["input"])

    def _at_once(
        self,
        x_BSX: Tensor,
        given: dict[str, OnGrid],
        constants: dict[str, _Constant],
        whole: bool,
    ) -> dict[str, tuple[Tensor, Tensor]]:
        moving_BS1 = None if self.threshold is None else self.threshold.current(x_BSX)
        signals, traces = {self.input: x_BSX}, dict[str, tuple[Tensor, Tensor]]()
        passed = {block.conv for block in self.blocks.values()}  # computed with the neurons
        for name in self.order:
            if name == self.input:
                continue
            x = _sum([signals[a] for a in self.before[name]])
            if name in passed:
                signals[name] = x
            elif name not in self.neurons:
                signals[name] = self._through(name, x, given)
            else:
                traces[name], pool = self._fire(name, x, given, constants[name], moving_BS1, whole)
                signals[name] = traces[name][0]
                passed |= {pool}
        return traces

    def _fire(
        self,
        name: str,
        x_BSX: Tensor,
        given: dict[str, OnGrid],
        constant: _Constant,
        moving_BS1: Tensor | None,
        whole: bool,
    ) -> tuple[tuple[Tensor, Tensor], str | None]:
        """Spikes and membranes of a node, and the pooling that the spikes have gone through."""
        neurons, block = self.neurons[name], self.blocks.get(name)
        if block is None:
            return _fire(neurons, x_BSX, constant, moving_BS1), None
        weight, unit = given[block.conv].weight, _pair(constant)[1]
        found = block.fire(neurons, x_BSX, weight, constant.bias, unit, pooled=not whole)
        if found is None:
            x_BSX = self._through(block.conv, x_BSX, given)
            return _fire(neurons, x_BSX, constant, moving_BS1), None
        return found, None if whole else block.pool

    def _by_steps(
        self, x_BSX: Tensor, given: dict[str, OnGrid], constants: dict[str, _Constant]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        params = {n: p.params(_pair(constants[n])[1]) for n, p in self.neurons.items()}
        states: dict[str, State | None] = dict.fromkeys(self.neurons)
        found: dict[str, list[tuple[Tensor, ...]]] = {name: [] for name in self.neurons}
        previous: dict[str, Tensor] = {}
        for x_B1X in x_BSX.split(1, dim=1):
            signals = {self.input: x_B1X}
            for name in self.order:
                if name == self.input:
                    continue
                # An edge that closes a cycle delivers what was sent at the step before.
                known = [
                    (previous if (a, name) in self.back else signals).get(a)
                    for a in self.before[name]
                ]
                x = _sum([x for x in known if x is not None])
                if name not in self.neurons:
                    signals[name] = self._through(name, x, given)
                    continue
                bias_N = _pair(constants[name])[0]
                traced, states[name] = self.neurons[name].step(
                    x.flatten(2)[:, 0], bias_N, params[name], states[name]
                )
                found[name].append(traced)
                signals[name] = traced[0][:, None].unflatten(2, self.neurons[name].shape)
            previous = signals
        traces = {}
        for name, steps in found.items():
            spikes_BSN, membranes_BSN, synaptic_BSN = (
                torch.stack(x, 1) for x in zip(*steps, strict=True)
            )
            self.neurons[name].check(synaptic_BSN, membranes_BSN, params[name])
            both = spikes_BSN, membranes_BSN.detach()
            traces[name] = tuple(x.unflatten(2, self.neurons[name].shape) for x in both)
        return traces

    def _through(self, name: str, x_BSX: Tensor, given: dict[str, OnGrid]) -> Tensor:
        """The output of a node without state, without its bias."""
        if name in given:
            return self._modules_of[name](x_BSX, given[name].weight)
        return through_fixed(self.graph.nodes[name], x_BSX)

    def _constants(self, given: dict[str, OnGrid]) -> dict[str, _Constant]:
        """Bias and units of every node's output; of neurons and Output, of their input."""
        ends = {*self.neurons, self.input}
        found: dict[str, _Constant] = {}
        inner = [(a, b) for a, b in self.edges if a not in ends]
        for name in topological(self.graph.nodes, inner):
            sources = [
                _Constant(None, None, 1.0) if a in ends else found[a] for a in self.before[name]
            ]
            if sources:
                found[name] = self._constant(name, sources, given)
        return found

    def _constant(self, name: str, sources: list[_Constant], given: dict[str, OnGrid]) -> _Constant:
        biases = [s.bias for s in sources if s.bias is not None]
        bias, grid = (_sum(biases) if biases else None), min(s.grid for s in sources)
        if name in self.neurons:
            units = [s.grid if s.unit is None else s.unit for s in sources]
            if bias is not None and self.neurons[name].current_decay is not None:
                units.append(_bias_unit(bias))
            if self.threshold is not None:
                units.append(GRID)
            return _Constant(bias, min(units), grid)
        units = [s.unit for s in sources if s.unit is not None]
        unit = min(units) if units else None
        if name in given:
            weight, own, step = given[name]
            if step is None:
                raise UserError(
                    f"node {name!r}: all weights are rounded to 0 with {self.bits} bits; give more "
                    "--bits"
                )
            if own is not None:
                own = own.reshape(-1, *[1] * (weight.ndim - 2)).expand(self._shapes[name])
            return _Constant(own, step * grid, grid)
        node = self.graph.nodes[name]
        if isinstance(node, nir.AvgPool2d):
            area = math.prod(int(k) for k in np.ravel(node.kernel_size))
            grid, unit = grid / area, None if unit is None else unit / area
        if bias is not None:
            bias = through_fixed(node, bias[None, None])[0, 0]
        return _Constant(bias, unit, grid)

    def _gains(self, lowered: Network) -> dict[str, np.ndarray]:
        """The factor of the weights of each node, one or one a row: the gain of its neurons."""
        gains: dict[str, np.ndarray] = {}
        populations = {p.name: p for p in lowered.populations}
        for name, node in self.graph.nodes.items():
            if name == self.input or name in self.neurons:
                self._check_unweighted(name, populations)
            if not isinstance(node, WEIGHTED):
                continue
            after = nodes_after(name, self.edges, self.neurons)
            found = [populations[t].input_gain for t, _ in after]
            flat = np.concatenate(found)
            if (flat == flat[0]).all():
                gains[name] = flat[:1]
            elif len(after) == 1 and after[0][1] and isinstance(node, nir.Affine | nir.Linear):
                gains[name] = found[0]
            else:
                raise UserError(
                    f"node {name!r}: the neurons that it leads to differ in r·dt/tau, expected one "
                    "value"
                )
        return gains

    def _check_unweighted(self, name: str, populations: dict[str, Population]) -> None:
        """Refuse edges without weights to neurons with a gain, which only weights can take over."""
        weighted = [n for n, x in self.graph.nodes.items() if isinstance(x, WEIGHTED)]
        for target, _ in nodes_after(name, self.edges, {*self.neurons, *weighted}):
            if target not in self.neurons:
                continue
            gain = populations[target].input_gain
            if (gain != 1).any():
                raise UserError(
                    f"node {target!r}: {name!r} leads to it without weights, and its input is "
                    f"multiplied by r·dt/tau = {gain[gain != 1][0]:g}, expected 1; put a Linear "
                    "node with the identity between them"
                )

    @torch.no_grad()
    def _constants_on_grid(self) -> dict[str, _Constant]:
        """:meth:`_constants` of the quantised weights."""
        return self._constants({n: m.on_grid() for n, m in self._modules_of.items()})

    def trained(self) -> nir.NIRGraph:
        """The NIR graph with the quantised weights and the decays of this arithmetic.

        A moving threshold is its second Input, see
        :func:`mdft.recognition.threshold.with_threshold_input`.
        """
        nodes = dict(self.graph.nodes)
        nodes |= {name: module.trained() for name, module in self._modules_of.items()}
        constants = self._constants_on_grid()
        for name, neurons in self.neurons.items():
            nodes[name] = neurons.written(self.dt, _pair(constants[name])[1])
        graph = nir.NIRGraph(nodes, list(self.edges), type_check=False)
        if self.threshold is None:
            return graph
        return with_threshold_input(graph, {n: x.shape for n, x in self.neurons.items()})

    def check_exact(self) -> None:
        """Check that Loihi's integers hold :meth:`trained` without rounding, in the same units.

        Raises:
            UserError: they do not; the message has the node and the reason.
        """
        if self.arithmetic != "loihi":
            return
        integers = quantise(lower(self.trained(), self.dt), self.grids)
        rounded = [n for n in integers.notes if ": threshold " not in n]
        if rounded:
            raise UserError(f"Loihi's integers cannot hold the graph: {rounded[0]}")
        constants = self._constants_on_grid()
        for p in integers.populations:
            if p.unit != constants[p.name].unit:
                raise UserError(
                    f"node {p.name!r} counts in units of {p.unit:g} on Loihi, it is trained in "
                    f"units of {constants[p.name].unit:g}; a pooling with overlapping windows "
                    "before weights, or two edges from one node, can cause this"
                )


def _pair(constant: _Constant) -> tuple[Tensor | None, float]:
    assert constant.unit is not None
    return None if constant.bias is None else constant.bias.flatten(), constant.unit


def _fire(
    neurons: Neurons, x_BSX: Tensor, constant: _Constant, moving_BS1: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Spikes and membranes of a node for all steps, in its shape."""
    x_BSX, (bias_N, unit) = x_BSX.float(), _pair(constant)
    if x_BSX.ndim != 5 or not neurons.uniform:
        found = neurons.sequence(x_BSX.flatten(2), bias_N, unit, moving_BS1)
        return found[0].unflatten(2, neurons.shape), found[1].unflatten(2, neurons.shape)
    # In memory the channels are last. Neurons do not depend on each other, nor on their order.
    channels, height, width = neurons.shape
    current_BSN = x_BSX.permute(0, 1, 3, 4, 2).flatten(2)
    if constant.bias is not None:
        bias_N = constant.bias.permute(1, 2, 0).flatten()
    spikes_BSN, membranes_BSN = (
        x.unflatten(2, (height, width, channels)).permute(0, 1, 4, 2, 3)
        for x in neurons.sequence(current_BSN, bias_N, unit, moving_BS1)
    )
    return spikes_BSN, membranes_BSN


def _sum(tensors: list[Tensor]) -> Tensor:
    first, *rest = tensors
    return sum(rest, first.float()) if rest else first


def _bias_unit(bias: Tensor) -> float:
    """The unit of biases as weights of an input that is always 1; large if all are 0."""
    values = bias.detach().cpu().double().numpy().ravel()
    used = values[values != 0]
    if not used.size:
        return math.inf
    bits = int(np.bitwise_or.reduce(np.round(used * 2.0**24).astype(np.int64)))
    return (bits & -bits) * 2.0**-24 / (2 if (used > 0).any() and (used < 0).any() else 1)

"""Blocks of a graph that are computed in one pass: a convolution, its neurons, and a pooling."""

from __future__ import annotations

from dataclasses import dataclass

import nir
import numpy as np
from torch import Tensor

from mdft.lif.conv import Convolution, Pair, conv_lif, supports
from mdft.recognition.neurons import Neurons
from mdft.recognition.weights import Weights


@dataclass(frozen=True)
class Block:
    """The nodes around one node of neurons.

    Attributes:
        conv: the convolution, which leads to these neurons alone.
        pool: the pooling that the neurons lead to, and nothing else; or None.
        sizes: of the convolution and the windows of the pooling.
    """

    conv: str
    pool: str | None
    sizes: Convolution

    def fire(
        self,
        neurons: Neurons,
        x_BSCYX: Tensor,
        weight_OCYX: Tensor,
        bias_OYX: Tensor | None,
        unit: float,
        *,
        pooled: bool,
    ) -> tuple[Tensor, Tensor] | None:
        """Spikes, or their sums over the windows, and membranes before the reset.

        Args:
            neurons: the neurons.
            x_BSCYX: the images.
            weight_OCYX: the quantised weights.
            bias_OYX: the bias of every neuron; None is 0.
            unit: one unit of Loihi's synaptic input.
            pooled: whether the spikes are summed over the windows.

        Returns:
            None: too many inputs are nonzero, or there is no kernel for the device.

        Raises:
            UserError: arithmetic ``loihi``: a current or a membrane leaves 24 bits.
        """
        sizes = self.sizes if pooled else self.sizes._replace(window=None)
        if not supports(x_BSCYX, sizes):
            return None
        bias_N = None if bias_OYX is None else bias_OYX.permute(1, 2, 0).flatten()
        params, alpha = neurons.params(unit), neurons.spike.alpha
        return conv_lif(
            x_BSCYX, weight_OCYX, sizes, params, alpha, bias_N=bias_N, name=neurons.name
        )


def find_blocks(
    nodes: dict[str, nir.NIRNode],
    before: dict[str, list[str]],
    shapes: dict[str, tuple[int, ...]],
    neurons: dict[str, Neurons],
    weights: dict[str, Weights],
) -> dict[str, Block]:
    """The blocks of a graph, by their node of neurons.

    The convolution has neither groups nor dilation and as many zeros behind as in front; the
    neurons have one decay and one threshold; the pooling sums over windows that do not overlap.

    Args:
        nodes: the graph's nodes.
        before: node → the nodes that lead to it.
        shapes: the shape of every node's output.
        neurons: the nodes of neurons.
        weights: the nodes with weights.
    """
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for name, sources in before.items():
        for source in sources:
            after[source].append(name)
    found = {}
    for name, node in neurons.items():
        conv = before[name][0]
        alone = before[name] == [conv] and after[conv] == [name]
        if not (alone and node.uniform and isinstance(nodes[conv], nir.Conv2d)):
            continue
        window, groups = weights[conv].window, weights[conv].groups
        assert window is not None
        if groups != 1 or set(window.dilation) != {1} or window.before != window.after:
            continue
        (last, *more), summed = after[name], None
        if not more:
            summed = _windows(nodes[last])
        given = shapes[before[conv][0]], node.shape, window.kernel, window.stride, window.before
        sizes: tuple = (*given, summed)
        found[name] = Block(conv, None if summed is None else last, Convolution(*sizes))
    return found


def _windows(node: nir.NIRNode) -> Pair | None:
    """The windows of a SumPool2d that do not overlap, else None."""
    if not isinstance(node, nir.SumPool2d):
        return None
    height, width = (int(n) for n in np.broadcast_to(node.kernel_size, 2))
    apart = np.array_equal(np.broadcast_to(node.stride, 2), (height, width))
    return (height, width) if apart and not np.any(node.padding) else None

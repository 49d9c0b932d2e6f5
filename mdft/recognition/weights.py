"""Weights of a NIR node on the grid of Loihi's synapses, trained straight through the rounding."""

from __future__ import annotations

import math
from typing import NamedTuple

import nir
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hardware.graph.convolution import Window, convolution_window
from mdft.errors import UserError
from mdft.lif.grid import GRID, GRID_MAX, MOST_BITS
from mdft.lif.loihi import STATE_SCALE, WINDOW, largest_multiple, state_unit, weight_step
from mdft.lif.neuron import snap
from mdft.lif.sparse import spike_linear

#: Biases are multiples of the weights' 8-bit grid up to this one; Loihi's have 13 bits.
BIAS_MAX = 1023
_BLOCK = 64  # neurons that the sparse product takes at once
WeightedNode = nir.Affine | nir.Linear | nir.Conv1d | nir.Conv2d
#: The nodes with weights.
WEIGHTED = (nir.Affine, nir.Linear, nir.Conv1d, nir.Conv2d)


class OnGrid(NamedTuple):
    """Quantised weights of one node.

    Attributes:
        weight: multiples ``k·s`` of a power of two s.
        bias: on the same grid as weights of 8 bits, or None.
        unit: one unit of Loihi's synaptic input for inputs on the grid 1, ``s/2`` for weights of
            mixed signs, else s; None if all weights are 0.
    """

    weight: Tensor
    bias: Tensor | None
    unit: float | None


class Weights(nn.Module):
    """An Affine, a Linear or a convolution whose weights have 2 to 8 bits.

    The parameters are the weights divided by ``scale``, a power of two such that 8 bits cover them
    with multiples of ``GRID``; fewer bits have the coarser step of
    :func:`mdft.lif.loihi.weight_step`. A step of the optimiser therefore means the same in every
    graph.

    Args:
        node: the node of the NIR graph.
        gain: factor of weights and bias: a number, or one a row.
        bits: bits of a weight, 2 to 8, sign included.
        headroom: by how much the weights can grow before they saturate.

    Raises:
        UserError: a size of a convolution is out of range, or a bias exceeds ``BIAS_MAX`` steps.
    """

    step: Tensor

    def __init__(
        self, name: str, node: WeightedNode, gain: np.ndarray, bits: int, headroom: float
    ) -> None:
        super().__init__()
        self.node, self.high = node, largest_multiple(bits)
        rows = np.reshape(gain, (-1, *[1] * (np.ndim(node.weight) - 1)))
        weight = np.asarray(node.weight, np.float64) * rows
        self.scale = _scale(weight, headroom)
        parameter = torch.from_numpy((weight / self.scale).astype(np.float32))
        self.weight = nn.Parameter(parameter)
        step = GRID if bits == MOST_BITS else weight_step(parameter, bits)
        self.register_buffer("step", torch.tensor(step))
        self.bias: nn.Parameter | None = None
        if not isinstance(node, nir.Linear):
            bias = np.asarray(node.bias, np.float64) * np.ravel(gain) / self.scale
            peak = float(np.abs(bias).max(initial=0.0))
            if peak > BIAS_MAX * GRID:
                raise UserError(
                    f"node {name!r}: its bias, times the neurons' r·dt/tau, reaches "
                    f"{peak * self.scale:g}, expected at most {BIAS_MAX * GRID * self.scale:g} "
                    "beside weights of this size"
                )
            self.bias = nn.Parameter(torch.from_numpy(bias.astype(np.float32)))
        self.window: Window | None = None
        if isinstance(node, nir.Conv1d | nir.Conv2d):
            self.window = convolution_window(
                name, weight.shape[2:], node.stride, node.padding, node.dilation
            )
            self.groups = int(np.asarray(node.groups).reshape(-1)[0])

    def on_grid(self) -> OnGrid:
        """The quantised weights and bias, with straight-through gradients."""
        step, scale = self.step.item(), self.scale
        weight = snap(self.weight, step, -self.high, self.high, window=WINDOW, scale=scale)
        unit = state_unit(weight, 1.0, math.inf, grid=GRID * scale) * STATE_SCALE
        bias = self.bias
        if bias is not None:
            bias = snap(bias, GRID, -BIAS_MAX, BIAS_MAX, scale=scale)
        return OnGrid(weight, bias, unit if math.isfinite(unit) else None)

    def forward(self, x_BSX: Tensor, weight: Tensor) -> Tensor:
        """The product without the bias, (B,S,N) or (B,S,C,…) for inputs (B,S,F) or (B,S,C,…)."""
        if self.window is None:
            return _product(x_BSX, weight)
        x, window = x_BSX.flatten(0, 1).to(weight), self.window
        if weight.ndim == 4:  # faster with the channels last
            x = x.contiguous(memory_format=torch.channels_last)
        around = window.before
        if window.before != window.after:
            around = 0
            pairs = zip(reversed(window.before), reversed(window.after), strict=True)
            x = F.pad(x, [n for pair in pairs for n in pair])
        convolve = F.conv2d if weight.ndim == 4 else F.conv1d
        product = convolve(x, weight, None, window.stride, around, window.dilation, self.groups)
        return product.unflatten(0, x_BSX.shape[:2])

    def trained(self) -> WeightedNode:
        """The NIR node with the quantised weights, float32."""
        weight, bias, _ = self.on_grid()
        fields = dict(vars(self.node))
        arrays = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        fields |= {name: x.detach().cpu().numpy().astype(np.float32) for name, x in arrays.items()}
        kept = ("input_type", "output_type", "metadata")
        return type(self.node)(**{k: v for k, v in fields.items() if k not in kept})


def _product(x_BSF: Tensor, weight_NF: Tensor) -> Tensor:
    """``W x``, (B,S,N); neurons are added up to a multiple of the sparse product's width."""
    N, features = weight_NF.shape
    missing = -N % _BLOCK
    if missing == 0 or min(N, features) < _BLOCK or x_BSF.device.type != "cpu":
        return spike_linear(x_BSF, weight_NF)
    return spike_linear(x_BSF, F.pad(weight_NF, (0, 0, 0, missing)))[..., :N]


def _scale(weight: np.ndarray, headroom: float) -> float:
    """The power of two by which a weight is divided to lie within the 8-bit range of ``GRID``."""
    peak = float(np.abs(weight).max()) * headroom
    return 2.0 ** math.ceil(math.log2(peak / (GRID_MAX * GRID))) if peak > 0 else 1.0

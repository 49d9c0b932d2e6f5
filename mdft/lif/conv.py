"""A convolution of spikes, its LIF neurons and the sum over windows, in one pass on the CPU.

Few inputs of a convolution are nonzero: each adds its value times some weights to a few outputs,
and the gradient of the weights is a sum over the nonzero inputs. A sample goes through all three
before the next one, so that its currents and spikes stay in the cache. On the grids of NIR's
contract (docs/nir.md) float32 represents every sum exactly in any order, so spikes and membranes
equal those of :func:`torch.nn.functional.conv2d` and :func:`mdft.lif.layer.lif_sequence`, bit for
bit.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mdft.lif.cpu import flat
from mdft.lif.loihi import check_range, state_limit
from mdft.lif.neuron import LIFParams
from mdft.lif.sparse import few_nonzero
from mdft.lif.threads import over_samples

#: Fraction of nonzero inputs from which on the dense convolution is faster.
DENSEST = 0.2
_FEWEST = 64  # values of an image that the kernels read at once
Pair = tuple[int, int]


def _kernels() -> Any:
    """The compiled loops, imported on first use: numba takes a second."""
    from mdft.lif import conv_kernels

    return conv_kernels


class Convolution(NamedTuple):
    """The sizes of a convolution without groups and dilation, and of the windows after it.

    Attributes:
        inputs: channels, height and width of an image.
        outputs: the same of its convolution.
        kernel: height and width of the kernel.
        stride: steps between positions.
        before: zeros added above and on the left.
        window: height and width of the windows over which spikes are summed, or None; they do not
            overlap, and rows and columns that fill no window are left out.
    """

    inputs: tuple[int, int, int]
    outputs: tuple[int, int, int]
    kernel: Pair
    stride: Pair
    before: Pair
    window: Pair | None = None

    @property
    def taps(self) -> Pair:
        """The largest number of outputs along each axis that see an input."""
        return _pair(-(-k // s) for k, s in zip(self.kernel, self.stride, strict=True))

    @property
    def row(self) -> int:
        """Numbers in a row of a block of weights: taps · channels, filled with zeros."""
        wide = _kernels().WIDE
        return -(-self.taps[1] * self.outputs[0] // wide) * wide

    @property
    def margin(self) -> Pair:
        """Height and width of the outputs with a margin in which every block of an input lies."""
        found = []
        for n, out, s, b, t in zip(
            self.inputs[1:], self.outputs[1:], self.stride, self.before, self.taps, strict=True
        ):
            found.append(max((n - 1 + b) // s + t, out + t - 1))
        return _pair(found)

    @property
    def pooled(self) -> tuple[int, int, int]:
        """Channels, height and width after the windows."""
        channels, height, width = self.outputs
        rows, columns = self.window or (1, 1)
        return channels, height // rows, width // columns

    def shape(self) -> tuple[int, ...]:
        """What the kernels know of it: values of an image, height, width and channels of the
        outputs, height and width with the margin, rows of a block, their length, and the place of
        the first output in the margin.
        """
        channels, height, width = self.outputs
        down, right = self.taps
        sizes = math.prod(self.inputs), height, width, channels, *self.margin
        return *sizes, down, self.row, down - 1, right - 1

    @lru_cache(32)  # noqa: B019 a tuple of numbers, no object that should be freed
    def tables(self, channels_last: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For every input, in its order in memory, where its outputs and its weights begin; and the
        window of every pixel of the outputs, or -1.
        """
        c, y, x = np.indices(self.inputs)
        s, t = self.stride
        y, x = y + self.before[0], x + self.before[1]
        channels, height, width = self.outputs
        places = (y // s * self.margin[1] + x // t) * channels
        blocks = ((y % s * t + x % t) * self.inputs[0] + c) * (self.taps[0] * self.row)
        if channels_last:
            places, blocks = (a.transpose(1, 2, 0) for a in (places, blocks))
        windows = np.empty(0, np.int64)
        if self.window is not None:
            _, rows, columns = self.pooled
            y, x = np.indices((height, width))
            y, x = y // self.window[0], x // self.window[1]
            windows = np.where((y < rows) & (x < columns), y * columns + x, -1).ravel()
        return places.ravel(), blocks.ravel(), windows

    def blocks(self, weight_OCYX: Tensor) -> Tensor:
        """The weights that an input meets, (s, t, C, down, row).

        An input at (y, x) is seen by the outputs from ``(y + before) // s`` − down + 1 on, with
        the rows of the kernel ``(y + before) % s + s · (down − 1, …, 0)``; columns likewise.
        """
        (down, right), (s, t) = self.taps, self.stride
        kernels, C, Y, X = weight_OCYX.shape
        filled = F.pad(weight_OCYX, (0, right * t - X, 0, down * s - Y))
        split = filled.reshape(kernels, C, down, s, right, t).flip(2, 4).permute(3, 5, 1, 2, 4, 0)
        return F.pad(split.flatten(4), (0, self.row - right * kernels)).contiguous()

    def kernels(self, blocks: Tensor) -> Tensor:
        """The inverse of :meth:`blocks`, (O,C,Y,X)."""
        (down, right), (s, t) = self.taps, self.stride
        kernels, C = self.outputs[0], self.inputs[0]
        split = blocks[..., : right * kernels].reshape(s, t, C, down, right, kernels)
        order = split.permute(5, 2, 3, 0, 4, 1).flip(2, 4)
        filled = order.reshape(kernels, C, down * s, right * t)
        return filled[..., : self.kernel[0], : self.kernel[1]]


def _pair(numbers: Any) -> Pair:
    first, second = numbers
    return first, second


class _ConvLIF(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_BSX: Tensor,
        weight_OCYX: Tensor,
        bias_N: Tensor,
        conv: Convolution,
        params: LIFParams,
        alpha: float,
        name: str,
    ) -> tuple[Tensor, Tensor]:
        B, S = x_BSX.shape[:2]
        channels, height, width = conv.outputs
        membranes_BSYXO = weight_OCYX.new_empty(B, S, height, width, channels)
        _, rows, columns = conv.pooled
        out_BSYXO = weight_OCYX.new_empty(B, S, rows, columns, channels)
        signal, last = _in_memory(x_BSX)
        tables, outside_B = conv.tables(last), np.zeros(B, np.int64)
        arrays = signal, flat(conv.blocks(weight_OCYX)), flat(bias_N), flat(membranes_BSYXO)
        unit = params.state_unit or 0.0
        limit = state_limit(params) if unit else math.inf
        theta = arrays[2].dtype.type(params.v_threshold)
        over_samples(
            _kernels().forward, B, membranes_BSYXO.numel(), *arrays, flat(out_BSYXO), outside_B,
            *tables, conv.shape(), params.beta, theta, unit, limit, S,
        )  # fmt: skip
        check_range(int(outside_B.sum()), params, name)
        ctx.save_for_backward(x_BSX, weight_OCYX, membranes_BSYXO)
        ctx.conv, ctx.params, ctx.alpha = conv, params, alpha
        ctx.mark_non_differentiable(membranes_BSYXO)
        ctx.set_materialize_grads(False)
        return out_BSYXO, membranes_BSYXO

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("the fused convolution has no second derivative (create_graph=True)")
        if grads[0] is None:
            return (None,) * 7
        x_BSX, weight_OCYX, membranes_BSYXO = ctx.saved_tensors
        conv, params = ctx.conv, ctx.params
        B, S = x_BSX.shape[:2]
        signal, last = _in_memory(x_BSX)
        blocks = conv.stride[0] * conv.stride[1] * conv.inputs[0] * conv.taps[0] * conv.row
        grad_weight = weight_OCYX.new_empty(B, blocks)
        grad_bias_BN = weight_OCYX.new_empty(B, math.prod(conv.outputs))
        current = membranes_BSYXO if ctx.needs_input_grad[0] else weight_OCYX.new_empty(0)
        grad_current = torch.empty_like(current)
        arrays = signal, flat(membranes_BSYXO), flat(grads[0]), grad_weight.numpy()
        number = arrays[1].dtype.type
        constants = params.beta, params.v_threshold, ctx.alpha / 2, math.pi / 2 * ctx.alpha
        over_samples(
            _kernels().backward, B, membranes_BSYXO.numel(), *arrays, flat(grad_bias_BN),
            flat(grad_current), *conv.tables(last), conv.shape(), *map(number, constants), S,
        )  # fmt: skip
        total = grad_weight.sum(0).view(*conv.stride, conv.inputs[0], conv.taps[0], conv.row)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.ops.aten.convolution_backward(
                grad_current.permute(0, 1, 4, 2, 3).flatten(0, 1), x_BSX.flatten(0, 1),
                weight_OCYX, None, conv.stride, conv.before, (1, 1), False, (0, 0), 1,
                (True, False, False),
            )[0].unflatten(0, (B, S))  # fmt: skip
        return grad_x, conv.kernels(total), grad_bias_BN.sum(0), None, None, None, None


def _in_memory(x_BSCYX: Tensor) -> tuple[np.ndarray, bool]:
    """The values as they lie in memory, flat, and whether the channels are last in it."""
    x_BSYXC = x_BSCYX.permute(0, 1, 3, 4, 2)
    last = x_BSYXC.is_contiguous()
    return flat(x_BSYXC if last else x_BSCYX), last


def conv_lif(
    x_BSCYX: Tensor,
    weight_OCYX: Tensor,
    conv: Convolution,
    params: LIFParams,
    alpha: float,
    *,
    bias_N: Tensor | None = None,
    name: str = "conv_lif",
) -> tuple[Tensor, Tensor]:
    """Convolve images, let LIF neurons fire, and sum their spikes over the windows.

    The gradients equal those of the separate operations up to rounding; that of a weight is summed
    over the nonzero inputs of a sample, then over samples, in an order that does not depend on the
    number of threads. There is no second derivative.

    >>> conv = Convolution((1, 8, 8), (1, 8, 8), (3, 3), (1, 1), (1, 1), window=(2, 2))
    >>> x_BSCYX = torch.zeros(1, 1, 1, 8, 8)
    >>> x_BSCYX[..., 2, 2] = 1
    >>> params = LIFParams(beta=0.5, v_threshold=1.0)
    >>> out_BSOYX, _ = conv_lif(x_BSCYX, torch.full((1, 1, 3, 3), 2.0), conv, params, alpha=2.0)
    >>> out_BSOYX[0, 0, 0, :2, :2].tolist()  # nine spikes around row 2 and column 2
    [[1.0, 2.0], [2.0, 4.0]]

    Args:
        x_BSCYX: images, see :func:`supports`; of the dtype of the kernels, or uint8.
        weight_OCYX: kernels, float32 or float64.
        conv: sizes.
        params: β, θ0 and the arithmetic.
        alpha: sharpness of the surrogate.
        bias_N: bias of every neuron, in the order height, width, channels; None is 0.
        name: name of the layer in error messages.

    Returns:
        Spikes (B,S,O,Y,X), or their sums over the windows; and the membranes before the reset,
        without a gradient.

    Raises:
        UserError: with a state unit: a current or a membrane leaves the range of Loihi's state.
    """
    if bias_N is None:
        bias_N = weight_OCYX.new_zeros(1).expand(math.prod(conv.outputs))
    found = _ConvLIF.apply(x_BSCYX, weight_OCYX, bias_N, conv, params, alpha, name)
    assert isinstance(found, tuple)
    out_BSYXO, membranes_BSYXO = found
    return out_BSYXO.permute(0, 1, 4, 2, 3), membranes_BSYXO.permute(0, 1, 4, 2, 3)


def supports(x_BSCYX: Tensor, conv: Convolution) -> bool:
    """Whether :func:`conv_lif` can take these images, and whether few of their values are nonzero.

    They are float32, float64 or uint8, on the CPU; images and outputs have at least 64 values.
    """
    return (
        x_BSCYX.device.type == "cpu"
        and x_BSCYX.dtype in (torch.float32, torch.float64, torch.uint8)
        and x_BSCYX.numel() > 0
        and not torch.compiler.is_compiling()
        and min(math.prod(conv.inputs), math.prod(conv.outputs)) >= _FEWEST
        and few_nonzero(x_BSCYX.flatten(0, 1), DENSEST)
    )

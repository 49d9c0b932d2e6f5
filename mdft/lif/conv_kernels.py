"""The compiled loops of :mod:`mdft.lif.conv` (numba, cached on disk, without the GIL).

A nonzero input of an image adds its value times a block of weights to a block of outputs: with
kernel K and stride s it is seen by ``taps = ceil(K/s)`` outputs along each axis. Kernels are filled
with zeros to ``taps · s``, and outputs have a margin, so that all blocks have one size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from events.kernels.compiled import njit
from events.kernels.simd import data_of, first_bit, spread
from mdft.lif import cpu_kernels as lif
from mdft.lif.sparse_kernels import LANES, nonzero

#: Numbers that are added at once; the rows of a block are multiples of it.
WIDE = 16
_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}
_U = np.uint64


def _add_block(typing: Any, out: Any, at: Any, out_step: Any, block: Any, start: Any, step: Any,
               factor: Any, rows: Any, row: Any) -> Any:  # fmt: skip
    """``out[at + i · out_step + j] += factor · block[start + i · step + j]``, i < rows, j < row.

    out, block: contiguous arrays of one floating dtype (not checked); row: a multiple of `WIDE`.
    """
    whole = types.intp
    signature = types.void(out, whole, whole, block, whole, whole, factor, whole, whole)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0].dtype
        vector = ir.VectorType(context.get_value_type(kind), WIDE)
        out, block = (data_of(context, builder, signature, args, i) for i in (0, 3))
        wide = spread(builder, args[6], vector)
        vectors = builder.udiv(args[8], ir.Constant(args[8].type, WIDE))

        def place(data: Any, start: Any, step: Any, i: Any, j: Any) -> Any:
            item = builder.add(builder.add(start, builder.mul(i, step)), j)
            return builder.bitcast(builder.gep(data, [item]), vector.as_pointer())

        with (
            cgutils.for_range(builder, args[7]) as each_row,
            cgutils.for_range(builder, vectors) as each,
        ):
            j = builder.mul(each.index, ir.Constant(each.index.type, WIDE))
            total = place(out, args[1], args[2], each_row.index, j)
            added = place(block, args[4], args[5], each_row.index, j)
            width = kind.bitwidth // 8
            product = builder.fmul(wide, builder.load(added, align=width), flags=("contract",))
            sum_ = builder.fadd(builder.load(total, align=width), product, flags=("contract",))
            builder.store(sum_, total, align=width)
        return context.get_dummy_value()

    return signature, generate


add_block: Any = intrinsic(_add_block)


@njit(**_OPTIONS)
def add_blocks(
    signal, image, features, out, at, out_step, block, starts, step, rows, row
):  # fmt: skip
    """Call :func:`add_block` for every nonzero value i of an image, with at[i] and starts[i]."""
    number = out.dtype.type
    for start in range(0, features, LANES):
        low, bits = nonzero(signal, image, features, start)
        while bits != 0:
            i = low + first_bit(bits)
            bits &= bits - _U(1)
            by = number(signal[image * features + i])
            add_block(out, at[i], out_step, block, starts[i], step, by, rows, row)


@njit(**_OPTIONS)
def convolve(signal, weight, out, places, blocks, shape, images, first):
    """Write the convolution of `images` images, from image `first` of the signal on.

    signal: (·, features); weight: blocks, see :func:`mdft.lif.conv.blocks`; out: (images, height,
    width, channels); flat. places, blocks: where the outputs and the weights of an input begin;
    shape: see :meth:`mdft.lif.conv.Convolution.shape`.
    """
    features, height, width, channels, rows, columns, taps, row, above, left = shape
    line, padded = width * channels, columns * channels
    margin = np.empty(rows * padded + WIDE, out.dtype)
    for image in range(images):
        for n in range(margin.size):
            margin[n] = 0
        add_blocks(
            signal, first + image, features, margin, places, padded, weight, blocks, row, taps, row
        )
        for y in range(height):
            to, of = (image * height + y) * line, (y + above) * padded + left * channels
            for n in range(line):
                out[_U(to + n)] = margin[_U(of + n)]


@njit(**_OPTIONS)
def add_gradient(signal, grad, out, places, blocks, shape, images, first):
    """Add the gradient of the weights over images to `out`; see :func:`convolve`.

    grad: (images, height, width, channels), of the outputs; out: blocks of weights.
    """
    features, height, width, channels, rows, columns, taps, row, above, left = shape
    line, padded = width * channels, columns * channels
    margin = np.zeros(rows * padded + WIDE, out.dtype)
    for image in range(images):
        for y in range(height):
            of, to = (image * height + y) * line, (y + above) * padded + left * channels
            for n in range(line):
                margin[_U(to + n)] = grad[_U(of + n)]
        add_blocks(
            signal, first + image, features, out, blocks, row, margin, places, padded, taps, row
        )


@njit(**_OPTIONS)
def pool(spikes, out, windows, channels, size):
    """Add the spikes of each window; there are `size` windows an image.

    windows: the window of every pixel, or -1.
    """
    pixels = windows.size
    out[:] = 0
    for image in range(spikes.size // (pixels * channels)):
        for pixel in range(pixels):
            of, to = (image * pixels + pixel) * channels, image * size + windows[pixel]
            if windows[pixel] >= 0:
                for c in range(channels):
                    out[_U(to * channels + c)] += spikes[_U(of + c)]


@njit(**_OPTIONS)
def unpool(grad, out, windows, channels, size):
    """Write the gradient of every spike: that of its window, 0 outside of all windows."""
    pixels = windows.size
    out[:] = 0
    for image in range(out.size // (pixels * channels)):
        for pixel in range(pixels):
            to, of = (image * pixels + pixel) * channels, image * size + windows[pixel]
            if windows[pixel] >= 0:
                for c in range(channels):
                    out[_U(to + c)] = grad[_U(of * channels + c)]


@njit(**_OPTIONS)
def forward(
    signal, weight, bias, membranes, out, outside, places, blocks, windows, shape, beta, theta,
    unit, limit, steps, first, last,
):  # fmt: skip
    """Convolution, neurons and pooling of samples first to last, one sample after another.

    membranes: (B·S·N,), written; out: spikes, or their sums over windows if there are windows;
    outside: (B,), see :func:`mdft.lif.cpu_kernels.forward_integer`; unit 0: floating point.
    """
    neurons = bias.size
    number, sample = bias.dtype.type, steps * neurons
    none, pooled, channels = np.zeros(steps, bias.dtype), windows.size > 0, shape[3]
    fired = np.empty(sample if pooled else 0, bias.dtype)
    size = out.size * neurons // membranes.size
    for i in range(first, last):
        own = membranes[i * sample : (i + 1) * sample]
        mine = out[i * steps * size : (i + 1) * steps * size]
        convolve(signal, weight, own, places, blocks, shape, steps, i * steps)
        spikes = fired if pooled else mine
        if unit > 0:
            lif.forward_integer(
                own, bias, none, beta, theta, spikes, steps, unit, limit, outside[i : i + 1], 0, 1
            )
        else:
            lif.forward(own, bias, none, number(beta), theta, spikes, steps, 0, 1)
        if pooled:
            pool(spikes, mine, windows, channels, size // channels)


@njit(**_OPTIONS)
def backward(
    signal, membranes, grad, grad_weight, grad_bias, grad_current, places, blocks, windows, shape,
    beta, theta, height, width, steps, first, last,
):  # fmt: skip
    """The gradients of samples first to last; see :func:`forward`.

    grad: of `out`; grad_weight: (B, weights), written; grad_bias: (B·N,), written; grad_current:
    (B·S·N,), written, or empty.
    """
    samples = len(grad_weight)
    neurons = grad_bias.size // samples
    sample, pooled, channels = steps * neurons, windows.size > 0, shape[3]
    size = grad.size // (samples * steps)
    above = np.empty(sample if pooled else 0, grad.dtype)
    found = np.empty(0 if grad_current.size else sample, grad.dtype)
    totals = np.empty(steps, grad.dtype)
    for i in range(first, last):
        own = membranes[i * sample : (i + 1) * sample]
        mine = grad[i * steps * size : (i + 1) * steps * size]
        current = grad_current[i * sample : (i + 1) * sample] if grad_current.size else found
        spikes = above if pooled else mine
        if pooled:
            unpool(mine, above, windows, channels, size // channels)
        lif.backward(
            spikes, own, beta, theta, height, width, current,
            grad_bias[i * neurons : (i + 1) * neurons], totals, steps, 0, 1,
        )  # fmt: skip
        grad_weight[i] = 0
        add_gradient(signal, current, grad_weight[i], places, blocks, shape, steps, i * steps)

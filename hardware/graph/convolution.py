"""NIR's convolutions and poolings as sparse matrices, with torch's conventions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from hardware.graph.network import MAX_SYNAPSES, check_values
from mdft.errors import UserError

Shape = tuple[int, ...]
CONVOLUTIONS = {"Conv1d": 1, "Conv2d": 2}  # the number of spatial dimensions
POOLS = ("SumPool2d", "AvgPool2d")
IMAGES = (*CONVOLUTIONS, *POOLS)
MAX_SIZE = 1 << 26  # of the numbers in a node's fields


@dataclass(frozen=True)
class Window:
    """How a kernel slides over an image; one number for each spatial dimension.

    Attributes:
        kernel: the size of the kernel.
        stride: steps between positions.
        before: zeros added in front.
        after: zeros added at the end; differs from `before` for padding "same" and even kernels.
        dilation: steps between the values of the kernel.
    """

    kernel: Shape
    stride: Shape
    before: Shape
    after: Shape
    dilation: Shape

    def output(self, name: str, spatial: Shape) -> Shape:
        """Return the spatial shape of the result, floor((n + padding − reach) / stride) + 1.

        Raises:
            UserError: the kernel is larger than the padded image.
        """
        found = []
        for n, k, s, b, a, d in zip(
            spatial, self.kernel, self.stride, self.before, self.after, self.dilation, strict=True
        ):
            free = n + b + a - d * (k - 1) - 1
            if free < 0:
                raise UserError(
                    f"{name}: its kernel of {self.kernel}, dilation {self.dilation}, is larger "
                    f"than its padded input, {spatial} with {self.before} before and "
                    f"{self.after} after"
                )
            found.append(free // s + 1)
        return tuple(found)


def numbers(name: str, field: str, value: object, dims: int, lowest: int) -> Shape:
    """Return one integer per dimension; one for all is repeated.

    Raises:
        UserError: they are not integers, not as many, or below `lowest`.
    """
    given = np.asarray(value)
    found = tuple(given.ravel().tolist())
    found = found * dims if len(found) == 1 else found
    if (
        len(found) != dims
        or given.dtype.kind not in "iu"
        or not all(lowest <= n <= MAX_SIZE for n in found)
    ):
        raise UserError(
            f"{name}.{field} is {given.ravel()[:4].tolist()}, expected {dims} integers from "
            f"{lowest} to {MAX_SIZE}"
        )
    return found


def convolution_window(
    name: str, kernel: Shape, stride: object, padding: object, dilation: object
) -> Window:
    """Return the window of a convolution.

    Padding "same" adds d·(k − 1) zeros, the smaller half in front, as torch does. It needs
    stride 1.

    Raises:
        UserError: a number is out of range; the message has the node and the field.
    """
    dims = len(kernel)
    steps = numbers(name, "stride", stride, dims, 1)
    apart = numbers(name, "dilation", dilation, dims, 1)
    text = str(padding) if np.asarray(padding).dtype.kind in "US" else None
    if text == "same":
        if set(steps) != {1}:
            raise UserError(f"{name}: padding 'same' with stride {steps}, expected stride 1")
        total = [d * (k - 1) for d, k in zip(apart, kernel, strict=True)]
        before = tuple(n // 2 for n in total)
        return Window(
            kernel, steps, before, tuple(n - b for n, b in zip(total, before, strict=True)), apart
        )
    if text is not None and text != "valid":
        raise UserError(f"{name}.padding is {text[:40]!r}, expected 'same', 'valid' or integers")
    around = (0,) * dims if text else numbers(name, "padding", padding, dims, 0)
    return Window(kernel, steps, around, around, apart)


def pool_window(name: str, kernel: object, stride: object, padding: object) -> Window:
    """Return the window of a pooling.

    Raises:
        UserError: a number is out of range, or the padding is more than half of the kernel.
    """
    size = numbers(name, "kernel_size", kernel, 2, 1)
    around = numbers(name, "padding", padding, 2, 0)
    if any(2 * p > k for p, k in zip(around, size, strict=True)):
        raise UserError(f"{name}.padding is {around}, expected at most half of kernel_size {size}")
    return Window(size, numbers(name, "stride", stride, 2, 1), around, around, (1, 1))


def convolution_matrix(
    name: str,
    weight: np.ndarray,
    groups: int,
    window: Window,
    shape: Shape,
    most: int = MAX_SYNAPSES,
) -> tuple[sparse.csr_array, Shape]:
    """Return the matrix of a convolution without its bias, and the shape of the result.

    y[o, p] = Σ_{c, k} weight[o, c, k] · x[g(o) + c, p·stride + k·dilation − padding]

    Args:
        name: the node.
        weight: (C_out, C_in / groups, *kernel).
        groups: output channel o sees the input channels of its group only.
        window: how the kernel slides.
        shape: the shape of the input, (C_in, *spatial).
        most: the most values that the matrix may have.

    Raises:
        UserError: the channels do not divide into the groups, or the matrix is too large.
    """
    out, each = weight.shape[:2]
    if groups < 1 or out % groups or each * groups != shape[0]:
        raise UserError(
            f"{name}: weight {weight.shape} with {groups} groups takes {each * groups} channels, "
            f"its input has {shape[0]}; both channel numbers must be multiples of groups"
        )
    spatial = window.output(name, shape[1:])
    # An output position meets at most as many values of a kernel as the image has places.
    reach = [m * min(k, n) for m, k, n in zip(spatial, window.kernel, shape[1:], strict=True)]
    check_values(name, out * each * math.prod(reach), most)
    check_values(name, max(m * k for m, k in zip(spatial, window.kernel, strict=True)), most)
    taps, sources, targets = _taps(window, shape[1:], spatial)
    flat = weight.reshape(out, each, -1)
    o, c = (a.ravel() for a in np.indices((out, each)))
    channel = o // (out // groups) * each + c
    positions, pixels = math.prod(spatial), math.prod(shape[1:])
    rows = o[:, None] * positions + targets
    columns = channel[:, None] * pixels + sources
    found = sparse.csr_array(
        (flat[o, c][:, taps].ravel(), (rows.ravel(), columns.ravel())),
        shape=(out * positions, math.prod(shape)),
    )
    return found, (out, *spatial)


def pool_matrix(
    name: str, window: Window, shape: Shape, mean: bool, most: int = MAX_SYNAPSES
) -> tuple[sparse.csr_array, Shape]:
    """Return the matrix of a sum over each window, or of its mean, and the shape of the result.

    The mean divides by the size of the kernel, zeros of the padding included, as torch does.

    Raises:
        UserError: the matrix is too large, or the kernel larger than the padded image.
    """
    spatial = window.output(name, shape[1:])
    check_values(name, math.prod(spatial) * math.prod(window.kernel) * shape[0], most)
    _, sources, targets = _taps(window, shape[1:], spatial)
    positions, pixels = math.prod(spatial), math.prod(shape[1:])
    channel = np.arange(shape[0])[:, None]
    rows, columns = channel * positions + targets, channel * pixels + sources
    value = 1 / math.prod(window.kernel) if mean else 1.0
    found = sparse.csr_array(
        (np.full(rows.size, value), (rows.ravel(), columns.ravel())),
        shape=(shape[0] * positions, math.prod(shape)),
    )
    return found, (shape[0], *spatial)


def _taps(
    window: Window, spatial: Shape, result: Shape
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (kernel value, input pixel, output position) of each product inside the image."""
    taps, sources, targets = (np.zeros(1, np.int64) for _ in range(3))
    for n, m, k, s, b, d in zip(
        spatial, result, window.kernel, window.stride, window.before, window.dilation, strict=True
    ):
        tap, position = (a.ravel() for a in np.indices((k, m)))
        at = position * s + tap * d - b
        ok = (at >= 0) & (at < n)
        taps = (taps[:, None] * k + tap[ok]).ravel()
        sources = (sources[:, None] * n + at[ok]).ravel()
        targets = (targets[:, None] * m + position[ok]).ravel()
    return taps, sources, targets

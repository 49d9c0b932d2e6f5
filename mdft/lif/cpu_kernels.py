"""The compiled inner loops of the LIF (numba, cached on disk, without the GIL).

Forward and backward are one pass over (B,S,N) each. There is no fast-math: the forward pass has
the same operations in the same order as :func:`mdft.lif.neuron.lif_loop`, none contracted into a
fused multiply-add, so that spikes and membranes equal it bit for bit. Arrays are flat, C-ordered
and of one floating dtype; flat arrays halve the compilation time.
"""

from __future__ import annotations

import numpy as np

from events.kernels.compiled import njit

# NumPy's error model: Python's would test every divisor for zero and prevent vectorisation.
_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(inline="always", **_OPTIONS)
def _add(row, bias, threshold_current, step, shared):
    """``I ← (I + bias) + b`` for one step; ``shared``: b is one number for all neurons."""
    # A separate loop: with five arrays in one loop LLVM cannot prove them disjoint.
    if shared:
        b = threshold_current[step]
        for n in range(row.size):
            row[n] = (row[n] + bias[n]) + b
    else:
        b_N = threshold_current[step * row.size : (step + 1) * row.size]
        for n in range(row.size):
            row[n] = (row[n] + bias[n]) + b_N[n]


@njit(inline="always", **_OPTIONS)
def _count_outside(row, threshold_current, step, shared, limit):
    """How many of ``|I + b| < limit`` do not hold."""
    outside = 0
    if shared:
        b = threshold_current[step]
        for n in range(row.size):
            outside += not abs(row[n] + b) < limit
    else:
        b_N = threshold_current[step * row.size : (step + 1) * row.size]
        for n in range(row.size):
            outside += not abs(row[n] + b_N[n]) < limit
    return outside


@njit(**_OPTIONS)
def forward(current, bias, threshold_current, beta, theta, spikes, steps, first, last):
    """Turn currents into membranes, in place, and write the spikes, of samples first to last.

    ``u ← β u + ((I + bias) + b)``, spike where ``u > θ``, then ``u ← 0`` there.

    current: (B·S·N,), becomes the membranes before the reset; bias: (N,); threshold_current:
    (B·S,), or (B·S·N,) for one of each neuron; spikes: (B·S·N,), written.
    """
    neurons = bias.size
    shared = threshold_current.size != current.size
    one, zero = bias.dtype.type(1), bias.dtype.type(0)
    u = np.zeros(neurons, bias.dtype)
    for step in range(first * steps, last * steps):
        if step % steps == 0:
            for n in range(neurons):
                u[n] = zero
        start, stop = step * neurons, (step + 1) * neurons
        row, fired = current[start:stop], spikes[start:stop]
        _add(row, bias, threshold_current, step, shared)
        for n in range(neurons):
            membrane = beta * u[n] + row[n]
            over = membrane > theta
            row[n] = membrane
            fired[n] = one if over else zero
            u[n] = zero if over else membrane


@njit(**_OPTIONS)
def forward_integer(
    current, bias, threshold_current, beta, theta, spikes, steps, unit, limit, outside, first, last
):
    """:func:`forward` with Loihi's leak, ``unit · trunc(β u / unit)``.

    unit: of the state, float64; limit: what ``|I + b|`` and the membranes must stay below;
    outside: (B,) int64, written: how many of each sample do not. Otherwise as there.
    """
    neurons = bias.size
    shared = threshold_current.size != current.size
    number = bias.dtype.type
    one, zero = number(1), number(0)
    u = np.zeros(neurons, np.float64)
    decay = beta / unit
    for step in range(first * steps, last * steps):
        if step % steps == 0:
            outside[step // steps] = 0
            for n in range(neurons):
                u[n] = 0.0
        start, stop = step * neurons, (step + 1) * neurons
        row, fired = current[start:stop], spikes[start:stop]
        far = _count_outside(row, threshold_current, step, shared, limit)
        _add(row, bias, threshold_current, step, shared)
        for n in range(neurons):
            membrane = number(np.trunc(u[n] * decay) * unit) + row[n]
            over = membrane > theta
            far += not abs(membrane) < limit
            row[n] = membrane
            fired[n] = one if over else zero
            u[n] = 0.0 if over else membrane
        outside[step // steps] += far


@njit(inline="always", **_OPTIONS)
def _sum(row, folded):
    """Sum by halves, ``x[n] + x[n + half]``: an order that no vector width changes.

    folded: of the row's size, overwritten.
    """
    size = row.size
    for n in range(size):
        folded[n] = row[n]
    while size > 1:
        half = (size + 1) // 2
        low, high = folded[:half], folded[half:size]
        for n in range(high.size):
            low[n] += high[n]
        size = half
    return folded[0]


@njit(**_OPTIONS)
def backward(
    grad_spikes, membranes, beta, theta, height, width,
    grad_current, grad_bias, grad_threshold, steps, first, last,
):  # fmt: skip
    """Write the gradients of samples first to last.

    ``g(t) = s'(u − θ)·∂L/∂s(t) + [no spike at t]·β·g(t+1)``, ``s'(x) = height/(1 + (width·x)²)``.

    grad_spikes, membranes, grad_current (written): (B·S·N,); grad_bias (B·N,), written: sums over
    the steps of each sample, from the last one; grad_threshold (B·S,), written: sums over neurons.
    """
    neurons = membranes.size // grad_threshold.size
    one, zero = membranes.dtype.type(1), membranes.dtype.type(0)
    later, folded = np.zeros(neurons, membranes.dtype), np.zeros(neurons, membranes.dtype)
    for i in range(first, last):
        total = grad_bias[i * neurons : (i + 1) * neurons]
        for n in range(neurons):
            later[n] = zero
            total[n] = zero
        for step in range((i + 1) * steps - 1, i * steps - 1, -1):
            start, stop = step * neurons, (step + 1) * neurons
            row, above = membranes[start:stop], grad_spikes[start:stop]
            found = grad_current[start:stop]
            for n in range(neurons):
                x = row[n] - theta
                y = width * x
                g = height / (one + y * y) * above[n] + (zero if x > zero else later[n])
                found[n] = g
                later[n] = beta * g
            for n in range(neurons):
                total[n] += found[n]
            grad_threshold[step] = _sum(found, folded)

"""The LIF over all steps in Triton: the kernels that :mod:`mdft.lif.cuda` launches.

One program processes one block of neurons ``n`` of one sample over all steps, with the membrane in
registers; program ids are (sample, block). Every element is read once and written once per pass.
The operations and their order are those of :func:`mdft.lif.neuron.lif_loop`; launched with
``enable_fp_fusion=False`` none are contracted, and spikes and membranes equal it bit for bit.

Constants are ``tl.constexpr``, because Triton passes a Python float as float32, also to float64
kernels. A new value of β, θ0 or α triggers a compilation.
"""

# No `from __future__ import annotations`: Triton reads the annotations.
import triton
import triton.language as tl


@triton.jit
def forward(
    current, threshold_current, bias, spikes, outside, S, N,
    beta: tl.constexpr, theta: tl.constexpr, unit: tl.constexpr, limit: tl.constexpr,
    SHARED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Turn currents into membranes, in place, and write the spikes.

    ``u ← β u + ((I + bias) + b)``, spike where ``u > θ``, then ``u ← 0`` there; with a unit the
    leak is Loihi's, ``unit · trunc(β u / unit)`` in float64.

    current: (B,S,N), becomes the membranes before the reset; threshold_current: (B,S,1) if SHARED,
    else (B,S,N); bias: (N,); spikes: (B,S,N), written; limit: what ``|I + b|`` and the membranes
    must stay below; outside: (B, blocks) int32, written: how many do not. Both None without unit.
    """
    n = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mine = n < N
    first = tl.program_id(0).to(tl.int64) * S
    bias_n = tl.load(bias + n, mask=mine, other=0.0)
    u = tl.zeros_like(bias_n)
    far = tl.zeros([BLOCK], tl.int32)
    for step in range(S):
        at = (first + step) * N + n
        row = tl.load(current + at, mask=mine, other=0.0)
        if SHARED:
            b = tl.load(threshold_current + first + step)
        else:
            b = tl.load(threshold_current + at, mask=mine, other=0.0)
        if unit is None:
            leaked = beta * u
        else:
            far += tl.where(tl.abs(row + b) < limit, 0, 1)
            x = u.to(tl.float64) * (beta / unit)
            leaked = (tl.where(x < 0, tl.ceil(x), tl.floor(x)) * unit).to(u.dtype)
        membrane = leaked + ((row + bias_n) + b)
        if unit is not None:
            far += tl.where(tl.abs(membrane) < limit, 0, 1)
        over = membrane > theta
        tl.store(current + at, membrane, mask=mine)
        tl.store(spikes + at, over.to(u.dtype), mask=mine)
        u = tl.where(over, 0.0, membrane)
    if unit is not None:
        program = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
        tl.store(outside + program, tl.sum(tl.where(mine, far, 0)))


@triton.jit
def backward(
    grad_spikes, membranes, grad_current, grad_bias, grad_threshold, S, N,
    beta: tl.constexpr, theta: tl.constexpr, height: tl.constexpr, width: tl.constexpr,
    SHARED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the gradients.

    ``g(t) = s'(u − θ)·∂L/∂s(t) + [no spike at t]·β·g(t+1)``, ``s'(x) = height/(1 + (width·x)²)``.

    grad_spikes, membranes, grad_current (written): (B,S,N); grad_bias (B,N), written: sums over the
    steps of each sample, from the last one; grad_threshold (B,S,blocks), written: sums over the
    neurons of a program; None if not SHARED.
    """
    n = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mine = n < N
    sample = tl.program_id(0).to(tl.int64)
    later = tl.zeros([BLOCK], membranes.dtype.element_ty)
    total = later
    for back in range(S):
        step = sample * S + (S - 1 - back)
        at = step * N + n
        x = tl.load(membranes + at, mask=mine, other=0.0) - theta
        y = width * x
        above = tl.load(grad_spikes + at, mask=mine, other=0.0)
        g = height / (1.0 + y * y) * above + tl.where(x > 0, 0.0, later)
        later = beta * g
        total += g
        tl.store(grad_current + at, g, mask=mine)
        if SHARED:
            # Lanes past N are 0: their loaded gradient is 0.
            block = step * tl.num_programs(1) + tl.program_id(1)
            tl.store(grad_threshold + block, tl.sum(g))
    tl.store(grad_bias + sample * N + n, total, mask=mine)

"""The compiled loops of :mod:`mdft.lif.sparse` (numba, cached on disk, without the GIL).

Two operations are written as LLVM IR, which LLVM compiles to AVX-512, AVX2, SSE or NEON: finding
the nonzero ones among 64 inputs, and the sum of 64 columns in registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from events.kernels.compiled import njit
from events.kernels.simd import data_of, first_bit, ones, spread

#: Inputs that are compared with zero at once.
LANES = 64
#: Neurons whose sums are kept in registers at once: four vectors of 16.
COLUMNS = 64
_WIDE = 16
_GROUP = 8
_TILE = 16
#: Rows per block of the weight gradient: for 512 neurons half a MB, which fits into the
#: second-level cache. Blocks of 128 to 512 rows take the same time.
_ROWS = 256
_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}
_U = np.uint64


def _not_zero(typing: Any, signal: Any, start: Any) -> Any:
    """Bit i of the uint64 result: ``signal[start + i] != 0``.

    signal: contiguous floating array of at least start + 64 items (not checked).
    """
    signature = types.uint64(signal, types.intp)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0].dtype
        vector = ir.VectorType(context.get_value_type(kind), LANES)
        data = data_of(context, builder, signature, args, 0)
        where = builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer())
        row = builder.load(where, align=kind.bitwidth // 8)
        found = builder.fcmp_unordered("!=", row, ir.Constant(vector, [0.0] * LANES))
        return builder.bitcast(found, ir.IntType(LANES))

    return signature, generate


def _sum_rows(typing: Any, rows: Any, starts: Any, factors: Any, count: Any, column: Any, out: Any,
              at: Any, more: Any) -> Any:  # fmt: skip
    """``out[at + c] = Σ_k factors[k] · rows[starts[k] + column + c]``, c < 64, k < count.

    With `more` the sum goes on from what ``out`` holds.

    rows, factors, out: contiguous arrays of one floating dtype; starts: int64 (not checked).
    """
    whole = types.intp
    signature = types.void(rows, starts, factors, whole, whole, out, whole, types.boolean)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0].dtype
        vector = ir.VectorType(context.get_value_type(kind), _WIDE)
        rows, starts, factors, out = (
            data_of(context, builder, signature, args, i) for i in (0, 1, 2, 5)
        )
        count, column, at = args[3], args[4], args[6]
        more = builder.icmp_unsigned("!=", args[7], ir.Constant(args[7].type, 0))

        def place(data: Any, start: Any, block: int) -> Any:
            item = builder.add(start, ir.Constant(start.type, block * _WIDE))
            return builder.bitcast(builder.gep(data, [item]), vector.as_pointer())

        sums = [cgutils.alloca_once(builder, vector) for _ in range(COLUMNS // _WIDE)]
        for block, total in enumerate(sums):
            held = builder.load(place(out, at, block), align=kind.bitwidth // 8)
            builder.store(builder.select(more, held, ir.Constant(vector, [0.0] * _WIDE)), total)
        with cgutils.for_range(builder, count) as loop:
            start = builder.add(builder.load(builder.gep(starts, [loop.index])), column)
            factor = builder.load(builder.gep(factors, [loop.index]))
            wide = spread(builder, factor, vector)
            for block, total in enumerate(sums):
                row = builder.load(place(rows, start, block), align=kind.bitwidth // 8)
                part = builder.fmul(wide, row, flags=("contract",))
                sum_ = builder.fadd(builder.load(total), part, flags=("contract",))
                builder.store(sum_, total)
        for block, total in enumerate(sums):
            builder.store(builder.load(total), place(out, at, block), align=kind.bitwidth // 8)
        return context.get_dummy_value()

    return signature, generate


not_zero: Any = intrinsic(_not_zero)
sum_rows: Any = intrinsic(_sum_rows)


@njit(**_OPTIONS)
def transpose(matrix, out, rows):
    """Write a matrix of `rows` rows by columns; both flat, both sides multiples of `_TILE`."""
    columns = matrix.size // rows
    for i in range(0, rows, _TILE):
        for j in range(0, columns, _TILE):
            for b in range(j, j + _TILE):
                for a in range(i, i + _TILE):
                    out[_U(b * rows + a)] = matrix[_U(a * columns + b)]


@njit(**_OPTIONS)
def _list(signal, row, features, neurons, starts, factors):
    """List the inputs of a row that are not zero, and where their weights start; return how many.

    Up to `_GROUP` places after the last are overwritten.
    """
    count = _U(0)
    for begin in range(0, features, LANES):
        at = row * features + begin
        bits, place = not_zero(signal, at), count
        count += ones(bits)
        while bits != 0:
            for step in range(_GROUP):
                lane = first_bit(bits)
                starts[place + _U(step)] = (begin + lane) * neurons
                factors[place + _U(step)] = signal[_U(at + (lane & (LANES - 1)))]
                bits &= bits - _U(1)
            place += _U(_GROUP)
    return np.int64(count)


@njit(**_OPTIONS)
def add_rows(signal, weight, out, features, begin, end):
    """``out[x] = Σ_f signal[x, f] · weight[f]`` over what is not zero, rows x from begin to end.

    signal: (X·F,); weight: (F·N,); out: (X·N,), written; one floating dtype. F is a multiple of
    `LANES`, N of `COLUMNS`.
    """
    neurons = weight.size // features
    starts = np.empty(features + _GROUP, np.int64)
    factors = np.empty(features + _GROUP, signal.dtype)
    for row in range(begin, end):
        count = _list(signal, row, features, neurons, starts, factors)
        for column in range(0, neurons, COLUMNS):
            sum_rows(weight, starts, factors, count, column, out, row * neurons + column, False)


@njit(**_OPTIONS)
def _list_columns(signal, at, rows, features, neurons, starts, factors, counts):
    """List for each of `LANES` inputs, from item `at` on, the rows in which it is not zero.

    starts: where the gradients of such a row begin, `_ROWS` places an input; counts: how many.
    """
    counts[:] = 0
    for row in range(rows):
        here = at + row * features
        bits = not_zero(signal, here)
        while bits != 0:
            lane = first_bit(bits)
            place = lane * _ROWS + counts[lane]
            starts[place] = row * neurons
            factors[place] = signal[here + lane]
            counts[lane] += 1
            bits &= bits - _U(1)


@njit(**_OPTIONS)
def add_outer(signal, grad, out, features, begin, end):
    """``out[f] = Σ_x signal[x, f] · grad[x]`` over what is not zero, f in groups of `LANES`.

    Groups from begin to end. The sum of an input is taken from the first row on, `_ROWS` of them
    for all inputs before the next ones.

    signal: (X·F,); grad: (X·N,); out: (F·N,), written; one floating dtype. F is a multiple of
    `LANES`, N of `COLUMNS`; X is not 0.
    """
    rows = signal.size // features
    neurons = grad.size // rows
    starts = np.empty(LANES * _ROWS, np.int64)
    factors = np.empty(LANES * _ROWS, signal.dtype)
    counts = np.empty(LANES, np.int64)
    for first in range(0, rows, _ROWS):
        few, top = min(_ROWS, rows - first), first * neurons
        for f in range(begin * LANES, end * LANES, LANES):
            at = first * features + f
            _list_columns(signal, at, few, features, neurons, starts, factors, counts)
            for lane in range(LANES):
                own, count = starts[lane * _ROWS :], counts[lane]
                by, to = factors[lane * _ROWS :], (f + lane) * neurons
                for column in range(0, neurons, COLUMNS):
                    sum_rows(grad, own, by, count, top + column, out, to + column, first > 0)

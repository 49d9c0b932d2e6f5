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
#: Gradients per block of the weight gradient: half a MB, which fits into the second-level cache.
#: Blocks of a quarter to one MB take the same time.
_BLOCK = 2**17
#: Rows whose nonzero inputs are listed at once.
_FEW = 64
_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}
_U = np.uint64


def _not_zero(typing: Any, signal: Any, start: Any) -> Any:
    """Bit i of the uint64 result: ``signal[start + i] != 0``.

    signal: contiguous array of numbers, at least start + 64 of them (not checked).
    """
    signature = types.uint64(signal, types.intp)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0].dtype
        vector = ir.VectorType(context.get_value_type(kind), LANES)
        data = data_of(context, builder, signature, args, 0)
        where = builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer())
        row = builder.load(where, align=kind.bitwidth // 8)
        whole = isinstance(kind, types.Integer)
        compare = builder.icmp_unsigned if whole else builder.fcmp_unordered
        found = compare("!=", row, ir.Constant(vector, [0 if whole else 0.0] * LANES))
        return builder.bitcast(found, ir.IntType(LANES))

    return signature, generate


def _sum_rows(typing: Any, rows: Any, starts: Any, factors: Any, first: Any, last: Any,
              column: Any, out: Any, at: Any, more: Any) -> Any:  # fmt: skip
    """``out[at + c] = Σ_k factors[k] · rows[starts[k] + column + c]``, c < 64, first <= k < last.

    With `more` the sum goes on from what ``out`` holds.

    rows, factors, out: contiguous arrays of one floating dtype; starts: int64 (not checked).
    """
    whole = types.intp
    signature = types.void(rows, starts, factors, whole, whole, whole, out, whole, types.boolean)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0].dtype
        vector = ir.VectorType(context.get_value_type(kind), _WIDE)
        rows, starts, factors, out = (
            data_of(context, builder, signature, args, i) for i in (0, 1, 2, 6)
        )
        first, last, column, at = args[3], args[4], args[5], args[7]
        more = builder.icmp_unsigned("!=", args[8], ir.Constant(args[8].type, 0))

        def place(data: Any, start: Any, block: int) -> Any:
            item = builder.add(start, ir.Constant(start.type, block * _WIDE))
            return builder.bitcast(builder.gep(data, [item]), vector.as_pointer())

        sums = [cgutils.alloca_once(builder, vector) for _ in range(COLUMNS // _WIDE)]
        for block, total in enumerate(sums):
            held = builder.load(place(out, at, block), align=kind.bitwidth // 8)
            builder.store(builder.select(more, held, ir.Constant(vector, [0.0] * _WIDE)), total)
        with cgutils.for_range(builder, last, start=first) as loop:
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


@njit(inline="always", **_OPTIONS)
def _turn(matrix, columns, first, last, out, start, height):
    """Write rows first to last of a matrix by columns: column c begins at start + c · height."""
    for i in range(first, last, _TILE):
        few = min(last - i, _TILE)
        for j in range(0, columns, _TILE):
            for b in range(j, min(j + _TILE, columns)):
                for a in range(few):
                    at = start + b * height + i - first + a
                    out[_U(at)] = matrix[_U((i + a) * columns + b)]


@njit(**_OPTIONS)
def transpose(matrix, out, rows):
    """Write a matrix of `rows` rows by columns; both flat."""
    _turn(matrix, matrix.size // rows, 0, rows, out, 0, rows)


@njit(**_OPTIONS)
def pack(matrix, out, rows):
    """Write `COLUMNS` rows by columns, then the next ones: (rows/64, columns, 64), flat."""
    columns = matrix.size // rows
    for i in range(0, rows, COLUMNS):
        _turn(matrix, columns, i, i + COLUMNS, out, columns * i, COLUMNS)


@njit(inline="always", **_OPTIONS)
def nonzero(signal, row, features, start):
    """The first of 64 inputs of a row that holds input `start`, and bits of those from it on.

    The last 64 inputs overlap those before, so that nothing is read behind the row.
    """
    first = min(start, features - LANES)
    known = _U(start - first)
    return first, not_zero(signal, row * features + first) >> known << known


@njit(**_OPTIONS)
def _list(signal, row, features, starts, factors, place):
    """List the inputs of a row that are not zero, and where their weights start, from `place` on.

    Returns the place after the last; up to `_GROUP` places after it are overwritten.
    """
    for start in range(0, features, LANES):
        first, bits = nonzero(signal, row, features, start)
        end = place + np.int64(ones(bits))
        while bits != 0:
            for step in range(_GROUP):
                lane = first_bit(bits)
                starts[place + step] = (first + lane) * COLUMNS
                factors[place + step] = signal[_U(row * features + first + (lane & (LANES - 1)))]
                bits &= bits - _U(1)
            place += _GROUP
        place = end
    return place


@njit(**_OPTIONS)
def add_rows(signal, weight, out, features, begin, end):
    """``out[x] = Σ_f signal[x, f] · weight[f]`` over what is not zero, rows x from begin to end.

    `COLUMNS` neurons of some rows are summed before the next ones: their weights are then in the
    cache.

    signal: (X·F,), of any dtype; weight: (N/64·F·64,), see :func:`pack`; out: (X·N,), written;
    both of one floating dtype. F is at least `LANES`, N a multiple of `COLUMNS`.
    """
    neurons = weight.size // features
    starts = np.empty(_FEW * (features + _GROUP), np.int64)
    factors = np.empty(_FEW * (features + _GROUP), weight.dtype)
    ends = np.zeros(_FEW + 1, np.int64)
    for top in range(begin, end, _FEW):
        rows = min(_FEW, end - top)
        for row in range(rows):
            ends[row + 1] = _list(signal, top + row, features, starts, factors, ends[row])
        for column in range(0, neurons, COLUMNS):
            for row in range(rows):
                at = (top + row) * neurons + column
                sum_rows(
                    weight, starts, factors, ends[row], ends[row + 1], column * features, out, at,
                    False,
                )  # fmt: skip


@njit(**_OPTIONS)
def _list_columns(signal, top, rows, most, features, start, neurons, starts, factors, counts):
    """List for 64 inputs, see :func:`nonzero`, the rows in which each is not zero.

    starts: where the gradients of such a row begin, `most` places an input; counts: how many.
    Returns the first of the inputs.
    """
    counts[:] = 0
    first = 0
    for row in range(rows):
        first, bits = nonzero(signal, top + row, features, start)
        here = (top + row) * features + first
        while bits != 0:
            lane = first_bit(bits)
            place = lane * most + counts[lane]
            starts[place] = row * neurons
            factors[place] = signal[here + lane]
            counts[lane] += 1
            bits &= bits - _U(1)
    return first


@njit(**_OPTIONS)
def add_outer(signal, grad, out, features, begin, end):
    """``out[:, f] = Σ_x signal[x, f] · grad[x]`` over what is not zero, f in groups of `LANES`.

    Groups from begin to end. The sum of an input is taken from the first row on, a block of rows
    for all inputs before the next ones. The sums of a group are written by columns while they are
    in the cache.

    signal: (X·F,), of any dtype; grad: (X·N,); out: (N·F,), written; both of one floating dtype.
    F is at least `LANES`, N a multiple of `COLUMNS`; X is not 0.
    """
    rows = signal.size // features
    neurons = grad.size // rows
    most = max(1, _BLOCK // neurons)
    starts = np.empty(LANES * most, np.int64)
    factors = np.empty(LANES * most, grad.dtype)
    counts = np.empty(LANES, np.int64)
    kept = end - begin if rows > most else 1  # groups whose sums go on
    sums = np.empty(kept * LANES * neurons, grad.dtype)
    for top in range(0, rows, most):
        few = min(most, rows - top)
        for group in range(begin, end):
            start, place = group * LANES, (group - begin) % kept * LANES
            first = _list_columns(
                signal, top, few, most, features, start, neurons, starts, factors, counts
            )
            lanes = min(features - start, LANES)
            for lane in range(lanes):
                own = start - first + lane
                for column in range(0, neurons, COLUMNS):
                    sum_rows(
                        grad, starts, factors, own * most, own * most + counts[own],
                        top * neurons + column, sums, (place + lane) * neurons + column, top > 0,
                    )  # fmt: skip
            if top + few == rows:
                _turn(sums, neurons, place, place + lanes, out, start, features)

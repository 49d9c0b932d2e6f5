"""LLVM operations that numba does not expose: 64-byte vectors, bit scans, unaligned loads.

They are LLVM IR, which LLVM compiles to AVX-512, AVX2, SSE or NEON.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 64
_INT = ir.IntType(32)


def data_of(context: Any, builder: Any, signature: Any, args: Any, index: int) -> Any:
    """Return the data pointer of an array argument, in IR."""
    return context.make_array(signature.args[index])(context, builder, args[index]).data


def spread(builder: Any, value: Any, kind: Any) -> Any:
    """Return a vector of type `kind` with the value in every lane, in IR."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_INT, 0))
    lanes = ir.Constant(ir.VectorType(_INT, kind.count), [0] * kind.count)
    return builder.shuffle_vector(one, one, lanes)


def _outside(typing: Any, frame: Any, low: Any, high: Any, start: Any) -> Any:
    """Bit i of the uint64 result: ``frame[s] < low[s] or frame[s] > high[s]``, s = start + i.

    frame, low, high: contiguous uint8 arrays of at least start + 64 items (not checked).
    """
    signature = types.uint64(frame, low, high, types.intp)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block = ir.VectorType(ir.IntType(8), LANES)
        loaded = []
        for index in range(3):
            data = data_of(context, builder, signature, args, index)
            where = builder.bitcast(builder.gep(data, [args[3]]), block.as_pointer())
            loaded.append(builder.load(where, align=1))
        values, lows, highs = loaded
        under = builder.icmp_unsigned("<", values, lows)
        over = builder.icmp_unsigned(">", values, highs)
        return builder.bitcast(builder.or_(under, over), ir.IntType(LANES))

    return signature, generate


def _first_bit(typing: Any, bits: Any) -> Any:
    """Index of the lowest set bit of a uint64, 64 if there is none, as int64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


def _ones(typing: Any, bits: Any) -> Any:
    """Number of set bits of a uint64, as uint64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), generate


def _store(typing: Any, target: Any, at: Any, word: Any) -> Any:
    """Write a uint64 to bytes at…at + 7 of a contiguous uint8 array (not checked)."""
    signature = types.void(target, types.intp, types.uint64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = data_of(context, builder, signature, args, 0)
        where = builder.gep(data, [args[1]])
        builder.store(args[2], builder.bitcast(where, ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return signature, generate


def _write_keys(typing: Any, keys: Any, at: Any, a: Any, b: Any, done: Any, top: Any, shift: Any,
                code: Any) -> Any:  # fmt: skip
    """Write 4 keys: ``keys[at + k] = int(min(a + (done + 1 + k)·b, top)) << shift | code``.

    keys: contiguous int64 array of at least at + 4 items (not checked). a, b, done, top: float64.
    """
    real, whole = types.float64, types.int64
    signature = types.void(keys, types.intp, real, real, real, real, whole, whole)
    doubles, words = ir.VectorType(ir.DoubleType(), 4), ir.VectorType(ir.IntType(64), 4)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = data_of(context, builder, signature, args, 0)
        a, b, done, top = (spread(builder, value, doubles) for value in args[2:6])
        shift, code = (spread(builder, value, words) for value in args[6:])
        step = builder.fadd(done, ir.Constant(doubles, [1.0, 2.0, 3.0, 4.0]))
        delay = builder.fadd(a, builder.fmul(step, b))
        delay = builder.select(builder.fcmp_ordered("<", delay, top), delay, top)
        keys = builder.or_(builder.shl(builder.fptosi(delay, words), shift), code)
        where = builder.bitcast(builder.gep(data, [args[1]]), words.as_pointer())
        builder.store(keys, where, align=8)
        return context.get_dummy_value()

    return signature, generate


#: For compiled code only.
outside: Any = intrinsic(_outside)
first_bit: Any = intrinsic(_first_bit)
ones: Any = intrinsic(_ones)
store: Any = intrinsic(_store)
write_keys: Any = intrinsic(_write_keys)

"""Two machine operations that numba has no name for: compare 64 bytes at once, find a set bit.

Written as LLVM IR, so that they become AVX-512, AVX2, SSE or NEON as the machine has it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 64


def _outside(typing: Any, frame: Any, low: Any, high: Any, start: Any) -> Any:
    """Bit i of the uint64 result: ``frame[s] < low[s] or frame[s] > high[s]``, s = start + i.

    frame, low, high: contiguous uint8 arrays of at least start + 64 items (not checked).
    """
    signature = types.uint64(frame, low, high, types.intp)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block = ir.VectorType(ir.IntType(8), LANES)
        loaded = []
        for array, kind in zip(args[:3], signature.args[:3], strict=True):
            data = context.make_array(kind)(context, builder, array).data
            where = builder.bitcast(builder.gep(data, [args[3]]), block.as_pointer())
            loaded.append(builder.load(where, align=1))
        values, lows, highs = loaded
        under = builder.icmp_unsigned("<", values, lows)
        over = builder.icmp_unsigned(">", values, highs)
        return builder.bitcast(builder.or_(under, over), ir.IntType(LANES))

    return signature, generate


def _first_bit(typing: Any, bits: Any) -> Any:
    """Index of the lowest set bit of a uint64 that is not 0, as int64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


#: For compiled code only.
outside: Any = intrinsic(_outside)
first_bit: Any = intrinsic(_first_bit)

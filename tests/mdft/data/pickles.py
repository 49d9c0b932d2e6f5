"""Pickles as an attacker writes them."""

from __future__ import annotations

from typing import Any


class Runs:
    """A reduce call, as an attacker writes it."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.reduced = (call, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def array_program(spec: bytes, shape: bytes, data: bytes = b"V\n") -> bytes:
    """A protocol-0 program of one array with a state of our own making."""
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR"
        b"(I1\n(I" + shape + b"\nt" + b"cnumpy\ndtype\n(V" + spec + b"\ntR"
        b"I00\n" + data + b"tb."
    )


def tuples_of_tuples(between: bytes) -> bytes:
    """A dict whose key is 60 tuples deep, each of two of the one before: 2^60 to hash."""
    program = b"\x80\x02)q\x00"
    for i in range(60):
        program += b"h%ch%c\x86%bq%c" % (i, i, between, i + 1)
    return program + b"}h\x3cNs."

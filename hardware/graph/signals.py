"""Signals on the edges of a graph: sums of matrices times sources, plus a constant."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from hardware.graph.network import UNCHECKED
from mdft.errors import UserError

MAX_VALUES = 1 << 26  # a product of two thin matrices can be far larger than both


@dataclass(frozen=True)
class Term:
    """matrix · source; None is the identity matrix; `nodes` are the folded nodes, for messages."""

    matrix: np.ndarray | None
    width: int
    nodes: str


@dataclass(frozen=True)
class Signal:
    """Σ_source matrix·x_source + bias, a vector in C order of an array of `shape`.

    Attributes:
        shape: the shape of the array in the graph; Flatten changes only this.
        terms: the terms, by source (an input or a population).
        bias: (N,), or None for zero.
    """

    shape: tuple[int, ...]
    terms: dict[str, Term]
    bias: np.ndarray | None

    @property
    def size(self) -> int:
        """Number of values N."""
        return math.prod(self.shape)


def source(name: str, shape: tuple[int, ...]) -> Signal:
    """Return the signal of an input or of a population."""
    return Signal(shape, {name: Term(None, math.prod(shape), "")}, None)


@np.errstate(**UNCHECKED)
def add(name: str, signals: list[Signal]) -> Signal:
    """Add the signals of several edges into one node, source by source.

    Raises:
        UserError: the shapes differ, or the sum would hold more than 2**26 values.
    """
    total = signals[0]
    for signal in signals[1:]:
        if signal.shape != total.shape:
            raise UserError(
                f"edges of shape {total.shape} and {signal.shape} meet in {name!r}, expected equal"
            )
        terms = dict(total.terms)
        for key, term in signal.terms.items():
            if key in terms:
                bounded(name, total, total.size)
                term = _plus(terms[key], term)
            terms[key] = term
        biases = [b for b in (total.bias, signal.bias) if b is not None]
        total = Signal(total.shape, terms, sum(biases[1:], biases[0]) if biases else None)
    return total


def _plus(a: Term, b: Term) -> Term:
    nodes = "+".join(n for n in (a.nodes, b.nodes) if n)
    return Term(matrix_of(a) + matrix_of(b), a.width, nodes)


def matrix_of(term: Term) -> np.ndarray:
    """Return the matrix of a term, (N, width); also for the identity."""
    return np.eye(term.width) if term.matrix is None else term.matrix


def bounded(name: str, x: Signal, rows: int) -> None:
    """Check that a signal's matrices with `rows` rows hold at most 2**26 values.

    Raises:
        UserError: they hold more; the message names the node.
    """
    values = rows * sum(term.width for term in x.terms.values())
    if values > MAX_VALUES:
        raise UserError(
            f"node {name!r} needs matrices of {values} values, expected at most {MAX_VALUES}"
        )


def matrix_values(x: Signal) -> int:
    """Return the number of values in the matrices of a signal."""
    return sum(0 if t.matrix is None else t.matrix.size for t in x.terms.values())


@np.errstate(**UNCHECKED)
def linear(name: str, weight: np.ndarray, bias: np.ndarray | None, x: Signal) -> Signal:
    """Return W·x + b, folded: W(W1·s + b1) + b = (W·W1)·s + (W·b1 + b).

    Raises:
        UserError: the shapes do not match, or the product has more than 2**26 values.
    """
    if weight.ndim != 2 or not weight.size:
        raise UserError(f"{name}.weight has shape {weight.shape}, expected two dimensions")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise UserError(f"{name}.bias has shape {bias.shape}, expected ({weight.shape[0]},)")
    if x.shape != weight.shape[1:]:
        hint = "; put a Flatten before it" if len(x.shape) > 1 else ""
        raise UserError(f"{name}.weight takes ({weight.shape[1]},), its input has {x.shape}{hint}")
    bounded(name, x, weight.shape[0])
    terms = {}
    for key, term in x.terms.items():
        folded = weight if term.matrix is None else weight @ term.matrix
        terms[key] = Term(folded, term.width, _joined(term.nodes, name))
    if x.bias is not None:
        bias = weight @ x.bias + (0 if bias is None else bias)
    return Signal(weight.shape[:1], terms, bias)


@np.errstate(**UNCHECKED)
def scale(name: str, factors: np.ndarray, x: Signal) -> Signal:
    """Multiply elementwise by constants of the same shape, NIR's Scale.

    Raises:
        UserError: the shapes differ.
    """
    if factors.shape != x.shape:
        raise UserError(f"{name}.scale has shape {factors.shape}, its input has {x.shape}")
    bounded(name, x, x.size)
    rows = factors.reshape(-1, 1)
    terms = {
        key: Term(rows * matrix_of(term), term.width, _joined(term.nodes, name))
        for key, term in x.terms.items()
    }
    return Signal(x.shape, terms, None if x.bias is None else x.bias * rows[:, 0])


def reshape(name: str, given: tuple[int, ...], shape: tuple[int, ...], x: Signal) -> Signal:
    """Return the same values with another shape, NIR's Flatten.

    Raises:
        UserError: the input has another shape than the node expects.
    """
    if given != x.shape or math.prod(shape) != x.size:
        raise UserError(f"{name} flattens {given} to {shape}, its input has {x.shape}")
    return replace(x, shape=shape)


def _joined(before: str, name: str) -> str:
    return f"{before}·{name}" if before else name

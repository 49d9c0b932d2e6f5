"""Signals on the edges of a graph: sums of matrices times sources, plus a constant."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from hardware.graph import matrices
from hardware.graph.matrices import Matrix
from hardware.graph.network import MAX_SYNAPSES, ONES, UNCHECKED, check_values
from mdft.errors import UserError

Source = tuple[str, int]


@dataclass(frozen=True)
class Term:
    """matrix · source; None is the identity matrix; `nodes` are the folded nodes, for messages."""

    matrix: Matrix | None
    width: int
    nodes: str


@dataclass(frozen=True)
class Signal:
    """Σ matrix·x_source(t − delay) + bias, a vector in C order of an array of `shape`.

    Attributes:
        shape: the shape of the array in the graph; Flatten changes only this.
        terms: the terms, by source (an input or a population) and delay in steps.
        bias: (N,), or None for zero.
    """

    shape: tuple[int, ...]
    terms: dict[Source, Term]
    bias: np.ndarray | None

    @property
    def size(self) -> int:
        """Number of values N."""
        return math.prod(self.shape)


def source(name: str, shape: tuple[int, ...]) -> Signal:
    """Return the signal of an input or of a population."""
    return Signal(shape, {(name, 0): Term(None, math.prod(shape), "")}, None)


@np.errstate(**UNCHECKED)
def add(name: str, signals: list[Signal], most: int = MAX_SYNAPSES) -> Signal:
    """Add the signals of several edges into one node, source by source.

    Raises:
        UserError: the shapes differ, or the sum would hold more than `most` values.
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
                bounded(name, total, total.size, most)
                term = _plus(terms[key], term)
            terms[key] = term
        biases = [b for b in (total.bias, signal.bias) if b is not None]
        total = Signal(total.shape, terms, sum(biases[1:], biases[0]) if biases else None)
    return total


def _plus(a: Term, b: Term) -> Term:
    nodes = "+".join(n for n in (a.nodes, b.nodes) if n)
    return Term(matrices.added(matrix_of(a), matrix_of(b)), a.width, nodes)


def matrix_of(term: Term) -> Matrix:
    """Return the matrix of a term, (N, width); also for the identity."""
    return matrices.identity(term.width) if term.matrix is None else term.matrix


def bounded(name: str, x: Signal, rows: int, most: int) -> None:
    """Check that a signal's matrices with `rows` rows hold at most `most` values.

    Raises:
        UserError: they hold more; the message names the node.
    """
    values = 0
    for term in x.terms.values():
        sparse = matrices.is_sparse(matrix_of(term))
        values += matrices.stored(matrix_of(term)) if sparse else rows * term.width
    check_values(name, values, most)


@np.errstate(**UNCHECKED)
def linear(
    name: str, weight: np.ndarray, bias: np.ndarray | None, x: Signal, most: int = MAX_SYNAPSES
) -> Signal:
    """Return W·x + b, folded: W(W1·s + b1) + b = (W·W1)·s + (W·b1 + b).

    Raises:
        UserError: the shapes do not match, or the product has more than `most` values.
    """
    if weight.ndim != 2 or not weight.size:
        raise UserError(f"{name}.weight has shape {weight.shape}, expected two dimensions")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise UserError(f"{name}.bias has shape {bias.shape}, expected ({weight.shape[0]},)")
    if x.shape != weight.shape[1:]:
        hint = "; put a Flatten before it" if len(x.shape) > 1 else ""
        raise UserError(f"{name}.weight takes ({weight.shape[1]},), its input has {x.shape}{hint}")
    return mapped(name, weight, bias, weight.shape[:1], x, most)


@np.errstate(**UNCHECKED)
def mapped(
    name: str,
    matrix: Matrix,
    bias: np.ndarray | None,
    shape: tuple[int, ...],
    x: Signal,
    most: int = MAX_SYNAPSES,
) -> Signal:
    """Return matrix·x + bias as a signal of `shape`, folded like `linear`.

    Raises:
        UserError: the products have more than `most` values.
    """
    terms, values = {}, 0
    for key, term in x.terms.items():
        if term.matrix is None:
            values += matrices.stored(matrix)
        else:
            values += matrices.product_size(matrix, term.matrix)
        check_values(name, values, most)
        folded = matrix if term.matrix is None else matrices.product(matrix, term.matrix)
        terms[key] = Term(folded, term.width, _joined(term.nodes, name))
    if x.bias is not None:
        bias = matrix @ x.bias + (0 if bias is None else bias)
    return Signal(shape, terms, bias)


def later(name: str, x: Signal, steps: int) -> Signal:
    """Return the signal of an edge that closes a cycle: its sources are `steps` steps older.

    Its bias is a constant and arrives at every step.
    """
    terms = {
        (source, delay + steps): replace(term, nodes=_joined(term.nodes, f"(to {name})"))
        for (source, delay), term in x.terms.items()
    }
    return replace(x, terms=terms)


def delay(name: str, steps: np.ndarray, x: Signal, most: int = MAX_SYNAPSES) -> Signal:
    """Delay each channel by its own number of steps, NIR's Delay; the output is 0 before.

    Raises:
        UserError: the shapes differ, or the matrices are too large.
    """
    if steps.shape != x.shape:
        raise UserError(f"{name}.delay has shape {steps.shape}, its input has {x.shape}")
    if not steps.any():
        return x
    flat = steps.ravel()
    distinct = np.unique(flat)
    several = len(distinct) > 1
    terms = dict(x.terms)
    if x.bias is not None:  # a constant that arrives late: it is an input's
        terms[ONES, 0] = Term(x.bias[:, None], 1, f"bias before {name}")
    check_values(name, len(terms) * len(distinct) * len(flat), most)  # a matrix has N ends of rows
    found: dict[Source, Term] = {}
    for (source, earlier), term in terms.items():
        whole = matrices.sparse_identity(term.width) if term.matrix is None else term.matrix
        for n in distinct.tolist():
            matrix = matrices.rows_of(whole, flat == n) if several else term.matrix
            one = Term(matrix, term.width, _joined(term.nodes, name))
            key = source, earlier + n  # two delays in series may add up to the same
            found[key] = _plus(found[key], one) if key in found else one
    check_values(name, sum(matrices.stored(matrix_of(t)) for t in found.values()), most)
    return Signal(x.shape, found, None)


@np.errstate(**UNCHECKED)
def scale(name: str, factors: np.ndarray, x: Signal, most: int = MAX_SYNAPSES) -> Signal:
    """Multiply elementwise by constants of the same shape, NIR's Scale.

    Raises:
        UserError: the shapes differ.
    """
    if factors.shape != x.shape:
        raise UserError(f"{name}.scale has shape {factors.shape}, its input has {x.shape}")
    bounded(name, x, x.size, most)
    terms = {
        key: Term(
            matrices.scale_rows(factors.ravel(), matrix_of(term)),
            term.width,
            _joined(term.nodes, name),
        )
        for key, term in x.terms.items()
    }
    return Signal(x.shape, terms, None if x.bias is None else x.bias * factors.ravel())


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

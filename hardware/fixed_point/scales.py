"""Choose the unit, exponents and rounding of a population whose weights lie on no exact grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hardware.fixed_point.integers import (
    BIAS_LIMIT,
    EXPONENT_LIMIT,
    MAGNITUDE_LIMIT,
    STATE_LIMIT,
    STATE_SCALE,
    VTH_LIMIT,
    WEIGHT_LIMIT,
    IntegerSynapses,
)
from hardware.graph.matrices import is_sparse, mapped, pruned, row_sums_of_magnitudes, values
from hardware.graph.network import CONSTANTS, Population, Synapses

THRESHOLD_BITS = 13  # a threshold of 2^13 units leaves 16 times as much for inputs and membranes
FEWEST = 8  # steps of the largest weight, where a threshold or bias needs a coarse unit
PAYLOAD = 255  # units of an input's grid, where its largest value is not known
CANDIDATES = 128  # units in an octave
SAMPLED = 4096  # weights that a choice of unit is judged by
LIKE = 1e-6  # costs as near as this are equal: rounding errors must not choose between units
ON_LATTICE = 1e-4  # of a step; weights in float32 are not nearer to their lattice


@dataclass(frozen=True)
class Part:
    """Synapses that become one matrix of integers.

    Attributes:
        synapses: the weights.
        grid: the grid of the source, 1 for spikes.
        graded: whether the source is an input, with numbers for spikes.
        even: 2 where signs are mixed, since Lava then keeps only even integers; else 1.
        peak: the largest magnitude of a weight times the grid.
        sample: some magnitudes of weights times the grid, and the number that each stands for.
    """

    synapses: Synapses
    grid: float
    graded: bool
    even: int
    peak: float
    sample: tuple[np.ndarray, np.ndarray]

    @property
    def limit(self) -> int:
        """Largest stored magnitude, 254 of mixed signs and 255 of one."""
        return 2 * WEIGHT_LIMIT if self.even == 2 else MAGNITUDE_LIMIT

    def exponent(self, unit: float) -> int:
        """Return the smallest weight exponent with which the peak fits."""
        needed = np.log2(self.peak / (self.limit * unit)) if self.peak else 0.0
        return max(0, int(np.ceil(needed - 1e-9)))

    def step(self, unit: float) -> float:
        """Return the distance of neighbouring weights, times the grid."""
        return self.even * unit * 2.0 ** self.exponent(unit)


@dataclass(frozen=True)
class Loss:
    """Weights of `nodes` were rounded to multiples of `step`, by up to `error`."""

    nodes: str
    step: float
    error: float


@dataclass(frozen=True)
class Scale:
    """The choice for a population: one unit, and an exponent and integers for every part."""

    unit: float
    synapses: tuple[IntegerSynapses, ...]
    notes: tuple[str, ...]


def choose(
    p: Population, grids: Mapping[str, float], peaks: Mapping[str, float], exponents: bool
) -> Scale:
    """Choose the unit of a population, and round its weights.

    The unit is a real number. It is at most θ/2^13, so that rounding of threshold and membrane is
    small beside that of the weights; it is coarser where a threshold needs more than 17 bits, a
    weight an exponent above 7, a bias more than 13 bits, or, up to a step of the largest weight,
    where one step's input, all sources active, could leave 24 bits. Of the units of an octave in
    which the largest weight or the threshold is a whole number, it is that with the least mean
    squared error of weights and threshold. Any common step of the weights is among them, so that
    weights which another tool rounded to 8 bits stay exact. Else mixed signs are split into two
    synapses of 8 bits each, and dense weights are rounded so that the sum over a neuron's inputs is
    kept.

    Args:
        p: a population in Lava's form.
        grids: the grid of each input.
        peaks: the largest magnitude of each input; without it, 255 units of its grid.
        exponents: whether to use weight exponents to make the unit finer than a step.
    """
    parts = _parts(p.synapses, grids)
    coarsest = max(part.peak / (FEWEST * part.even) for part in parts)
    lowest = _lowest(p, parts, peaks, exponents)
    unit, on_lattice = _best(p, parts, lowest, coarsest)
    if not on_lattice:
        halves = _parts((half for s in p.synapses for half in by_sign(s)), grids)
        if len(halves) > len(parts):
            parts, lowest = halves, _lowest(p, halves, peaks, exponents)
            unit, _ = _best(p, parts, lowest, coarsest)
    synapses: list[IntegerSynapses] = []
    losses: list[Loss] = []
    for part in parts:
        if part.synapses.source in CONSTANTS:
            found, lost = round_constant(part.synapses, unit)
        else:
            found, lost = _round(part, unit)
        synapses += found
        losses += lost
    return Scale(unit, tuple(synapses), notes_of(losses))


def notes_of(losses: Iterable[Loss]) -> tuple[str, ...]:
    """Return a line for each node whose weights were rounded, about its larger error."""
    worst: dict[str, Loss] = {}
    for x in losses:
        if x.nodes not in worst or x.error > worst[x.nodes].error:
            worst[x.nodes] = x
    return tuple(
        f"{x.nodes}: weights rounded to multiples of {x.step:g}, by up to {x.error:.3g}"
        for x in worst.values()
    )


def by_sign(s: Synapses) -> tuple[Synapses, ...]:
    """Split positive and negative weights into synapses of their own, without those all zero."""
    halves = [mapped(s.weight, lambda x, f=f: f(x, 0.0)) for f in (np.maximum, np.minimum)]
    return tuple(replace(s, weight=pruned(h)) for h in halves if values(h).any()) or (s,)


def _parts(synapses: Iterable[Synapses], grids: Mapping[str, float]) -> list[Part]:
    found = []
    for s in synapses:
        grid, w = grids.get(s.source, 1.0), values(s.weight).ravel()
        even = 2 if (w > 0).any() and (w < 0).any() else 1
        peak = float(np.abs(w).max(initial=0.0)) * grid
        every = -(-w.size // (16 * SAMPLED)) or 1
        magnitudes, counts = np.unique(np.abs(w[::every]) * grid, return_counts=True)
        fewer = -(-magnitudes.size // SAMPLED) or 1
        sample = magnitudes[::fewer], counts[::fewer] * float(every * fewer)
        found.append(Part(s, grid, s.source in grids, even, peak, sample))
    return found


def _lowest(p: Population, parts: list[Part], peaks: Mapping[str, float], exponents: bool) -> float:
    """Return the finest unit to choose from."""
    top = max(part.peak / part.limit for part in parts)
    theta = float(p.v_threshold.max()) if p.fires else 0.0
    wanted = min(top, _finest(p, parts, peaks)) if exponents else top
    return max(wanted, theta / VTH_LIMIT, _bias_unit(p), top / 2**EXPONENT_LIMIT)


def _bias_unit(p: Population) -> float:
    """Return the finest unit in which the largest bias fits."""
    return float(np.abs(p.bias).max()) * STATE_SCALE / (BIAS_LIMIT << EXPONENT_LIMIT)


def finer(
    p: Population, unit: float, grids: Mapping[str, float], peaks: Mapping[str, float]
) -> int:
    """Return how often the unit of weights on a grid can be halved to make other rounding small."""
    finest = _finest(p, _parts(p.synapses, grids), peaks)
    return int(np.floor(np.log2(max(1.0, unit / max(finest, _bias_unit(p)))) + 1e-9))


def _finest(p: Population, parts: list[Part], peaks: Mapping[str, float]) -> float:
    """Return the unit of a threshold of 2^13 units, or with which no current can leave 24 bits."""
    if not p.fires or p.v_threshold.max() <= 0:
        return np.inf
    high, low = np.zeros(p.size), np.zeros(p.size)
    for part in parts:
        s = part.synapses
        if part.graded and s.source not in CONSTANTS:
            peak = peaks.get(s.source, PAYLOAD * part.grid)
            both = peak * row_sums_of_magnitudes(s.weight)
            high, low = high + both, low + both
        else:
            high = high + row_sums_of_magnitudes(mapped(s.weight, lambda x: np.maximum(x, 0.0)))
            low = low + row_sums_of_magnitudes(mapped(s.weight, lambda x: np.minimum(x, 0.0)))
    worst = np.maximum(high, low)
    if p.current is not None:  # the sum over all earlier steps
        worst = worst / p.current.decay
    safe = worst.max() * STATE_SCALE / STATE_LIMIT
    return float(max(p.v_threshold.max() / 2**THRESHOLD_BITS, safe))


def _best(p: Population, parts: list[Part], lowest: float, coarsest: float) -> tuple[float, bool]:
    """Return the best unit of the octave above `lowest`, and whether all weights lie on its steps.

    It is not above `coarsest`, even if a threshold then needs more than 17 bits.
    """
    lowest = min(lowest, coarsest)
    largest = max(parts, key=lambda part: part.peak / part.limit)
    whole = np.arange(MAGNITUDE_LIMIT // 2 + 1, MAGNITUDE_LIMIT + 1) // largest.even
    steps = largest.peak / (np.unique(whole) * largest.even)
    units = steps * 2.0 ** np.ceil(np.log2(lowest / steps) - 1e-9)
    theta = p.v_threshold if p.fires else np.zeros(1)
    if theta.max() > 0:  # also those in which the threshold is whole
        between = lowest * 2.0 ** (np.arange(CANDIDATES) / CANDIDATES)
        units = np.append(units, theta.max() / np.unique(np.ceil(theta.max() / between)))
    units = units[(units >= lowest * (1 - 1e-9)) & (units <= coarsest * (1 + 1e-9))]
    best, found = np.inf, (lowest, False)
    for unit in units:
        cost = float(((threshold(theta, unit) * unit - theta) ** 2).mean())
        furthest = 0.0
        for part in parts:
            magnitudes, counts = part.sample
            step = part.step(unit)
            error = np.abs(np.round(magnitudes / step) * step - magnitudes)
            cost += float((error**2 * counts).sum()) / p.size
            furthest = max(furthest, float(error.max(initial=0.0)) / step)
        if cost < best * (1 - LIKE) - (ON_LATTICE * unit) ** 2:
            best, found = cost, (float(unit), furthest <= ON_LATTICE)
    return found


def threshold(theta: np.ndarray, unit: float) -> np.ndarray:
    """Return thresholds in units, rounded down: the membrane, too, is truncated towards 0.

    On a lattice v > θ and v > floor(θ) agree, a tie included.
    """
    return np.floor(theta / unit + ON_LATTICE)


def round_constant(s: Synapses, unit: float) -> tuple[tuple[IntegerSynapses, ...], list[Loss]]:
    """Round the weights of a constant input, as two synapses where one has not bits enough.

    A bias acts in every step: an error of it adds up. There is only one such weight for a neuron.
    """
    (part,) = _parts([s], {})
    (coarse,), lost = _round(part, unit)
    rest = s.weight - coarse.weight * (unit * 2.0**coarse.weight_exp)
    if not lost or coarse.weight_exp == 0:
        return (coarse,), lost
    (part,) = _parts([replace(s, weight=rest)], {})
    (fine,), lost = _round(part, unit)
    return (coarse, fine), lost


def _round(part: Part, unit: float) -> tuple[tuple[IntegerSynapses, ...], list[Loss]]:
    s, step = part.synapses, part.step(unit) / part.grid
    limit = part.limit // part.even
    if is_sparse(s.weight):  # kernels of convolutions stay shared
        k = mapped(s.weight, lambda w: np.clip(np.round(w / step), -limit, limit))
    else:
        k = keep_sums(s.weight / step, limit)
    k = mapped(k, lambda x: x.astype(np.int64) * part.even)
    error = float(np.abs(values(k) * (step / part.even) - values(s.weight)).max(initial=0.0))
    lost = [Loss(s.nodes, step, error)] if error > ON_LATTICE * step else []
    return (IntegerSynapses(s.source, k, part.exponent(unit), part.graded, s.delay),), lost


def keep_sums(values_NM: np.ndarray, limit: int) -> np.ndarray:
    """Round to integers of at most `limit` so that each row's sum changes by at most about 1/2.

    Beginning from the nearest integers, those that are nearest to a half are rounded the other way.

    >>> keep_sums(np.array([[1.4, 2.3, 0.3, 0.0], [-1.2, 0.1, 3.0, 4.0]]), 255)
    array([[ 2.,  2.,  0.,  0.],
           [-1.,  0.,  3.,  4.]])
    """
    nearest = np.clip(np.round(values_NM), -limit, limit)
    error = values_NM - nearest
    missing = np.round(error.sum(1))
    towards = np.sign(missing)[:, None]
    gain = np.where(np.abs(nearest + towards) <= limit, error * towards, 0.0)
    order = np.argsort(-gain, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(order.shape[1]), order.shape), axis=1)
    other = (rank < np.abs(missing)[:, None]) & (gain > 0)
    return nearest + other * towards

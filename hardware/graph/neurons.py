"""Convert a neuron node of NIR to a `Population`: its equations in forward Euler."""

from __future__ import annotations

import nir
import numpy as np

from hardware.graph.network import LARGEST, MAX_SYNAPSES, Current, Population, Synapses, check_range
from hardware.graph.node_types import SUPPORTED
from hardware.graph.signals import Signal, bounded, matrix_of
from mdft.errors import UserError

DECAY_UNITS = 4096  # Loihi's decays have 12 bits
SNAP = 1e-6  # tau was stored as float32; 2**-24 relative is 6e-8
SNAP64 = 1e-14  # or as float64
POSITIVE = ("tau", "tau_mem", "tau_syn", "r", "v_threshold")
TIMES = ("tau", "tau_mem", "tau_syn")

Neuron = nir.LIF | nir.IF | nir.LI | nir.I | nir.CubaLIF | nir.CubaLI | nir.Threshold
NEURONS = (nir.LIF, nir.IF, nir.LI, nir.I, nir.CubaLIF, nir.CubaLI, nir.Threshold)


def finite(name: str, field: str, value: np.ndarray) -> np.ndarray:
    """Return the values as float64.

    Raises:
        UserError: a value is NaN, infinite or so large that products overflow.
    """
    array = np.asarray(value, dtype=np.float64)
    if not np.isfinite(array).all():
        raise UserError(f"{name}.{field} holds NaN or infinite values, expected finite ones")
    if array.size and np.abs(array).max() > LARGEST:
        found = np.abs(array).max()
        raise UserError(f"{name}.{field} reaches {found:g}, expected at most {LARGEST:g}")
    return array


def snap_decay(value: np.ndarray, within: float = SNAP) -> np.ndarray:
    """Return the multiple of 1/4096 within one part in 10**6, if any, else the value.

    Only 72 % of values β are recovered exactly from τ = dt/(1 − β) in float32; with this rounding
    all 12-bit decays are.
    """
    near = np.round(value * DECAY_UNITS) / DECAY_UNITS
    return np.where(np.abs(value - near) < within * np.abs(value), near, value)


def _fields(node: Neuron) -> tuple[str, ...]:
    return SUPPORTED[type(node).__name__].numbers


def neuron_shape(node: Neuron) -> tuple[int, ...]:
    """Return the shape of a neuron node: all of its parameters have it."""
    return tuple(np.shape(getattr(node, _fields(node)[0])))


def population(
    name: str,
    node: Neuron,
    x: Signal,
    dt: float,
    subtracts: bool = False,
    most: int = MAX_SYNAPSES,
) -> Population:
    """Return the neurons of a node with a signal as their input.

    Args:
        name: the name of the node.
        node: the node, of a type in `NEURONS`.
        x: the sum of the signals of its incoming edges.
        dt: seconds per step.
        subtracts: whether a spike subtracts v_threshold from v, instead of v ← v_reset.
        most: the most values that the matrices may have.

    Raises:
        UserError: parameters are not finite, not of one shape or out of range, or the signal has
            another shape.
    """
    p = _parameters(name, node, dt)
    shape = neuron_shape(node)
    if x.shape != shape:
        raise UserError(f"node {name!r} has neurons of shape {shape}, its input has {x.shape}")
    zeros = np.zeros(x.size)
    decay, gain, current = _rates(p, dt, SNAP64 if _all_float64(node) else SNAP)
    threshold = p.get("v_threshold", p.get("threshold"))
    return Population(
        name,
        synapses(name, x, most),
        zeros if x.bias is None else x.bias,
        decay,
        gain,
        p.get("v_leak", zeros),
        p.get("v_reset", zeros),
        np.full(x.size, np.inf) if threshold is None else threshold,
        current,
        threshold is not None,
        subtracts and threshold is not None and not isinstance(node, nir.Threshold),
    )


def unit_notes(graph: nir.NIRGraph, dt: float) -> tuple[str, ...]:
    """Return a note about IF and I nodes with r = 1, whose tool may have meant I a step."""
    names = [
        name
        for name, node in graph.nodes.items()
        if isinstance(node, nir.IF | nir.I) and (np.asarray(node.r) == 1).all()
    ]
    if not names or dt == 1:
        return ()
    timed = any(hasattr(node, field) for node in graph.nodes.values() for field in TIMES)
    remedy = f"write r = {1 / dt:g}" if timed else "give --dt 1"
    return (
        f"{', '.join(names[:4])}{' …' if names[4:] else ''}: r = 1, so a step adds "
        f"dt·r·I = {dt:g}·I; if it should add I, {remedy}",
    )


def readout(name: str, x: Signal, most: int = MAX_SYNAPSES) -> Population:
    """Return the population of an Output that sums: v = Σ weight·x + bias, without memory."""
    incoming = synapses(name, x, most)  # refuses what needs too much memory below
    ones, zeros = np.ones(x.size), np.zeros(x.size)
    bias = zeros if x.bias is None else x.bias
    return Population(name, incoming, bias, ones, ones, zeros, zeros, ones * np.inf, None, False)


def synapses(name: str, x: Signal, most: int) -> tuple[Synapses, ...]:
    """Return a signal's matrices as the synapses of node `name`.

    Raises:
        UserError: the matrices would hold more than `most` values, or they or the bias overflow.
    """
    bounded(name, x, x.size, most)
    found = tuple(
        Synapses(source, matrix_of(term), term.nodes or f"{source}->{name}", delay)
        for (source, delay), term in x.terms.items()
    )
    check_range(name, *(s.weight for s in found), *(() if x.bias is None else (x.bias,)))
    return found


def _rates(
    p: dict[str, np.ndarray], dt: float, within: float
) -> tuple[np.ndarray, np.ndarray, Current | None]:
    """Return decay, gain and synaptic current for a neuron's parameters."""
    size = next(iter(p.values())).size
    tau = p.get("tau", p.get("tau_mem"))
    if tau is not None:
        decay, gain = (snap_decay(x, within) for x in (dt / tau, p["r"] * dt / tau))
    elif "r" in p:  # IF and I have no leak: v' = R·I
        decay, gain = np.zeros(size), snap_decay(p["r"] * dt, within)
    else:  # Threshold has no state: v = I
        decay, gain = np.ones(size), np.ones(size)
    if "tau_syn" not in p:
        return decay, gain, None
    rate = dt / p["tau_syn"]
    current = Current(snap_decay(rate, within), snap_decay(p["w_in"] * rate, within))
    return decay, gain, current


def _all_float64(node: Neuron) -> bool:
    return all(np.asarray(getattr(node, f)).dtype == float for f in _fields(node))


def _parameters(name: str, node: Neuron, dt: float) -> dict[str, np.ndarray]:
    p = {f: finite(name, f, getattr(node, f)) for f in _fields(node)}
    shapes = {f: values.shape for f, values in p.items()}
    if len(set(shapes.values())) != 1 or () in shapes.values() or 0 in next(iter(shapes.values())):
        raise UserError(f"{name}: found parameter shapes {shapes}, expected one, and not ()")
    p = {f: values.ravel() for f, values in p.items()}
    for field in POSITIVE:
        if field in p and (p[field] <= 0).any():
            raise UserError(f"{name}.{field} has {p[field].min():g}, expected above 0")
    if "v_reset" in p and (p["v_reset"] > p["v_threshold"]).any():
        raise UserError(f"{name}.v_reset lies above v_threshold, expected below")
    for field in TIMES:
        if field in p and (p[field] * (1 + SNAP) < dt).any():
            raise UserError(
                f"{name}.{field} has {p[field].min():g} s, expected at least dt = {dt:g} s; "
                "if the graph was made for another step, give it by --dt"
            )
    return p

"""The lowered form of a graph: populations of neurons connected by matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mdft.errors import UserError

LARGEST = 1e30  # of parameters and inputs; products of a few such numbers stay finite
OUT_OF_RANGE = 1e200  # of computed values
#: NumPy only warns of an overflow; `check_range` then refuses the values.
UNCHECKED: Any = {"over": "ignore", "invalid": "ignore"}
DT = 1e-4  # seconds per step, as in snnTorch and Lava; NIR stores only tau


@dataclass(frozen=True)
class Synapses:
    """All connections from one source to one population: I += weight · x_source.

    Attributes:
        source: the name of an input or of a population.
        weight: (N, M) float64; N neurons of the population, M channels of the source.
        nodes: the names of the NIR nodes that were folded, for messages.
    """

    source: str
    weight: np.ndarray
    nodes: str


@dataclass(frozen=True)
class Current:
    """The synaptic current of NIR's Cuba neurons: u ← (1 − decay)·u + gain·I.

    decay = dt/τ_syn, gain = w_in·dt/τ_syn; both (N,) float64.
    """

    decay: np.ndarray
    gain: np.ndarray


@dataclass(frozen=True)
class Population:
    """N neurons of one kind, NIR's equations in forward Euler, from u = v = 0 for each sample.

    I = bias + Σ weight·x;  u ← I without `current`, else see `Current`;
    v ← (1 − decay)·v + decay·v_leak + gain·u,  spike when v > v_threshold (strict),
    then v ← v_reset in the same step. All arrays (N,) float64.

    LIF: decay = dt/τ, gain = r·dt/τ. IF: decay = 0, gain = r·dt. Threshold: decay = gain = 1.
    LI, CubaLI and I have no threshold (inf); their output is v: `fires` is False.
    """

    name: str
    synapses: tuple[Synapses, ...]
    bias: np.ndarray
    decay: np.ndarray
    gain: np.ndarray
    v_leak: np.ndarray
    v_reset: np.ndarray
    v_threshold: np.ndarray
    current: Current | None = None
    fires: bool = True

    @property
    def size(self) -> int:
        """Number of neurons N."""
        return len(self.bias)


@dataclass(frozen=True)
class Network:
    """A feed-forward graph: inputs, populations in topological order, outputs.

    Attributes:
        inputs: the width of each input, by name.
        populations: the populations, each after all of its sources.
        outputs: output name → name of the population whose spikes it carries, or whose membrane
            if that population does not fire.
        dt: seconds per step.
        notes: remarks for the user about how the file was read.
    """

    inputs: dict[str, int]
    populations: tuple[Population, ...]
    outputs: dict[str, str]
    dt: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recording:
    """The result of a backend: arrays (B, S, N) by population, aligned to the input steps.

    Attributes:
        spikes: uint8, 0 or 1, for the populations that fire.
        membranes: membranes before the reset, in the backend's units; empty if not recorded.
        units: the size of one membrane unit in the graph's units, by population.
        counts: the numbers of events that a report mentions, such as wrapped currents.
    """

    spikes: dict[str, np.ndarray]
    membranes: dict[str, np.ndarray]
    units: dict[str, float]
    counts: dict[str, int]


def check_range(name: str, *arrays: np.ndarray) -> None:
    """Check that computed weights, currents or membranes have not overflowed.

    Raises:
        UserError: a value is NaN or above 1e200; the message has the `name` of the node.
    """
    for values in arrays:
        if not float(np.abs(values).max(initial=0)) <= OUT_OF_RANGE:  # NaN is not, either
            raise UserError(
                f"{name}: products of its weights and inputs exceed {OUT_OF_RANGE:g}, expected "
                "smaller weights"
            )


def as_floats(values: np.ndarray) -> np.ndarray:
    """Return real numbers as float32 if they are that, else as float64, in native byte order.

    Sums and products of float16, integers and bool would overflow or wrap. A long double beyond
    float64 becomes infinite.
    """
    kind = np.float32 if values.dtype == np.float32 else np.float64
    with np.errstate(over="ignore"):
        return values.astype(kind, copy=False)


def check_inputs(network: Network, inputs: dict[str, np.ndarray]) -> tuple[int, int]:
    """Return batch size and number of steps of inputs (B, S, width), which are matched by name.

    Raises:
        UserError: an input is missing, has a wrong shape, or holds a value that is not finite or
            above 1e30.
    """
    shapes = set()
    for name, width in network.inputs.items():
        if name not in inputs:
            raise UserError(f"input {name!r} is missing; found {sorted(inputs)}")
        shape = inputs[name].shape
        if len(shape) != 3 or shape[2] != width or 0 in shape:
            raise UserError(f"input {name!r}: found shape {shape}, expected (B, S, {width})")
        if not np.isfinite(inputs[name]).all():
            raise UserError(f"input {name!r} holds NaN or infinite values, expected finite ones")
        if (found := np.abs(inputs[name]).max()) > LARGEST:
            raise UserError(f"input {name!r} reaches {found:g}, expected at most {LARGEST:g}")
        shapes.add(shape[:2])
    if len(shapes) != 1:
        raise UserError(f"the inputs disagree on (B, S): found {sorted(shapes)}, expected one")
    return shapes.pop()

"""The lowered form of a graph: populations of neurons connected by matrices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hardware.graph.matrices import Matrix, values
from mdft.errors import UserError

LARGEST = 1e30  # of parameters and inputs; products of a few such numbers stay finite
OUT_OF_RANGE = 1e200  # of computed values
#: NumPy only warns of an overflow; `check_range` then refuses the values.
UNCHECKED: Any = {"over": "ignore", "invalid": "ignore"}
# Names of added inputs; NIR names cannot contain a space, so they do not collide.
ONES, START = CONSTANTS = "constant 1", "first step"
Reset = Literal["to-value", "subtract"]  # what a spike does to v
DT = 1e-4  # seconds per step, as in snnTorch and Lava; NIR stores only tau
#: Values in all matrices of a graph. 12 bytes each if sparse; making them takes three times that.
MAX_SYNAPSES = 1 << 27


@dataclass(frozen=True)
class Synapses:
    """All connections from one source to one population: I(t) += weight · x_source(t − delay).

    Attributes:
        source: the name of an input or of a population.
        weight: (N, M) float64; N neurons of the population, M channels of the source. An
            np.ndarray, or scipy's csr_array for convolutions, pooling and delays.
        nodes: the names of the NIR nodes that were folded, for messages.
        delay: steps; x is 0 before the first step. At least 1 from a population to itself or to
            an earlier one.
    """

    source: str
    weight: Matrix
    nodes: str
    delay: int = 0


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
    then v ← v_reset in the same step, or v ← v − v_threshold if `subtracts`. All arrays (N,)
    float64.

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
    subtracts: bool = False

    @property
    def size(self) -> int:
        """Number of neurons N."""
        return len(self.bias)

    @property
    def input_gain(self) -> np.ndarray:
        """The factor of an input on its way to v, (N,): with a `current`, both gains."""
        return self.gain if self.current is None else self.gain * self.current.gain


@dataclass(frozen=True)
class Network:
    """A graph: inputs, populations in topological order, outputs.

    Attributes:
        inputs: the width of each input, by name.
        populations: the populations, each after its sources but for synapses with a delay.
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
        offsets: the graph's v, (N,), at a membrane of 0, by population; 0 if a population is
            missing. It is v_reset in fixed point, where a spike resets to 0.
    """

    spikes: dict[str, np.ndarray]
    membranes: dict[str, np.ndarray]
    units: dict[str, float]
    counts: dict[str, int]
    offsets: dict[str, np.ndarray] = field(default_factory=dict)

    def membrane(self, name: str) -> np.ndarray:
        """Return a population's v in the graph's units, ``membranes·units + offsets``."""
        return self.membranes[name] * self.units[name] + self.offsets.get(name, 0.0)


def constants(populations: Iterable[Any], batch: int, steps: int) -> dict[str, np.ndarray]:
    """Return the added inputs, (B, S, 1), that the synapses of these populations use."""
    start = np.zeros((batch, steps, 1))
    start[:, 0] = 1
    known = {ONES: np.ones((batch, steps, 1)), START: start}
    named = {s.source for p in populations for s in p.synapses}
    return {name: x for name, x in known.items() if name in named}


def blocks(populations: Sequence[Any]) -> list[list[Any]]:
    """Split populations, in their order, into the shortest runs that no cycle leaves.

    A run of one population without a connection to itself can be computed for all steps at once;
    others step together.
    """
    place = {p.name: i for i, p in enumerate(populations)}
    first = list(range(len(populations)))  # the first population of the run that ends here
    for i, p in enumerate(populations):
        for s in p.synapses:
            last = place.get(s.source, -1)
            if last >= i:
                first[last] = min(first[last], i)
    found: list[list[Any]] = []
    start = len(populations)
    for i in reversed(range(len(populations))):
        if not found or i < start:
            found.append([])
            start = i
        start = min(start, first[i])
        found[-1].insert(0, populations[i])
    return found[::-1]


def is_recurrent(block: Sequence[Any]) -> bool:
    """Return whether a run of `blocks` has a connection within it."""
    names = {p.name for p in block}
    return any(s.source in names for p in block for s in p.synapses)


def delayed(x_BSM: np.ndarray, delay: int) -> np.ndarray:
    """Return x(t − delay), with zeros before the first step."""
    if not delay:
        return x_BSM
    late = np.zeros_like(x_BSM)
    late[:, delay:] = x_BSM[:, :-delay]
    return late


def check_range(name: str, *arrays: Matrix) -> None:
    """Check that computed weights, currents or membranes have not overflowed.

    Raises:
        UserError: a value is NaN or above 1e200; the message has the `name` of the node.
    """
    for array in arrays:
        if not float(np.abs(values(array)).max(initial=0)) <= OUT_OF_RANGE:  # NaN is not, either
            raise UserError(
                f"{name}: products of its weights and inputs exceed {OUT_OF_RANGE:g}, expected "
                "smaller weights"
            )


def check_values(name: str, values: int, most: int) -> None:
    """Check the size of a node's matrices before they are made.

    Raises:
        UserError: there are more values than `most`; the message has the `name` of the node.
    """
    if values > most:
        raise UserError(f"node {name!r} needs matrices of {values} values, expected at most {most}")


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

"""The Python interface: read a graph, run it in a simulator, get spikes and membranes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from hardware.backends import find_backend, prepare
from hardware.fixed_point.integers import IntegerNetwork
from hardware.fixed_point.quantise import check_grid, input_grids, input_notes, input_peaks
from hardware.graph.graph import DT, read_network
from hardware.graph.network import (
    MAX_SYNAPSES,
    Network,
    Recording,
    Reset,
    as_floats,
    check_inputs,
)
from mdft.errors import UserError, unknown


def load(
    path: Path | str,
    dt: float = DT,
    reset: Reset = "to-value",
    max_synapses: int = MAX_SYNAPSES,
) -> Network:
    """Read a .nir file from `python -m export.to_nir` or another tool as a network to simulate.

    Neurons follow forward Euler, v ← (1 − dt/τ)·v + (r·dt/τ)·I, spike when v > v_threshold
    (strict); this is eq. (8) of the paper if r = τ/dt.

    >>> import hardware, nir
    >>> import numpy as np
    >>> rest = np.zeros(1)
    >>> neuron = nir.LIF(tau=np.array([2e-4]), r=np.array([2.0]), v_leak=rest, v_threshold=rest + 1)
    >>> graph = nir.NIRGraph.from_list(nir.Linear(np.array([[0.5, 0.25]])), neuron)
    >>> nir.write("neuron.nir", graph)
    >>> network = hardware.load("neuron.nir")
    >>> network.inputs, network.outputs
    ({'input': 2}, {'output': 'lif'})

    Args:
        path: a .nir file with node types that docs/nodes.md lists.
        dt: seconds per step; NIR stores time constants in seconds, but no step.
        reset: what a spike does to v: "to-value", v ← v_reset, as NIR defines; or "subtract",
            v ← v − v_threshold, for which NIR has no field. Lava has no LIF for it.
        max_synapses: the most weights in all matrices, zeros of dense ones included; a kernel's
            count at each position, 12 bytes each.

    Returns:
        The network: the widths of its inputs by name, its populations of neurons in topological
        order with float64 weights, the population that each output carries, and notes about how
        the file was read.

    Raises:
        UserError: dt is not above 0, or the file is not supported; the message names file and node.
    """
    if not 0 < dt < float("inf"):
        raise UserError(f"dt is {dt}, expected seconds above 0")
    if reset not in get_args(Reset):
        raise unknown("reset", reset, get_args(Reset))
    return read_network(path, dt, reset, max_synapses)


def simulate(
    network: Network,
    inputs: Mapping[str, ArrayLike] | ArrayLike,
    backend: str = "reference_float",
    *,
    grids: Mapping[str, float] | None = None,
    runtime: str = "inline",
) -> Recording:
    """Run a network in a simulator and record its spikes and membranes.

    >>> import hardware, nir
    >>> import numpy as np
    >>> rest = np.zeros(1)
    >>> neuron = nir.LIF(tau=np.array([2e-4]), r=np.array([2.0]), v_leak=rest, v_threshold=rest + 1)
    >>> graph = nir.NIRGraph.from_list(nir.Linear(np.array([[0.5, 0.25]])), neuron)
    >>> nir.write("neuron.nir", graph)
    >>> network = hardware.load("neuron.nir")
    >>> found = hardware.simulate(network, {"input": np.ones((1, 6, 2))})
    >>> found.spikes["lif"][0, :, 0]
    array([0, 1, 0, 1, 0, 1], dtype=uint8)
    >>> found.membranes["lif"][0, :, 0]
    array([0.75 , 1.125, 0.75 , 1.125, 0.75 , 1.125])

    In Loihi's integers, and the same in the graph's units:

    >>> found = hardware.simulate(network, np.ones((1, 6, 2)), "reference_int")
    >>> found.membranes["lif"][0, :, 0]
    array([192, 288, 192, 288, 192, 288])
    >>> found.membrane("lif")[0, :, 0]
    array([0.75 , 1.125, 0.75 , 1.125, 0.75 , 1.125])

    Args:
        network: the result of `load`.
        inputs: real numbers (B, S, width), by input name; or the array itself if the graph has
            one input. All states start at 0 in every sample.
        backend: `reference_float` or `reference_int`, in NumPy; `lava_float`, `lava_fixed` or
            `netx`, which need Lava.
        grids: the power of two that each input's values are multiples of, by name; default:
            found from the values. Only `reference_int`, `lava_fixed` and `netx` use it.
        runtime: the runtime of Lava, "inline" (one OS process) or "process" (Lava's own, which
            gives no membranes).

    Returns:
        Spikes (B, S, N) uint8 of the populations that fire, and membranes before the reset as
        float64, or as int64; `membrane(population)` returns them in the graph's units.

    Warns:
        UserWarning: inputs, weights or constants were rounded for fixed point; one per change.

    Raises:
        UserError: a backend, runtime or input is unknown, an input is missing or has another
            shape, or the backend cannot express a node.
    """
    simulator = find_backend(backend, runtime)
    arrays = _by_name(network, inputs)
    check_inputs(network, arrays)
    for name, grid in (grids or {}).items():
        if name not in network.inputs:
            raise unknown("grids: input", name, network.inputs)
        check_grid(f"grids: {name}", grid)
    all_grids = (input_grids(arrays) if simulator.fixed else {}) | dict(grids or {})
    prepared = prepare(simulator, network, all_grids, input_peaks(arrays))
    if isinstance(prepared, IntegerNetwork):
        for note in (*input_notes(arrays, all_grids), *prepared.notes):
            warnings.warn(f"{backend}: {note}", UserWarning, stacklevel=2)
    return simulator.run(prepared, arrays, runtime)


def _by_name(
    network: Network, inputs: Mapping[str, ArrayLike] | ArrayLike
) -> dict[str, np.ndarray]:
    if not isinstance(inputs, Mapping):
        if len(network.inputs) != 1:
            raise UserError(
                f"inputs: found one array, the graph has the inputs {', '.join(network.inputs)}; "
                "give a dict from name to array"
            )
        inputs = dict.fromkeys(network.inputs, inputs)
    arrays = {}
    for name, values in inputs.items():
        if name not in network.inputs:
            raise unknown("input", name, network.inputs)
        x = np.asarray(values)
        if x.dtype.kind not in "fiub":
            raise UserError(f"input {name!r}: found {x.dtype}, expected real numbers")
        arrays[name] = as_floats(x)
    return arrays

"""The simulators by name, behind one interface: a network and its inputs in, a recording out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware.fixed_point.quantise import IntegerNetwork, quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.network import Network, Recording
from hardware.lava.netx_backend import netx
from hardware.lava.run import RUNTIMES, lava_fixed, lava_float
from hardware.reference_float import reference_float
from mdft.errors import UserError, unknown

Inputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Backend:
    """One simulator.

    Attributes:
        name: the name on the command line.
        fixed: whether it computes in integers. `run` then takes an `IntegerNetwork` and must give
            the spikes of `reference_int`; else it takes a `Network` and must give those of
            `reference_float`.
        runtimes: the values that `run` accepts as its third argument; empty for backends without
            Lava, which ignore the argument.
        run: (network, inputs (B, S, width) by name, runtime) → `Recording`. It raises a
            `UserError` that names the node if the backend cannot express it, before it runs.
        exponents: whether its synapses have weight exponents.
    """

    name: str
    fixed: bool
    runtimes: tuple[str, ...]
    run: Callable[[Any, Inputs, str], Recording]
    exponents: bool = True


BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Backend("reference_float", False, (), lambda net, x, _: reference_float(net, x)),
        Backend("lava_float", False, RUNTIMES, lava_float),
        Backend("reference_int", True, (), lambda net, x, _: reference_int(net, x)),
        Backend("lava_fixed", True, RUNTIMES, lava_fixed),
        Backend("netx", True, RUNTIMES, netx, exponents=False),
    )
}


def find_backend(name: str, runtime: str = "inline") -> Backend:
    """Return the backend with that name.

    Raises:
        UserError: the backend is unknown, or does not have that runtime.
    """
    if name not in BACKENDS:
        raise unknown("backend", name, BACKENDS)
    backend = BACKENDS[name]
    known = backend.runtimes or RUNTIMES
    if runtime not in known:
        raise UserError(f"--runtime is {runtime!r}, expected for {name} one of: {', '.join(known)}")
    return backend


def prepare(
    backend: Backend,
    network: Network,
    grids: Mapping[str, float],
    peaks: Mapping[str, float] | None = None,
) -> Network | IntegerNetwork:
    """Return the network for the backend's `run`: quantised if the backend uses fixed point.

    `grids` and `peaks` are those of `hardware.fixed_point.quantise.quantise`.
    """
    if not backend.fixed:
        return network
    return quantise(network, grids, peaks, exponents=backend.exponents)

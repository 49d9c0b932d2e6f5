"""The two forms of a graph, with the probe and the contract of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import nir
from torch import Tensor

from export.chain import chain_trace, encode_chain, relay_count, threshold_code, to_chain
from export.contract import (
    CURRENT,
    DRIVE,
    EVENTS,
    Channels,
    InputContract,
    LayerContract,
)
from export.files import Form, RConvention
from export.graph import current_range, grid_arrays, input_grids, to_graph
from hardware.fixed_point.quantise import quantise
from hardware.graph.graph import lower
from mdft.errors import UserError
from mdft.lif.grid import GRID, INPUT_GRID, INPUT_MAX, MOST_BITS, Arithmetic
from mdft.lif.loihi import largest_multiple
from mdft.model.motion import MotionBranch


@dataclass(frozen=True)
class Drive:
    """The inputs of a pathway, and the range of its threshold.

    Attributes:
        x_BSF: the graded events of every step.
        current_BSA: the threshold current of every step, A = 1, or A = N with one per neuron.
        thetas: the smallest and largest threshold θ.
    """

    x_BSF: Tensor
    current_BSA: Tensor
    thetas: tuple[float, float]


@dataclass(frozen=True)
class Exported:
    """One pathway in one form.

    Attributes:
        graph: the graph to write.
        inputs: the values (B,S,width) of each Input.
        traces: spikes and membranes before the reset, (B,S,N), of each LIF node.
        arithmetic: the arithmetic of the spikes.
        given: the contract of each Input.
        layers: the contract of each LIF node.
    """

    graph: nir.NIRGraph
    inputs: dict[str, Tensor]
    traces: dict[str, tuple[Tensor, Tensor]]
    arithmetic: Arithmetic
    given: dict[str, InputContract]
    layers: dict[str, LayerContract]


def export_form(
    form: Form, branch: MotionBranch, drive: Drive, r_convention: RConvention
) -> Exported:
    """Return a branch in one form.

    Raises:
        UserError: the form cannot represent the branch.
    """
    make = _inputs if form == "inputs" else _chain
    return make(branch, drive, r_convention)


def _inputs(branch: MotionBranch, drive: Drive, r_convention: RConvention) -> Exported:
    width = drive.current_BSA.shape[-1]
    grids = input_grids(branch)
    low, high = current_range(branch, drive.thetas)
    current = Channels("threshold current b(t)", 0, width, grids[CURRENT], low, high)
    return Exported(
        to_graph(branch, per_neuron=width > 1, r_convention=r_convention),
        {EVENTS: drive.x_BSF, CURRENT: drive.current_BSA},
        _named(branch.trace(drive.x_BSF, threshold_current=drive.current_BSA)),
        cast(Arithmetic, branch.arithmetic),
        {
            EVENTS: InputContract(branch.features, grids[EVENTS], (_events(branch),)),
            CURRENT: InputContract(width, grids[CURRENT], (current,)),
        },
        _layers(branch, [0] * branch.layers),
    )


def _chain(branch: MotionBranch, drive: Drive, r_convention: RConvention) -> Exported:
    code = threshold_code(branch, drive.thetas)
    count = len(code.worth)
    graph = to_chain(branch, code, r_convention=r_convention)
    if branch.arithmetic == "loihi":
        _check_units(branch, graph)
    bits = Channels(
        "bits of the threshold current b(t)", branch.features, count, 1.0, 0.0, 1.0, code.worth
    )
    channels = (_events(branch), bits)
    return Exported(
        graph,
        {DRIVE: encode_chain(drive.x_BSF, drive.current_BSA, code)},
        _named(chain_trace(branch, code, drive.x_BSF, drive.current_BSA)),
        cast(Arithmetic, branch.arithmetic),
        {DRIVE: InputContract(branch.features + count, INPUT_GRID, channels)},
        _layers(branch, [relay_count(branch, code, i + 1) for i in range(branch.layers)]),
    )


def _check_units(branch: MotionBranch, chain: nir.NIRGraph) -> None:
    """Check that the membrane's unit, in which leaks are rounded, is that of the training."""
    trained = quantise(lower(to_graph(branch)), input_grids(branch)).populations
    integers = quantise(lower(chain), {DRIVE: INPUT_GRID})
    advice = "use --form inputs, or 8-bit weights and a beta of 0 or 0.5"
    if integers.notes:
        raise UserError(f"form chain: Loihi cannot hold it: {integers.notes[0]}; {advice}")
    for p, q in zip(trained, integers.populations, strict=True):
        if p.unit != q.unit:
            raise UserError(
                f"form chain: {p.name} would count in units of {q.unit:g} on Loihi, it was trained "
                f"in units of {p.unit:g}; {advice}"
            )


def _events(branch: MotionBranch) -> Channels:
    limit = INPUT_MAX * INPUT_GRID
    return Channels("graded events", 0, branch.features, INPUT_GRID, -limit, limit)


def _named(traces: list[tuple[Tensor, Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
    return {f"lif_{i}": trace for i, trace in enumerate(traces, start=1)}


def _layers(branch: MotionBranch, relays: list[int]) -> dict[str, LayerContract]:
    steps = [GRID] * branch.layers
    if branch.weight_bits < MOST_BITS:
        steps = branch.get_buffer("weight_steps_L").tolist()
    return {
        f"lif_{i + 1}": LayerContract(
            neurons=branch.neurons,
            relays=relays[i],
            beta=branch.beta,
            v_threshold=branch.v_threshold,
            weight_bits=branch.weight_bits,
            weight_grid=steps[i],
            weight_limit=largest_multiple(branch.weight_bits) * steps[i],
            weight_max=float(abs(weight_NF).max()),
            bias_grid=GRID,
            bias_max=float(abs(bias_N).max()),
        )
        for i, (weight_NF, bias_N) in enumerate(grid_arrays(branch))
    }

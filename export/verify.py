"""Parity of the exported files: levels 0 and 1, and integers, as one table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nir
import torch
from rich.console import Console
from rich.table import Table

from export.contract import Contract, check_export
from export.parity import run_graph
from hardware.backends import BACKENDS
from hardware.compare import LayerComparison, compare
from hardware.graph.graph import lower
from hardware.graph.network import Network
from hardware.manifest import PROBE
from hardware.parity import compared
from hardware.probe import Probe, read_probe
from mdft.errors import UserError
from mdft.lif.grid import Arithmetic


@dataclass(frozen=True)
class Simulator:
    """A simulator that runs the files; one column of the table.

    Attributes:
        name: the name of the simulator.
        level: the level of parity.
        arithmetic: the arithmetic of the simulator.
    """

    name: str
    level: str
    arithmetic: Arithmetic

    def must(self, contract: Contract) -> bool:
        """Whether it must give the probe's spikes: they were computed in the same arithmetic."""
        return self.arithmetic == contract.arithmetic


SIMULATORS = (
    Simulator("nirtorch with snnTorch", "0", "float"),
    Simulator("NumPy float64", "1", "float"),
    Simulator("NumPy integers", "2", "loihi"),
)


@dataclass(frozen=True)
class Parity:
    """The parity of an exported folder: the probe's spikes and those of SIMULATORS.

    Attributes:
        contract: the contract of the folder.
        layers: pathway → comparison of each layer, for each of SIMULATORS; None if it cannot
            express the graph.
        notes: remarks about refused graphs and rounding.
    """

    contract: Contract
    layers: dict[str, tuple[list[LayerComparison] | None, ...]]
    notes: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether a spike differs that must be equal, or a required simulator cannot run."""
        return any(
            layers is None or any(x.differing for x in layers)
            for found in self.layers.values()
            for simulator, layers in zip(SIMULATORS, found, strict=True)
            if simulator.must(self.contract)
        )


def verify(folder: Path) -> Parity:
    """Read an exported folder and run every graph in each of SIMULATORS.

    Raises:
        UserError: the folder does not meet its contract.
    """
    contract, graphs = check_export(folder)
    layers, notes = {}, []
    for pathway, graph in graphs.items():
        network = lower(graph, contract.dt)
        probe = read_probe(folder / PROBE, pathway, network)
        found: list[list[LayerComparison] | None] = [level_0(graph, network, probe)]
        for backend in ("reference_float", "reference_int"):
            try:
                result = compared(BACKENDS[backend], network, probe, probe.grids, "")
            except UserError as error:
                notes.append(f"{pathway}: {backend}: {error}")
                found.append(None)
            else:
                notes += [f"{pathway}: {backend}: {note}" for note in result.notes]
                found.append((result.must | result.reported)["probe"])
        layers[pathway] = tuple(found)
    return Parity(contract, layers, tuple(notes))


def level_0(graph: nir.NIRGraph, network: Network, probe: Probe) -> list[LayerComparison]:
    """Compare the probe's spikes with those of the graph in nirtorch and snnTorch."""
    found = run_graph(graph, {name: torch.from_numpy(x) for name, x in probe.inputs.items()})
    # The output node repeats the last layer: comparing it too would count those spikes twice.
    return [
        compare(
            p.name,
            probe.spikes[p.name],
            found[p.name].numpy(),
            probe.membranes[p.name] - p.v_threshold,
        )
        for p in network.populations
    ]


def parity_table(parity: Parity) -> Table:
    """Return a table of differing spikes, one row per layer, one column per simulator."""
    table = Table(title=f"Spikes that differ from PyTorch's, form {parity.contract.form}")
    table.add_column("pathway")
    table.add_column("layer")
    table.add_column("spikes", justify="right")
    table.add_column("firing", justify="right")
    required = [simulator.must(parity.contract) for simulator in SIMULATORS]
    for simulator, must in zip(SIMULATORS, required, strict=True):
        level = f"level {simulator.level}" if must else "reported"
        table.add_column(f"{level}\n{simulator.name}", justify="right")
    for pathway, found in parity.layers.items():
        for i, first in enumerate(found[0] or []):
            cells = [
                "–" if layers is None else _cell(layers[i].differing, must)
                for layers, must in zip(found, required, strict=True)
            ]
            row = (pathway, first.layer, f"{first.compared:,}", f"{first.rate:.1%}")
            table.add_row(*row, *cells)
    return table


def _cell(differing: int, must: bool) -> str:
    colour = "green" if not differing else "red" if must else "yellow"
    return f"[{colour}]{differing:,}[/]"


def show_parity(parity: Parity, console: Console) -> None:
    """Print the table, a line for each simulator, and the notes."""
    console.print(parity_table(parity))
    for i, simulator in enumerate(SIMULATORS):
        flat = [x for found in parity.layers.values() for x in found[i] or []]
        differing, compared = sum(x.differing for x in flat), sum(x.compared for x in flat)
        text = f"{differing:,} of {compared:,} spikes differ in {simulator.name}"
        if differing and not simulator.must(parity.contract):
            text += f" ({differing / compared:.3%}; trained in {parity.contract.arithmetic})"
        if flat:
            console.print(text, highlight=False)
    for note in parity.notes:
        console.print(f"note: {note}", highlight=False, markup=False)

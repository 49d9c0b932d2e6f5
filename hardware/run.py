"""`python -m hardware.run GRAPH PROBE --backend NAME`: a graph in a simulator, spike by spike."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from hardware.backends import BACKENDS, Backend, find_backend, prepare
from hardware.compare import LayerComparison, compare, compare_graded
from hardware.fixed_point.quantise import IntegerNetwork, input_notes
from hardware.graph.network import DT, Network, Recording
from hardware.pair import read_pair
from hardware.probe import Probe
from hardware.result import Result, check_target, show, write_json
from hardware.traces import check_folder, write_traces
from mdft.cli import exit_status, parse

ORACLE = "reference_int"
ALONE = "the probe holds inputs alone: the spikes to compare with are reference_float's"
FLOAT32 = 1e-5  # of the largest membrane: what a probe in float32 can tell


@dataclass(frozen=True)
class RunConfig:
    """Run a graph in a simulator on probe inputs and count the spikes that differ.

    A backend that computes as the probe's spikes were computed must give them; of any other the
    difference is shown. A fixed-point backend must give the integer reference's.
    Exit status: 0 as it must be, 1 a spike differs that must not, 2 wrong use.
    """

    graph: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="GRAPH")]
    """A .nir file, of `python -m export.to_nir` or another tool."""
    probe: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PROBE")]
    """The probe.npz that came with it, or one of inputs alone (docs/hardware.md)."""
    backend: Annotated[str, tyro.conf.arg(help=f"One of {', '.join(BACKENDS)}.")]
    """A key of `hardware.backends.BACKENDS`."""
    runtime: str = "inline"
    """For Lava: inline (one OS process) or process (Lava's own runtime)."""
    dt: float = DT
    """Seconds a step; NIR's time constants are in seconds."""
    pathway: str | None = None
    """Which part of the probe; default: that of motion_<pathway>.nir, else the only one."""
    limit: int | None = None
    """Run only the first samples of the probe."""
    json: Path | None = None
    """Also write the result here."""
    traces: Path | None = None
    """Also write the backend's spikes and membranes into this folder, as .npz and .csv."""


def run(config: RunConfig) -> Result:
    """Read the two files, runs the backend, compares.

    Raises:
        UserError: a broken file, an unknown backend, a graph that the backend cannot express.
    """
    backend = find_backend(config.backend, config.runtime)
    check_target("--json", config.json)
    if config.traces is not None:
        check_folder(config.traces)
    pair = read_pair(config.graph, config.probe, config.pathway, dt=config.dt, limit=config.limit)
    found = compared(backend, pair.network, pair.probe, pair.grids, config.runtime)
    if config.traces is not None:
        write_traces(found.recording, config.traces, backend.name, pair.pathway)
    batch, steps = next(iter(pair.probe.inputs.values())).shape[:2]
    runtime = config.runtime if backend.runtimes else None
    return Result(
        config.backend,
        runtime,
        pair.pathway,
        *pair.digests,
        batch,
        steps,
        found.must,
        found.shown,
        found.notes,
    )


@dataclass(frozen=True)
class Compared:
    """One backend on a probe: what it recorded, and the comparisons of a `Result`."""

    recording: Recording
    must: dict[str, list[LayerComparison]]
    shown: dict[str, list[LayerComparison]]
    notes: tuple[str, ...]


def compared(
    backend: Backend, network: Network, probe: Probe, grids: dict[str, float], runtime: str
) -> Compared:
    """Run a backend on a probe and compare what it gives.

    Args:
        backend: of `BACKENDS`.
        network: a lowered graph.
        probe: its inputs, spikes and membranes.
        grids: of its inputs.
        runtime: of Lava.
    """
    prepared = prepare(backend, network, grids)
    found = backend.run(prepared, probe.inputs, runtime)
    against = against_probe(network, probe, found)
    same = probe.arithmetic == ("loihi" if backend.fixed else "float")
    must, shown = ({probe.source: against}, {}) if same else ({}, {probe.source: against})
    alone = (ALONE,) if probe.source != "probe" else ()
    if not isinstance(prepared, IntegerNetwork):
        return Compared(found, must, shown, alone)
    oracle = found
    if backend is not BACKENDS[ORACLE]:
        oracle = BACKENDS[ORACLE].run(prepared, probe.inputs, "")
        must[ORACLE] = against_reference(prepared, oracle, found)
    notes = (*alone, *input_notes(probe.inputs, grids), *prepared.notes, *_events(oracle))
    return Compared(found, must, shown, notes)


def _events(found: Recording) -> list[str]:
    said = {"wrapped": "currents wrapped around at 24 bits", "clipped": "membranes were clipped"}
    return [f"{n:,} {said[what]}" for what, n in found.counts.items() if n]


def against_probe(network: Network, probe: Probe, found: Recording) -> list[LayerComparison]:
    """Every layer against the probe's spikes, or its membranes where it does not fire."""
    layers = []
    for p in network.populations:
        if not p.fires:
            membranes = found.membranes[p.name] * found.units[p.name]
            layers.append(compare_graded(p.name, probe.membranes[p.name], membranes, FLOAT32))
            continue
        distance = probe.membranes[p.name] - p.v_threshold
        layers.append(compare(p.name, probe.spikes[p.name], found.spikes[p.name], distance))
    return layers


def against_reference(
    network: IntegerNetwork, expected: Recording, found: Recording
) -> list[LayerComparison]:
    """Every layer, spikes and (where recorded) membranes, against the integer reference."""
    layers = []
    for p in network.populations:
        name, unit = p.name, expected.units[p.name]
        if not p.fires:
            both = expected.membranes[name], found.membranes[name]
            layers.append(compare_graded(name, *both, tolerance=0))
            continue
        distance = expected.membranes[name] * unit - p.vth * p.unit
        both = (expected.membranes[name], found.membranes[name]) if found.membranes else None
        layers.append(compare(name, expected.spikes[name], found.spikes[name], distance, both))
    return layers


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit status."""

    def work() -> int:
        config = parse(RunConfig, "python -m hardware.run", args)
        result = run(config)
        show(result, Console(width=None if sys.stdout.isatty() else 120))
        if config.json is not None:
            write_json(result, config.json)
        return int(result.failed)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())

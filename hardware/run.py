"""`python -m hardware.run GRAPH PROBE --backend NAME`: a graph in a simulator, spike by spike."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from hardware.compare import LayerComparison, compare
from hardware.errors import UserError
from hardware.graph import read_network
from hardware.lava_backend import RUNTIMES, lava_fixed, lava_float
from hardware.manifest import check_manifest, sha256
from hardware.network import Network, Recording
from hardware.probe import Probe, first_samples, read_probe
from hardware.quantise import IntegerNetwork, input_grids, input_notes, quantise
from hardware.reference import reference_float, reference_int
from hardware.result import Result, show, write_json

FLOAT_BACKENDS = ("reference_float", "lava_float")
FIXED_BACKENDS = ("reference_int", "lava_fixed")
BACKENDS = (*FLOAT_BACKENDS, *FIXED_BACKENDS)
PATHWAYS = ("audio", "visual")


@dataclass(frozen=True)
class RunConfig:
    """Run a graph in a simulator on probe inputs and count the spikes that differ.

    A floating-point backend must give the probe's spikes; a fixed-point one the integer
    reference's, and its difference from the probe is shown. Exit status: 0 as it must be,
    1 a spike differs that must not, 2 wrong use.
    """

    graph: tyro.conf.Positional[Path]
    """A .nir file from `python -m export.to_nir`."""
    probe: tyro.conf.Positional[Path]
    """The probe.npz that came with it."""
    backend: str
    """One of reference_float, reference_int, lava_float, lava_fixed."""
    runtime: str = "inline"
    """For Lava: inline (one OS process) or process (Lava's own runtime)."""
    pathway: str | None = None
    """audio or visual; by default from the file name motion_<pathway>.nir."""
    limit: int | None = None
    """Run only the first samples of the probe."""
    json: Path | None = None
    """Also write the result here."""


def run(config: RunConfig) -> Result:
    """Read the two files, runs the backend, compares.

    Raises:
        UserError: a broken file, an unknown backend, a graph that the backend cannot express.
    """
    _check_arguments(config)
    pathway = _pathway(config)
    network = read_network(config.graph)
    probe = read_probe(config.probe, pathway, network)
    digests = sha256(config.graph), sha256(config.probe)
    check_manifest(config.graph, config.probe, pathway, digests)
    # The grid comes from the whole probe: --limit must not change the arithmetic.
    grids = input_grids(probe.inputs) | probe.grids
    if config.limit is not None:
        probe = first_samples(probe, config.limit)
    must: dict[str, list[LayerComparison]] = {}
    shown: dict[str, list[LayerComparison]] = {}
    notes: list[str] = []
    if config.backend in FLOAT_BACKENDS:
        found = (
            reference_float(network, probe.inputs)
            if config.backend == "reference_float"
            else lava_float(network, probe.inputs, config.runtime)
        )
        must["probe"] = against_probe(network, probe, found)
    else:
        integers = quantise(network, grids)
        found = reference_int(integers, probe.inputs)
        notes += [*input_notes(probe.inputs, grids), *integers.notes, *_events(found)]
        if config.backend == "lava_fixed":
            oracle, found = found, lava_fixed(integers, probe.inputs, config.runtime)
            must["reference_int"] = against_reference(integers, oracle, found)
        shown["probe"] = against_probe(network, probe, found)
    batch, steps = next(iter(probe.inputs.values())).shape[:2]
    runtime = config.runtime if config.backend.startswith("lava") else None
    return Result(
        config.backend, runtime, pathway, *digests, batch, steps, must, shown, tuple(notes)
    )


def _check_arguments(config: RunConfig) -> None:
    for value, known, what in (
        (config.backend, BACKENDS, "--backend"),
        (config.runtime, RUNTIMES, "--runtime"),
    ):
        if value not in known:
            raise UserError(f"{what} is {value!r}, expected one of: {', '.join(known)}")
    target = config.json
    if target is not None and (target.is_dir() or not target.parent.is_dir()):
        raise UserError(f"--json is {target}, expected a file in a folder that exists")


def _pathway(config: RunConfig) -> str:
    pathway = config.pathway or config.graph.stem.removeprefix("motion_")
    if pathway not in PATHWAYS:
        raise UserError(
            f"{config.graph}: cannot tell the pathway from the name; give "
            f"--pathway, one of: {', '.join(PATHWAYS)}"
        )
    return pathway


def _events(found: Recording) -> list[str]:
    said = {"wrapped": "currents wrapped around at 24 bits", "clipped": "membranes were clipped"}
    return [f"{n:,} {said[what]}" for what, n in found.counts.items() if n]


def against_probe(network: Network, probe: Probe, found: Recording) -> list[LayerComparison]:
    """Every layer against the probe's spikes; the last one is the graph's output."""
    layers = []
    for p in network.populations:
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
        distance = expected.membranes[name] * unit - p.vth * p.unit
        both = (expected.membranes[name], found.membranes[name]) if found.membranes else None
        layers.append(compare(name, expected.spikes[name], found.spikes[name], distance, both))
    return layers


def exit_status(work: Callable[[], int]) -> int:
    """Run a command's work; a user's mistake becomes one line on stderr and status 2."""
    try:
        return work()
    except (UserError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = tyro.cli(RunConfig, args=args)

    def work() -> int:
        result = run(config)
        show(result, Console(width=None if sys.stdout.isatty() else 120))
        if config.json is not None:
            write_json(result, config.json)
        return int(result.failed)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())

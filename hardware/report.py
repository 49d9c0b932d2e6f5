"""`python -m hardware.report GRAPH PROBE --out report.html`: write an HTML report on a graph."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hardware.backends import BACKENDS, find_backend
from hardware.fixed_point.quantise import IntegerNetwork, quantise
from hardware.graph.network import DT, MAX_SYNAPSES, Network, Recording, Reset
from hardware.parity import ORACLE, Compared, compared
from hardware.probe import Probe
from hardware.reporting.data import BackendReport, Material, Report, to_json
from hardware.reporting.operations import cost
from hardware.reporting.ranges import input_ranges, layer_ranges
from hardware.reporting.rounding import OutputLoss, output_losses
from hardware.result import check_targets, write_whole
from mdft.cli import exit_status, parse
from mdft.errors import UserError

EXACT = "reference_float"


@dataclass(frozen=True)
class ReportConfig:
    """Write an HTML page about a graph: parity in every backend, spikes, ranges and cost.

    The page is a single file; --json also writes its numbers.
    Exit status: 0 all required comparisons are equal, 1 a required one differs, 2 wrong usage.
    """

    graph: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="GRAPH")]
    """A .nir file from `python -m export.to_nir` or another tool."""
    probe: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PROBE")]
    """The probe.npz of the graph, or one with inputs only (docs/hardware.md)."""
    out: Path = Path("report.html")
    """The HTML file to write."""
    json: Path | None = None
    """Also write the numbers to this JSON file."""
    backends: Annotated[tuple[str, ...], tyro.conf.arg(help=f"Some of {', '.join(BACKENDS)}.")] = (
        "reference_float",
        "reference_int",
    )
    """Keys of `hardware.backends.BACKENDS`."""
    runtime: str = "inline"
    """For Lava: inline (one OS process) or process (Lava's own runtime)."""
    dt: float = DT
    """Seconds per step; NIR's time constants are in seconds."""
    reset: Reset = "to-value"
    """What a spike does to v: v ← v_reset, or subtract: v ← v − v_threshold (not in Lava)."""
    max_synapses: int = MAX_SYNAPSES
    """The most weights in all matrices, a kernel's counted at each position: 12 bytes each."""
    pathway: str | None = None
    """Pathway of the probe; default: the one named in motion_<pathway>.nir, else the only one."""
    limit: int | None = None
    """Use only the first samples of the probe."""


def build(config: ReportConfig) -> tuple[Report, Material]:
    """Run the backends and collect the data of the report.

    Raises:
        UserError: a file is broken, or a backend is unknown or cannot express the graph.
    """
    if not config.backends:
        raise UserError(f"--backends is empty, expected some of: {', '.join(BACKENDS)}")
    backends = {name: find_backend(name, config.runtime) for name in config.backends}
    # Imported here and below, so that --help and a mistyped flag do not import nir and matplotlib.
    from hardware.pair import read_pair

    pair = read_pair(
        config.graph,
        config.probe,
        config.pathway,
        dt=config.dt,
        limit=config.limit,
        reset=config.reset,
        max_synapses=config.max_synapses,
    )
    network, probe, grids = pair.network, pair.probe, pair.grids
    if not any(p.fires for p in network.populations):
        raise UserError(f"{config.graph}: has no neuron that fires, expected at least one")
    integers, no_integers = _integers(network, grids, pair.peaks)
    oracle = BACKENDS[ORACLE].run(integers, probe.inputs, "") if integers else None
    found = {
        n: compared(b, network, probe, grids, config.runtime, pair.peaks)
        for n, b in backends.items()
    }
    samples, steps = next(iter(probe.inputs.values())).shape[:2]
    report = Report(
        graph=config.graph.name,
        graph_sha256=pair.digests[0],
        probe=config.probe.name,
        probe_sha256=pair.digests[1],
        pathway=pair.pathway,
        author=probe.author,
        arithmetic=probe.arithmetic,
        samples=samples,
        steps=steps,
        dt=network.dt,
        backends=tuple(
            _backend(n, config.runtime if backends[n].runtimes else None, x)
            for n, x in found.items()
        ),
        layers=layer_ranges(network, probe, integers, oracle),
        inputs=input_ranges(network, probe.inputs, grids),
        losses=_losses(network, probe, found, oracle),
        no_integers=no_integers,
        cost=cost(network, probe.inputs, probe.spikes, probe.membranes, grids, integers=integers),
    )
    recordings = {name: x.recording for name, x in found.items()}
    return report, Material(network, probe, integers, recordings)


def _losses(
    network: Network, probe: Probe, found: dict[str, Compared], oracle: Recording | None
) -> tuple[OutputLoss, ...]:
    if oracle is None:
        return ()
    if EXACT in found:
        return output_losses(network, found[EXACT].recording, oracle)
    return output_losses(network, BACKENDS[EXACT].run(network, probe.inputs, ""), oracle)


def _integers(
    network: Network, grids: dict[str, float], peaks: dict[str, float]
) -> tuple[IntegerNetwork | None, str | None]:
    try:
        return quantise(network, grids, peaks), None
    except UserError as error:
        return None, str(error)


def _backend(name: str, runtime: str | None, x: Compared) -> BackendReport:
    differs = [
        layer.differing or layer.membranes_differing for group in x.must.values() for layer in group
    ]
    counts = x.recording.counts
    return BackendReport(
        backend=name,
        runtime=runtime,
        must=x.must,
        reported=x.reported,
        notes=x.notes,
        wrapped=counts.get("wrapped"),
        clipped=counts.get("clipped"),
        failed=any(differs),
    )


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit status."""

    def work() -> int:
        config = parse(ReportConfig, "python -m hardware.report", args)
        check_targets(
            {"--out": config.out, "--json": config.json},
            {"GRAPH": config.graph, "PROBE": config.probe},
        )
        report, material = build(config)
        from hardware.reporting.figures import figures
        from hardware.reporting.page import page

        text = page(report, figures(report, material))
        numbers = json.dumps(to_json(report), indent=2, allow_nan=False)
        write_whole(config.out, text)
        if config.json is not None:
            write_whole(config.json, numbers)
        print(f"wrote {config.out}" + (f" and {config.json}" if config.json else ""))
        for b in report.backends:
            if b.failed:
                print(f"{b.backend}: a spike or membrane differs that must not")
        return int(report.failed)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())

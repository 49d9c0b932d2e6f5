"""`python -m hardware.run GRAPH PROBE --backend NAME`: simulate a graph, compare its spikes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from hardware.backends import BACKENDS, find_backend
from hardware.graph.network import DT, MAX_SYNAPSES, Reset
from hardware.parity import compared
from hardware.result import Result, check_targets, show, write_json
from hardware.traces import check_folder, write_traces
from mdft.cli import exit_status, parse


@dataclass(frozen=True)
class RunConfig:
    """Run a graph in a simulator on probe inputs and count the spikes that differ.

    A backend with the arithmetic of the probe must give the probe's spikes; for other backends the
    differences are only reported. A fixed-point backend must equal the integer reference.
    Exit status: 0 all required comparisons are equal, 1 a required one differs, 2 wrong usage.
    """

    graph: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="GRAPH")]
    """A .nir file from `python -m export.to_nir` or another tool."""
    probe: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PROBE")]
    """The probe.npz of the graph, or one with inputs only (docs/hardware.md)."""
    backend: Annotated[str, tyro.conf.arg(help=f"One of {', '.join(BACKENDS)}.")]
    """A key of `hardware.backends.BACKENDS`."""
    runtime: str = "inline"
    """For Lava: inline (one OS process) or process (Lava's own runtime)."""
    dt: float = DT
    """Seconds per step; NIR's time constants are in seconds."""
    reset: Reset = "to-value"
    """What a spike does to v: v ← v_reset, or subtract: v ← v − v_threshold (not in Lava)."""
    pathway: str | None = None
    """Pathway of the probe; default: the one named in motion_<pathway>.nir, else the only one."""
    limit: int | None = None
    """Run only the first samples of the probe."""
    max_synapses: int = MAX_SYNAPSES
    """The most weights in all matrices, a kernel's counted at each position: 12 bytes each."""
    json: Path | None = None
    """Also write the result to this JSON file."""
    traces: Path | None = None
    """Also write the backend's spikes and membranes into this folder, as .npz and .csv."""


def run(config: RunConfig) -> Result:
    """Read the two files, run the backend and compare.

    Raises:
        UserError: a file is broken, or the backend is unknown or cannot express the graph.
    """
    backend = find_backend(config.backend, config.runtime)
    check_targets({"--json": config.json}, {"GRAPH": config.graph, "PROBE": config.probe})
    if config.traces is not None:
        check_folder(config.traces, config.json)
    # Imported here, so that --help and a mistyped flag do not import nir.
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
    found = compared(backend, pair.network, pair.probe, pair.grids, config.runtime, pair.peaks)
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
        found.reported,
        found.notes,
    )


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit status."""

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

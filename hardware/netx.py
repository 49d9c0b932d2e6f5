"""`python -m hardware.netx GRAPH PROBE OUT.net`: write a graph as lava-dl's .net file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hardware.graph.network import DT
from hardware.result import check_targets
from mdft.cli import exit_status, parse


@dataclass(frozen=True)
class NetxConfig:
    """Write a graph as lava-dl's .net file, quantised for the grids of the probe's inputs."""

    graph: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="GRAPH")]
    """A .nir file from `python -m export.to_nir` or another tool."""
    probe: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PROBE")]
    """The probe.npz of the graph; it gives the grids of the inputs."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT.net")]
    """The file to write."""
    pathway: str | None = None
    """Pathway of the probe; default: the one named in motion_<pathway>.nir, else the only one."""
    dt: float = DT
    """Seconds per step; NIR's time constants are in seconds."""


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit status."""

    def work() -> int:
        config = parse(NetxConfig, "python -m hardware.netx", args)
        check_targets({"OUT.net": config.out}, {"GRAPH": config.graph, "PROBE": config.probe})
        # Imported here, so that --help and a mistyped flag do not import nir.
        from hardware.fixed_point.quantise import quantise
        from hardware.lava.netx import write_hdf5
        from hardware.pair import read_pair

        pair = read_pair(config.graph, config.probe, config.pathway, dt=config.dt)
        integers = quantise(pair.network, pair.grids, pair.peaks, exponents=False)
        write_hdf5(integers, config.out)
        for note in (*pair.network.notes, *integers.notes):
            print(f"note: {note}")
        print(f"{config.out}: {len(integers.populations)} dense blocks")
        return 0

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())

"""A graph and the probe that came with it, read and checked together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hardware.fixed_point.quantise import input_grids
from hardware.graph.graph import read_network
from hardware.graph.network import DT, Network
from hardware.manifest import check_manifest, sha256
from hardware.probe import Probe, first_samples, pathway_of, read_probe
from mdft.errors import UserError


@dataclass(frozen=True)
class Pair:
    """What every command about a graph and its probe begins with.

    Attributes:
        pathway: the part of the probe that is the graph's.
        network: the graph.
        probe: inputs, spikes and membranes of its samples.
        grids: of the inputs, from all samples: a limit must not change the arithmetic.
        digests: SHA-256 of the graph's and the probe's file.
    """

    pathway: str
    network: Network
    probe: Probe
    grids: dict[str, float]
    digests: tuple[str, str]


def read_pair(
    graph: Path,
    probe: Path,
    pathway: str | None = None,
    *,
    dt: float = DT,
    limit: int | None = None,
) -> Pair:
    """Read a .nir file and a probe.npz; with a manifest beside the graph, check that they belong.

    Args:
        graph: a .nir file.
        probe: a probe.npz.
        pathway: which part of the probe; from the graph's name, or the only one, if None.
        dt: seconds a step.
        limit: take only the first samples.

    Raises:
        UserError: names the file or the argument, what was found and what was expected.
    """
    if not 0 < dt < float("inf"):
        raise UserError(f"--dt is {dt}, expected seconds above 0")
    network = read_network(graph, dt)
    pathway = pathway_of(graph, probe, pathway)
    whole = read_probe(probe, pathway, network)
    digests = sha256(graph), sha256(probe)
    check_manifest(graph, probe, pathway, digests)
    grids = input_grids(whole.inputs) | whole.grids
    part = whole if limit is None else first_samples(whole, limit)
    return Pair(pathway, network, part, grids, digests)

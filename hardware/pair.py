"""Read a graph and its probe, and check that they belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hardware.fixed_point.quantise import input_grids, input_peaks
from hardware.graph.graph import read_network
from hardware.graph.network import DT, MAX_SYNAPSES, Network, Reset
from hardware.manifest import check_manifest, sha256
from hardware.probe import Probe, first_samples, pathway_of, read_probe
from mdft.errors import UserError


@dataclass(frozen=True)
class Pair:
    """A graph and its probe.

    Attributes:
        pathway: the pathway of the probe that belongs to the graph.
        network: the graph.
        probe: inputs, spikes and membranes of the samples.
        grids: the grids of the inputs, from all samples: a limit must not change the arithmetic.
        peaks: the largest magnitudes of the inputs, from all samples too.
        digests: the SHA-256 of the graph's and the probe's file.
    """

    pathway: str
    network: Network
    probe: Probe
    grids: dict[str, float]
    peaks: dict[str, float]
    digests: tuple[str, str]


def read_pair(
    graph: Path,
    probe: Path,
    pathway: str | None = None,
    *,
    dt: float = DT,
    limit: int | None = None,
    reset: Reset = "to-value",
    max_synapses: int = MAX_SYNAPSES,
) -> Pair:
    """Read a .nir file and a probe.npz; check them with the manifest beside the graph, if any.

    Of a probe with inputs only, which is the user's own, the manifest says nothing.

    Args:
        graph: a .nir file.
        probe: a probe.npz.
        pathway: the pathway of the probe; None: from the graph's name, or the only one.
        dt: seconds per step.
        limit: the number of samples to use, from the first; None: all.
        reset: what a spike does to v, see `hardware.graph.graph.read_network`.
        max_synapses: the most values in all matrices.

    Raises:
        UserError: a file or an argument is wrong; the message has what was found and expected.
    """
    if not 0 < dt < float("inf"):
        raise UserError(f"--dt is {dt}, expected seconds above 0")
    network = read_network(graph, dt, reset, max_synapses)
    pathway = pathway_of(graph, probe, pathway)
    whole = read_probe(probe, pathway, network)
    digests = sha256(graph), sha256(probe)
    own = whole.source != "probe"
    check_manifest(graph, probe, pathway, digests, dt, inputs_only=own)
    grids = input_grids(whole.inputs) | whole.grids
    part = whole if limit is None else first_samples(whole, limit)
    return Pair(pathway, network, part, grids, input_peaks(whole.inputs), digests)

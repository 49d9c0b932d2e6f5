"""Run a backend on a probe; compare its recording with the probe and the integer reference."""

from __future__ import annotations

from dataclasses import dataclass

from hardware.backends import BACKENDS, Backend, prepare
from hardware.compare import LayerComparison, compare, compare_graded
from hardware.fixed_point.quantise import IntegerNetwork, input_notes
from hardware.graph.network import Network, Recording
from hardware.probe import Probe

ORACLE = "reference_int"
ALONE = "the probe holds inputs alone: the spikes to compare with are reference_float's"
FLOAT32 = 1e-5  # relative to the largest membrane: the precision of a probe in float32


@dataclass(frozen=True)
class Compared:
    """The recording of one backend on a probe, and its comparisons; see `Result`."""

    recording: Recording
    must: dict[str, list[LayerComparison]]
    reported: dict[str, list[LayerComparison]]
    notes: tuple[str, ...]


def compared(
    backend: Backend,
    network: Network,
    probe: Probe,
    grids: dict[str, float],
    runtime: str,
    peaks: dict[str, float] | None = None,
) -> Compared:
    """Run a backend on a probe and compare its spikes and membranes.

    Args:
        backend: a backend of `BACKENDS`.
        network: a lowered graph.
        probe: the inputs, spikes and membranes.
        grids: the grids of the inputs.
        runtime: the runtime of Lava.
        peaks: the largest magnitudes of the inputs, if they are known.
    """
    prepared = prepare(backend, network, grids, peaks)
    found = backend.run(prepared, probe.inputs, runtime)
    against = against_probe(network, probe, found)
    same = probe.arithmetic == ("loihi" if backend.fixed else "float")
    must, reported = ({probe.source: against}, {}) if same else ({}, {probe.source: against})
    alone = (*network.notes, *((ALONE,) if probe.source != "probe" else ()))
    if not isinstance(prepared, IntegerNetwork):
        return Compared(found, must, reported, alone)
    oracle = found
    if backend is not BACKENDS[ORACLE]:
        oracle = BACKENDS[ORACLE].run(prepared, probe.inputs, "")
        must[ORACLE] = against_reference(prepared, oracle, found)
    notes = (*alone, *input_notes(probe.inputs, grids), *prepared.notes, *_events(oracle))
    return Compared(found, must, reported, notes)


def _events(found: Recording) -> list[str]:
    texts = {"wrapped": "currents wrapped around at 24 bits", "clipped": "membranes were clipped"}
    return [f"{n:,} {texts[what]}" for what, n in found.counts.items() if n]


def against_probe(network: Network, probe: Probe, found: Recording) -> list[LayerComparison]:
    """Compare every layer with the probe's spikes, or membranes if the layer does not fire."""
    layers = []
    for p in network.populations:
        if not p.fires:
            membranes = found.membrane(p.name)
            layers.append(compare_graded(p.name, probe.membranes[p.name], membranes, FLOAT32))
            continue
        distance = probe.membranes[p.name] - p.v_threshold
        layers.append(compare(p.name, probe.spikes[p.name], found.spikes[p.name], distance))
    return layers


def against_reference(
    network: IntegerNetwork, expected: Recording, found: Recording
) -> list[LayerComparison]:
    """Compare the spikes and (if recorded) membranes of every layer with the integer reference."""
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

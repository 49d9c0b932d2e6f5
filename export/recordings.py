"""Export a network for recordings: one graph, its probe, and the test in the reference simulator.

input → … → lif → output, in the file motion.nir; with a moving threshold also threshold_current →
threshold_lif_i → lif_i for each i.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nir
import numpy as np
import torch

from export.files import npz_bytes, write_json
from export.graph import write_graph
from export.probe import sample_count
from hardware.backends import BACKENDS, prepare
from hardware.compare import LayerComparison
from hardware.graph.graph import lower
from hardware.graph.network import Network
from hardware.manifest import MANIFEST, PROBE, sha256
from hardware.parity import compared
from hardware.probe import Probe, output_keys
from hardware.reporting.operations import Cost, cost
from mdft.data.recordings.prepared import Recordings
from mdft.data.recordings.prepared import prepare as read_recordings
from mdft.files import write_atomic
from mdft.lif.grid import GRID
from mdft.recognition.network import SpikingGraph
from mdft.recognition.run import Trained, load
from mdft.recognition.threshold import CURRENT, MovingThreshold
from mdft.recognition.training import accuracy, count_spikes

PATHWAY = "motion"
GRAPH = f"{PATHWAY}.nir"
_BATCH = 16  # test recordings that the reference simulator runs at once


@dataclass(frozen=True)
class Tested:
    """The exported graph in the reference simulator of its arithmetic.

    Attributes:
        backend: ``reference_int`` or ``reference_float``.
        layers: comparison of the probe's spikes with PyTorch's, a node each.
        trained: accuracy over the test recordings in PyTorch.
        exported: the same in the simulator.
        recordings: number of test recordings.
        differing: test recordings for which a spike count of the output differs.
        cost: operations, memory and traffic of a recording of the probe.
        notes: remarks about rounding.
    """

    backend: str
    layers: list[LayerComparison]
    trained: float
    exported: float
    recordings: int
    differing: int
    cost: Cost
    notes: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether a spike of the probe or a spike count of the test differs."""
        return bool(self.differing) or any(layer.differing for layer in self.layers)


def export_recordings(run: Path, out: Path, samples: int | None = None) -> Tested:
    """Write motion.nir, probe.npz and manifest.json of a run, and test the written graph.

    Args:
        run: the run's folder, or the checkpoint in it.
        out: folder of the files; created if missing.
        samples: test recordings in the probe, evenly spaced; None: 8, or all if there are fewer.

    Raises:
        UserError: the run or its recordings cannot be read, or there are fewer test recordings.
    """
    trained = load(run)
    test = read_recordings(trained.config.dataset, trained.config.data).test
    samples = sample_count(samples, len(test), "test recordings")
    trained.network.check_exact()
    chosen = np.linspace(0, len(test) - 1, samples).round().astype(int)
    arrays = probe_arrays(trained.network, test.counts_NSX[chosen])
    out.mkdir(parents=True, exist_ok=True)
    graph = trained.network.trained()
    write_graph(graph, out / GRAPH)
    write_atomic(out / PROBE, npz_bytes(arrays))
    write_json(out / MANIFEST, _manifest(trained, out))
    return check(trained, graph, arrays, test)


@torch.no_grad()
def probe_arrays(network: SpikingGraph, counts_BSX: np.ndarray) -> dict[str, np.ndarray]:
    """Return the probe: inputs, spikes and membranes before the reset of every node.

    Keys are those of :func:`hardware.probe.read_probe`; spikes are uint8, the rest float32.
    """
    x_BSX = torch.from_numpy(counts_BSX.astype(np.float32))
    traces = network.trace(x_BSX)
    found: dict[str, np.ndarray] = {}
    for name, values_BSD in network.inputs(x_BSX).items():
        found[f"in.{name}"] = values_BSD.numpy()
        found[f"grid.{name}"] = np.array(network.grids[name], np.float32)
    for name, trace in traces.items():
        found[f"spikes.{name}"] = trace.spikes_BSN.numpy().astype(np.uint8)
        found[f"membrane.{name}"] = trace.membranes_BSN.numpy()
    for key in output_keys(network.outputs, network.neurons).values():
        found[key] = found[f"spikes.{network.output}"]
    found["arithmetic"] = np.array(network.arithmetic)
    return {f"{PATHWAY}.{name}": x for name, x in found.items()}


def _manifest(trained: Trained, out: Path) -> dict[str, object]:
    """What NIR leaves open, and the SHA-256 of both files."""
    network, data = trained.network, trained.config.data
    moving = network.threshold
    return {
        "format_version": 1,
        "kind": "recordings",
        "arithmetic": network.arithmetic,
        "weight_bits": network.bits,
        "dt": network.dt,
        "sha256": {name: sha256(out / name) for name in (PROBE, GRAPH)},
        "pathways": {PATHWAY: {"graph": GRAPH, "output": network.output}},
        "dataset": trained.config.dataset,
        "classes": list(trained.classes),
        "input": {
            "name": network.input,
            "carries": "number of events of each bin, polarity and pixel, in this order of axes",
            "grid": 1.0,
            "bins": data.bins,
            "bin_ms": None if data.bin_events else data.bin_ms,
            "bin_events": data.bin_events or None,
            "transform": list(data.transform),
        },
        **({} if moving is None else {"threshold_input": _threshold_input(moving)}),
        "answer": "the neuron of the output with the most spikes, the first of equal ones",
        "reset": "to zero in the step of the spike",
        "start": "v = 0 before the first step of each recording",
        "latency": "0 steps between nodes; an edge that closes a cycle delivers one step later",
    }


def _threshold_input(moving: MovingThreshold) -> dict[str, object]:
    """How the second input follows from the first, so that any host can compute it."""
    return {
        "name": CURRENT,
        "carries": "b(t) = round((beta*delta(t-1) - (theta(t) - theta_0))/grid)*grid",
        "delta": "beta*delta(t-1) - b(t), 0 before the first step",
        "theta": "clamp((phi + omega)*theta_0, theta_min, theta_max)",
        "phi": "1/(1 + exp(-mean(E))), E the D values of the event input in this bin",
        "omega": "sum of N*log(1/N + E) over E > 0, divided by log(D), N = E/sum(E); 0 if E = 0",
        "grid": GRID,
        "beta": moving.beta,
        "theta_0": moving.theta_0,
        "theta_min": moving.theta_min,
        "theta_max": moving.theta_max,
    }


def check(
    trained: Trained, graph: nir.NIRGraph, arrays: dict[str, np.ndarray], test: Recordings
) -> Tested:
    """Run a graph on the probe and on all test recordings in the reference of its arithmetic."""
    network = trained.network
    lowered = lower(graph, network.dt)
    probe = _probe(network, lowered, arrays)
    backend = BACKENDS["reference_int" if network.arithmetic == "loihi" else "reference_float"]
    found = compared(backend, lowered, probe, probe.grids, "")
    counts_NC = count_spikes(network, test)
    prepared = prepare(backend, lowered, probe.grids)
    same = []
    for start in range(0, len(test), _BATCH):
        x_BSX = torch.from_numpy(test.counts_NSX[start : start + _BATCH].astype(np.float32))
        inputs = {name: x_BSD.numpy() for name, x_BSD in network.inputs(x_BSX).items()}
        same.append(backend.run(prepared, inputs, "").spikes[network.output].sum(1))
    exported_NC = torch.from_numpy(np.concatenate(same).astype(np.float32))
    spent = cost(lowered, probe.inputs, probe.spikes, probe.membranes, probe.grids)
    return Tested(
        backend.name,
        found.must["probe"],
        accuracy(counts_NC, test),
        accuracy(exported_NC, test),
        len(test),
        int((counts_NC != exported_NC).any(1).sum()),
        spent,
        found.notes,
    )


def _probe(network: SpikingGraph, lowered: Network, arrays: dict[str, np.ndarray]) -> Probe:
    names = [p.name for p in lowered.populations]
    return Probe(
        {name: arrays[f"{PATHWAY}.in.{name}"] for name in lowered.inputs},
        network.grids,
        {n: arrays[f"{PATHWAY}.spikes.{n}"] for n in names},
        {n: arrays[f"{PATHWAY}.membrane.{n}"] for n in names},
        network.arithmetic,
    )


def lines(tested: Tested) -> list[str]:
    """Return what a user wants to know, a line each."""
    spikes = sum(layer.compared for layer in tested.layers)
    differing = sum(layer.differing for layer in tested.layers)
    spent = tested.cost
    return [
        f"{differing:,} of {spikes:,} spikes differ in {tested.backend} on the probe",
        f"{tested.exported:.1%} of {tested.recordings:,} test recordings in {tested.backend}, "
        f"{tested.trained:.1%} in PyTorch; {tested.differing:,} of them with other spike counts",
        f"{spent.total('effective_acs'):,.0f} additions and {spent.total('effective_macs'):,.0f} "
        f"multiplications a recording, {spent.total('dense_macs'):,.0f} if every value is "
        "multiplied",
        *(f"note: {note}" for note in tested.notes),
    ]

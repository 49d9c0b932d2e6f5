"""The model with its motion branch in a simulator, and a comparison with PyTorch's spikes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from export.contract import CURRENT, EVENTS
from export.graph import input_grids, to_graph, write_graph
from hardware.backends import Backend, prepare
from hardware.compare import LayerComparison, compare
from hardware.fixed_point.quantise import IntegerNetwork
from hardware.graph.graph import read_network
from hardware.graph.network import Network
from mdft.data.dataset import Batch
from mdft.model.mdft import MDFT, MotionInput, Output


@dataclass
class Tally:
    """Counts of one layer's spikes, added batch by batch, without padded steps.

    Attributes:
        compared: the number of neuron-steps.
        expected: the number of spikes in PyTorch.
        found: the number of spikes in the simulator.
        both: the number of spikes in both.
        first: (clip, step, neuron) of the first step that differs in the first clip that differs;
            clips are counted in the order of the test.
        distance: PyTorch's membrane minus the threshold at `first`.
    """

    compared: int = 0
    expected: int = 0
    found: int = 0
    both: int = 0
    first: tuple[int, int, int] | None = None
    distance: float | None = None

    def add(
        self,
        expected_BSN: np.ndarray,
        found_BSN: np.ndarray,
        distance_BSN: np.ndarray,
        mask_BS: np.ndarray,
        start: int,
    ) -> None:
        """Add a batch whose first clip is the ``start``-th of the test."""
        expected, found = (x.astype(bool)[mask_BS] for x in (expected_BSN, found_BSN))
        self.compared += expected.size
        self.expected += int(expected.sum())
        self.found += int(found.sum())
        self.both += int((expected & found).sum())
        wrong_B = ((expected_BSN != found_BSN).any(2) & mask_BS).any(1)
        if self.first is None and wrong_B.any():
            clip = int(wrong_B.argmax())
            steps = mask_BS[clip]
            parts = [x[clip : clip + 1, steps] for x in (expected_BSN, found_BSN, distance_BSN)]
            where = compare("", parts[0], parts[1], parts[2])
            assert where.first is not None
            step = int(np.flatnonzero(steps)[where.first[1]])
            self.first = (start + clip, step, where.first[2])
            self.distance = where.distance

    def comparison(self, layer: str) -> LayerComparison:
        """Return the counts so far as a comparison of `hardware.run`."""
        total = self.expected + self.found
        return LayerComparison(
            layer=layer,
            compared=self.compared,
            differing=total - 2 * self.both,
            rate=self.expected / self.compared,
            f1=2 * self.both / total if total else 1.0,
            first=self.first,
            distance=self.distance,
            membranes_differing=None,
        )


class SimulatedMotion:
    """The forward pass of a model with the motion branch in a simulator.

    Each pathway is written as .nir and read back, so that the simulated graph is that of the file.
    PyTorch's branch also runs on the same inputs, for the comparison.

    Args:
        model: a model in eval mode, with a spiking network, on the CPU.
        backend: the simulator.
        runtime: the runtime of Lava, "inline" or "process".

    Raises:
        UserError: the backend cannot express a graph.
    """

    def __init__(self, model: MDFT, backend: Backend, runtime: str = "inline") -> None:
        self.model, self.backend, self.runtime = model, backend, runtime
        self.networks = {p: self._network(p) for p in model.pathways}
        self.notes = [
            f"{p}: {note}"
            for p, network in self.networks.items()
            if isinstance(network, IntegerNetwork)
            for note in network.notes
        ]
        self.tallies: dict[str, Tally] = {}
        self.clips = 0
        #: Wall time of the simulator and of PyTorch's motion branch, all pathways.
        self.seconds, self.seconds_torch = 0.0, 0.0

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Output:
        """Return the result of :meth:`mdft.model.mdft.MDFT.forward` with the simulator's spikes."""
        model = self.model
        semantics, inputs = model.semantics(batch), model.motion_inputs(batch)
        spikes = {p: self._simulate(p, given, batch.mask_BT) for p, given in inputs.items()}
        self.clips += len(batch.mask_BT)
        o_av_BE = model.reason(semantics, spikes, batch.mask_BT)
        return Output(o_av_BE, model.reconstruct(o_av_BE), spikes)

    def layers(self) -> dict[str, LayerComparison]:
        """Return ``pathway.layer`` → comparison of the spikes so far."""
        return {name: tally.comparison(name) for name, tally in self.tallies.items()}

    def _network(self, pathway: str) -> Network | IntegerNetwork:
        branch = self.model.branch(pathway)
        graph = to_graph(branch, per_neuron=self.model.config.motion.per_neuron)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"motion_{pathway}.nir"
            write_graph(graph, path)
            return prepare(self.backend, read_network(path), input_grids(branch))

    def _simulate(self, pathway: str, given: MotionInput, mask_BT: Tensor) -> list[Tensor]:
        branch, network = self.model.branch(pathway), self.networks[pathway]
        inputs = {EVENTS: given.x_BSD.numpy(), CURRENT: given.current_BS1.numpy()}
        start = time.perf_counter()
        found = self.backend.run(network, inputs, self.runtime)
        middle = time.perf_counter()
        expected = branch.trace(given.x_BSD, threshold_current=given.current_BS1)
        self.seconds_torch += time.perf_counter() - middle
        self.seconds += middle - start
        mask_BS = mask_BT.repeat_interleave(given.x_BSD.shape[1] // mask_BT.shape[1], 1).numpy()
        layers = []
        for i, (spikes_BSN, membrane_BSN) in enumerate(expected, start=1):
            name = f"lif_{i}"
            layers.append(torch.from_numpy(found.spikes[name]).to(spikes_BSN.dtype))
            distance_BSN = membrane_BSN.numpy() - branch.v_threshold
            tally = self.tallies.setdefault(f"{pathway}.{name}", Tally())
            tally.add(spikes_BSN.numpy(), layers[-1].numpy(), distance_BSN, mask_BS, self.clips)
        return layers

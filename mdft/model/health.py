"""Firing statistics of spiking layers, and warnings about silent or saturated ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mdft.distributed.world import of_all, world

#: Firing rates between which a spiking layer carries information.
HEALTHY = (0.02, 0.30)


@dataclass(frozen=True)
class LayerHealth:
    """Firing statistics of one spiking layer over many clips.

    Attributes:
        rate: ``r = mean_N r_n``, spikes per neuron and step.
        spread: standard deviation of the neurons' own rates ``r_n``.
        dead: number of neurons that never fired.
        neurons: number of neurons.
    """

    rate: float
    spread: float
    dead: int
    neurons: int

    @property
    def status(self) -> str:
        """``silent``, ``saturated``, ``dead`` (more than half of the neurons) or empty."""
        low, high = HEALTHY
        if self.rate < low:
            return "silent"
        if self.rate > high:
            return "saturated"
        return "dead" if self.dead > self.neurons // 2 else ""

    def warning(self, layer: str) -> str | None:
        """A warning about the layer of this name; None if it is healthy."""
        low, high = HEALTHY
        rate = f"{layer} fires at {100 * self.rate:.1f} %, expected {low:.0%} to {high:.0%}"
        dead = f"{self.dead} of {self.neurons} neurons are dead"
        return {
            "silent": f"{rate}: nearly silent, {dead}",
            "saturated": f"{rate}: saturated; lower loss.rate_limit or raise loss.rate_weight",
            "dead": f"{layer}: {dead}; only the others carry information",
        }.get(self.status)


def health_record(health: dict[str, LayerHealth]) -> dict[str, Any]:
    """The firing statistics in ``metrics.jsonl`` and ``results.json``, per layer."""
    return {
        "firing_rates": {layer: state.rate for layer, state in health.items()},
        "firing_spread": {layer: state.spread for layer, state in health.items()},
        "dead_neurons": {layer: state.dead for layer, state in health.items()},
    }


class FiringStatistics:
    """Counts spikes per neuron over the seconds that exist, batch by batch.

    ``r_n = Σ s_n / Σ steps``, exact in float64 for any number of steps.
    """

    def __init__(self) -> None:
        self.spikes_N: dict[str, Tensor] = {}
        self.steps: dict[str, int] = {}

    @torch.no_grad()
    def add(self, spikes: dict[str, list[Tensor]], mask_BT: Tensor) -> None:
        """Count one batch.

        Args:
            spikes: pathway → spikes (B,S,N) of each layer, S = T·K.
            mask_BT: bool, True where the second exists.
        """
        for layer, spikes_BTKN in by_layer(spikes, mask_BT.shape[1]).items():
            count_N = (spikes_BTKN.sum(2) * mask_BT[..., None]).sum((0, 1), dtype=torch.float64)
            self.spikes_N[layer] = self.spikes_N.get(layer, 0.0) + count_N
            steps = int(mask_BT.sum()) * spikes_BTKN.shape[2]
            self.steps[layer] = self.steps.get(layer, 0) + steps

    def joint(self) -> FiringStatistics:
        """The sum of the counts of all processes, some of which may have counted no clips."""
        if world().size == 1:
            return self
        joint = FiringStatistics()
        own = {layer: count_N.cpu() for layer, count_N in self.spikes_N.items()}
        for spikes_N, steps in of_all((own, self.steps)):
            for layer, count_N in spikes_N.items():
                joint.spikes_N[layer] = joint.spikes_N.get(layer, 0.0) + count_N
                joint.steps[layer] = joint.steps.get(layer, 0) + steps[layer]
        return joint

    def layers(self) -> dict[str, LayerHealth]:
        """``pathway.lif_i`` → its statistics so far."""
        return {layer: self._layer(layer) for layer in self.spikes_N}

    def _layer(self, layer: str) -> LayerHealth:
        rate_N = self.spikes_N[layer] / self.steps[layer]
        return LayerHealth(
            rate=rate_N.mean().item(),
            spread=rate_N.std(correction=0).item(),
            dead=int((rate_N == 0).sum()),
            neurons=len(rate_N),
        )


def firing_rates(spikes: dict[str, list[Tensor]], mask_BT: Tensor) -> dict[str, Tensor]:
    """Spikes per neuron and step of each layer over the seconds that exist, differentiable.

    Args:
        spikes: pathway → spikes (B,S,N) of each layer, S = T·K.
        mask_BT: bool.

    Returns:
        ``pathway.lif_i`` → rate in [0,1], a scalar.
    """
    share_BT = mask_BT / mask_BT.sum()
    return {
        layer: (spikes_BTKN.mean((2, 3)) * share_BT).sum()
        for layer, spikes_BTKN in by_layer(spikes, mask_BT.shape[1]).items()
    }


def by_layer(spikes: dict[str, list[Tensor]], T: int) -> dict[str, Tensor]:
    """``pathway.lif_i`` → spikes (B,T,K,N).

    Args:
        spikes: pathway → spikes (B,S,N) of each layer, S = T·K.
        T: seconds.
    """
    return {
        f"{pathway}.lif_{index}": spikes_BSN.unflatten(1, (T, -1))
        for pathway, layers in spikes.items()
        for index, spikes_BSN in enumerate(layers, start=1)
    }

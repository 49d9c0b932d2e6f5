"""Spiking neurons of a NIR node: LIF, IF and CubaLIF, in floating point or in Loihi's integers."""

from __future__ import annotations

from typing import Any, NamedTuple

import nir
import numpy as np
import torch
from torch import Tensor

from hardware.graph.network import Population
from mdft.errors import UserError
from mdft.lif.grid import Arithmetic
from mdft.lif.layer import lif_sequence
from mdft.lif.loihi import STATE_SCALE, check_range, count_outside
from mdft.lif.neuron import AtanSpike, LIFParams, leak, lif_step

#: The nodes of neurons that can be trained.
SPIKING = (nir.LIF, nir.IF, nir.CubaLIF)
_UNITS = 4096  # Loihi's decays have 12 bits
Number = float | Tensor


class State(NamedTuple):
    """State of a node between two steps: the membrane u, and CubaLIF's synaptic current i."""

    u_BN: Tensor
    i_BN: Tensor


class Neurons:
    """The neurons of one node, ``u ← β u + I``, a spike where ``u > θ``, then ``u ← 0``.

    A CubaLIF has a synaptic current, ``i ← α i + I``, in the place of I. With arithmetic ``loihi``
    both are the integers of Lava's fixed-point LIF: decays are multiples of 1/4096, the threshold
    is rounded down to a multiple of the synaptic unit, and each decay is rounded toward 0.

    Args:
        node: the node of the NIR graph.
        population: the same neurons with decay and gain a step.
        arithmetic: ``float`` or ``loihi``.
        alpha: sharpness of the surrogate gradient for a threshold of 1.

    Raises:
        UserError: v_leak or v_reset is not 0, or a decay is out of Loihi's range.
    """

    def __init__(
        self, node: Any, population: Population, arithmetic: Arithmetic, alpha: float
    ) -> None:
        self.node, self.name = node, population.name
        self.shape = tuple(np.shape(node.v_threshold))
        for field in ("v_leak", "v_reset"):
            values = getattr(population, field)
            if values.any():
                raise UserError(
                    f"node {self.name!r}: {field} is {values[values != 0][0]:g}, expected 0 for a "
                    "graph that is trained"
                )
        self.integer = arithmetic == "loihi"
        self.decay, self.threshold = population.decay, population.v_threshold
        self.current_decay = None if population.current is None else population.current.decay
        if self.integer:
            lowest = 0 if isinstance(node, nir.IF) else 1
            self.decay = self._rounded("decay", self.decay, lowest, _UNITS - 1)
            if self.current_decay is not None:
                self.current_decay = self._rounded("current's decay", self.current_decay, 1, _UNITS)
        self.spike = AtanSpike(alpha / float(self.threshold.mean()))

    def _rounded(self, what: str, decay: np.ndarray, low: int, high: int) -> np.ndarray:
        units = np.round(decay * _UNITS)
        if units.min() < low or units.max() > high:
            raise UserError(
                f"node {self.name!r}: its {what} is {units.min():g}/{_UNITS} to {units.max():g}/"
                f"{_UNITS} a step, expected {low} to {high} of them on Loihi; give another --dt"
            )
        return units / _UNITS

    @property
    def uniform(self) -> bool:
        """Whether all neurons have one decay, one threshold and no synaptic current."""
        same = (np.ptp(x) == 0 for x in (self.decay, self.threshold))
        return self.current_decay is None and all(same)

    def threshold_in(self, unit: float) -> np.ndarray:
        """The thresholds; in Loihi's integers rounded down to multiples of a synaptic unit."""
        return np.floor(self.threshold / unit) * unit if self.integer else self.threshold

    def params(self, unit: float) -> LIFParams:
        """Constants of the membrane for a synaptic unit."""
        beta: Any = _one_or_all(1 - self.decay)
        threshold: Any = _one_or_all(self.threshold_in(unit))
        return LIFParams(beta, threshold, unit / STATE_SCALE if self.integer else None)

    def sequence(
        self,
        current_BSN: Tensor,
        bias_N: Tensor | None,
        unit: float,
        moving_BS1: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Spikes and membranes before the reset, (B,S,N), from rest.

        Args:
            current_BSN: synaptic input without the bias.
            bias_N: None is 0.
            unit: one unit of Loihi's synaptic input.
            moving_BS1: current of a moving threshold, synaptic input of every neuron; None is 0.

        Raises:
            UserError: arithmetic ``loihi``: a current or membrane leaves 24 bits.
        """
        params = self.params(unit)
        if self.uniform:
            return lif_sequence(
                current_BSN.contiguous(),
                params,
                self.spike,
                threshold_current=moving_BS1,
                bias=bias_N,
                overwrite=True,
                name=self.name,
            )
        if moving_BS1 is not None:
            current_BSN = current_BSN + moving_BS1
        state, found = None, []
        for current_BN in current_BSN.unbind(1):
            traced, state = self.step(current_BN, bias_N, params, state)
            found.append(traced)
        spikes_BSN, membranes_BSN, synaptic_BSN = (
            torch.stack(x, 1) for x in zip(*found, strict=True)
        )
        self.check(synaptic_BSN, membranes_BSN, params)
        return spikes_BSN, membranes_BSN.detach()

    def step(
        self, current_BN: Tensor, bias_N: Tensor | None, params: LIFParams, state: State | None
    ) -> tuple[tuple[Tensor, Tensor, Tensor], State]:
        """Spikes, membranes before the reset and synaptic currents of one step; the next state."""
        if state is None:
            state = State(torch.zeros_like(current_BN), torch.zeros_like(current_BN))
        if self.current_decay is not None:
            # On Loihi the bias of a neuron with a synaptic current is the weight of an input of 1.
            given_BN = current_BN if bias_N is None else current_BN + bias_N
            kept: Any = _one_or_all(1 - self.current_decay)
            current_BN = leak(state.i_BN, params._replace(beta=kept)) + given_BN
            bias_N = None
        biased_BN = current_BN if bias_N is None else current_BN + bias_N
        (spikes_BN, membrane_BN), u_BN = lif_step(biased_BN, state.u_BN, params, self.spike)
        return (spikes_BN, membrane_BN, current_BN), State(u_BN, current_BN)

    def check(self, synaptic: Tensor, membranes: Tensor, params: LIFParams) -> None:
        """Raise a UserError if a synaptic current or a membrane leaves Loihi's 24 bits."""
        if params.state_unit is not None:
            check_range(count_outside(synaptic, membranes, params), params, self.name)

    def written(self, dt: float, unit: float) -> nir.NIRNode:
        """The NIR node with these decays, a gain of 1, and the thresholds in a synaptic unit.

        The thresholds are those of the training, since a reader may choose a finer unit for others.
        """

        def shaped(values: np.ndarray) -> np.ndarray:
            return np.reshape(values, self.shape).astype(np.float32)

        threshold, zeros = shaped(self.threshold_in(unit)), np.zeros(self.shape, np.float32)
        if isinstance(self.node, nir.IF):
            return nir.IF(shaped(np.full(self.decay.shape, 1 / dt)), threshold, zeros)
        rest = {"v_leak": zeros, "v_threshold": threshold, "v_reset": zeros}
        r = shaped(1 / self.decay)
        if self.current_decay is None:
            return nir.LIF(tau=shaped(dt / self.decay), r=r, **rest)
        return nir.CubaLIF(
            tau_syn=shaped(dt / self.current_decay),
            tau_mem=shaped(dt / self.decay),
            r=r,
            w_in=shaped(1 / self.current_decay),
            **rest,
        )


def _one_or_all(values: np.ndarray) -> Number:
    if (values == values[0]).all():
        return float(values[0])
    return torch.from_numpy(values.astype(np.float32))

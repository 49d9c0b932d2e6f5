"""A motion branch as NIR, form `chain`: one Input, and Affine and LIF in a row.

events_and_bits → affine_1 → lif_1 → affine_2 → … → lif_L → spikes

The threshold current is one number per step for all layers. Its bits are channels of the Input
beside the events; the Affine has the value of each bit as a weight. To pass the bits on to the next
layer, each bit has a relay: a neuron beside the N of its layer that spikes at the steps at which
the bit is 1. A reader that delays every layer by a step delays the bits equally, so that they
arrive with the spikes of the same step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import nir
import numpy as np
import torch
from torch import Tensor

from export.contract import DRIVE, OUTPUT, layout
from export.files import RConvention
from export.graph import affine, current_range, gain, grid_arrays, lif
from hardware.graph.network import DT
from mdft.errors import UserError
from mdft.lif.grid import GRID
from mdft.model.motion import MotionBranch

MAX_BITS = 16


@dataclass(frozen=True)
class ThresholdCode:
    """A threshold current as bits, in two's complement.

    ``b = grid · (Σ_{j<n−1} 2^j c_j − 2^{n−2} (c_{n−1} + c_n))``: n bits on n + 1 channels c. The
    sign bit has two channels with half of its value each, so that no value exceeds that of the
    largest positive bit, and the weights of the usual range have 8 bits.

    Attributes:
        grid: the value of the lowest bit, a power of two.
        bits: the number of bits n, at least 2.
    """

    grid: float
    bits: int

    @property
    def worth(self) -> tuple[float, ...]:
        """The current that a 1 adds in each of the n + 1 channels."""
        positive = [self.grid * 2**j for j in range(self.bits - 1)]
        return (*positive, -positive[-1], -positive[-1])

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and largest current that the code can represent."""
        return -self.grid * 2 ** (self.bits - 1), self.grid * (2 ** (self.bits - 1) - 1)

    def encode(self, current_BS1: Tensor) -> Tensor:
        """Return the channels (B,S,n+1), 0 or 1, of a threshold current (B,S,1).

        Raises:
            UserError: there is one threshold per neuron, or a value is off the grid or out of
                range.
        """
        if current_BS1.shape[-1] != 1:
            raise UserError(
                f"form chain: the threshold current has {current_BS1.shape[-1]} values per step "
                "(model.motion.per_neuron), expected one for all neurons; use --form inputs"
            )
        k_BS1 = (current_BS1 / self.grid).to(torch.int64)
        low, high = self.range
        if (k_BS1 * self.grid != current_BS1).any():
            raise UserError(f"form chain: the threshold current is off its grid of {self.grid:g}")
        if (current_BS1 < low).any() or (current_BS1 > high).any():
            raise UserError(
                f"form chain: the threshold current runs from {current_BS1.min():g} to "
                f"{current_BS1.max():g}, {self.bits} bits hold {low:g} to {high:g}"
            )
        # Shifting a negative int64 keeps its sign: the upper bits are copies of it.
        shifts = torch.tensor([*range(self.bits), self.bits - 1], device=k_BS1.device)
        return ((k_BS1 >> shifts) & 1).to(current_BS1.dtype)


def threshold_code(branch: MotionBranch, thetas: tuple[float, float]) -> ThresholdCode:
    """Return the shortest code for all thresholds between the two.

    Raises:
        UserError: the range needs more than 16 bits.
    """
    code, (low, high) = ThresholdCode(branch.current_grid, 2), current_range(branch, thetas)
    while low < code.range[0] or code.range[1] < high:
        code = replace(code, bits=code.bits + 1)
    if code.bits > MAX_BITS:
        raise UserError(
            f"form chain: thresholds from {thetas[0]:g} to {thetas[1]:g} need {code.bits} bits, "
            f"expected at most {MAX_BITS}; narrow model.motion.theta_max or use --form inputs"
        )
    return code


def relay_weight(branch: MotionBranch) -> float:
    """Return the current of a relay whose bit is 1: 1.5 θ0, rounded up to the grid.

    It causes a spike from rest and has 8 bits on the grid if θ0 = 1; 2 θ0 would need nine.
    """
    return GRID * math.ceil(1.5 * branch.theta_0 / GRID)


def to_chain(
    branch: MotionBranch,
    code: ThresholdCode,
    *,
    dt: float = DT,
    r_convention: RConvention = "unit-gain",
) -> nir.NIRGraph:
    """Return the NIR graph of one pathway as a chain.

    With C channels of bits, layer i < L has N + C neurons: the branch's, then the relays. Its
    Affine is ``[[W_i, worth], [0, relay_weight · 1]]`` with bias ``[b_i, 0]``; the last layer has
    no relays. All arrays float32.

    Args:
        branch: the branch; its quantised parameters are exported.
        code: the code of the threshold current.
        dt: seconds per step.
        r_convention: see `export.graph.gain`.
    """
    channels, scale = len(code.worth), gain(branch.beta)[r_convention][1]
    nodes: dict[str, nir.NIRNode] = {
        DRIVE: nir.Input(input_type={"input": np.array([branch.features + channels])})
    }
    for i, (weight_NF, bias_N) in enumerate(grid_arrays(branch), start=1):
        relays = relay_count(branch, code, i)
        weight = np.zeros((branch.neurons + relays, weight_NF.shape[1] + channels))
        weight[: branch.neurons] = np.hstack([weight_NF, np.tile(code.worth, (branch.neurons, 1))])
        weight[branch.neurons :, weight_NF.shape[1] :] = (
            relay_weight(branch) * np.eye(channels)[:relays]
        )
        nodes[f"affine_{i}"] = affine(weight, np.pad(bias_N, (0, relays)), scale)
        nodes[f"lif_{i}"] = lif(branch, branch.neurons + relays, dt, r_convention)
    nodes[OUTPUT] = nir.Output(output_type={"output": np.array([branch.neurons])})
    return nir.NIRGraph(nodes, sorted(layout("chain", branch.layers)[1]))


def relay_count(branch: MotionBranch, code: ThresholdCode, layer: int) -> int:
    """Return the number of relays of a layer (from 1): one per channel, none in the last layer."""
    return len(code.worth) if layer < branch.layers else 0


def encode_chain(events_BSF: Tensor, current_BS1: Tensor, code: ThresholdCode) -> Tensor:
    """Return the single input (B,S,F+C): graded events, then the bits of the current.

    Raises:
        UserError: the code cannot represent a current.
    """
    return torch.cat([events_BSF, code.encode(current_BS1).to(events_BSF)], dim=-1)


@torch.no_grad()
def chain_trace(
    branch: MotionBranch, code: ThresholdCode, events_BSF: Tensor, current_BS1: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Return the expected spikes and membranes before the reset of each LIF of the chain.

    The neurons of the branch come first, then the relays. A relay's spike is its bit; its membrane
    is `relay_weight` if it spikes, else 0.
    """
    bits_BSC = code.encode(current_BS1).to(events_BSF)
    layers = []
    for i, (spikes, membranes) in enumerate(
        branch.trace(events_BSF, threshold_current=current_BS1), start=1
    ):
        relays_BSC = bits_BSC[..., : relay_count(branch, code, i)]
        membranes = torch.cat([membranes, relay_weight(branch) * relays_BSC], dim=-1)
        layers.append((torch.cat([spikes, relays_BSC], dim=-1), membranes))
    return layers

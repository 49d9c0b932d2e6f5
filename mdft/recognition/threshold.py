"""The moving threshold of a recording: eq. (7) with its own event counts, and its nodes in NIR."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor

from hardware.graph.network import Population
from mdft.config.model import MotionConfig
from mdft.lif.grid import GRID
from mdft.model.threshold import phi

#: The Input of the written graph that carries the threshold current.
CURRENT = "threshold_current"
_FLAT = "threshold_flat"


def event_omega(counts_BSD: Tensor) -> Tensor:
    """``ω = (1/log D) Σ_d N_d · log(1/N_d + E_d)`` with ``N_d = E_d / Σ E``, (B,S,1) float64.

    E are the event counts of a bin, and N is the share of the bin's events that each of the D
    values holds: ω is the entropy of the events, raised by their number. It is
    :func:`mdft.model.threshold.omega` for the features ``S = log E``, whose softmax is N; only
    values above 0 are computed, since all others contribute 0. A bin without events has no
    entropy: ω = 0.

    >>> counts = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]])
    >>> event_omega(counts).flatten().tolist()  # 4 · 1/4 · log(4 + 1) / log 4
    [0.0, 1.160964047443681]

    Args:
        counts_BSD: events of each bin and value, at least 0.

    Raises:
        ValueError: a count is negative, or D is 1, where ``log D`` is 0.
    """
    B, S, D = counts_BSD.shape
    if D < 2:
        raise ValueError(f"event_omega: a bin has {D} value, expected at least 2")
    counts_RD = counts_BSD.detach().flatten(0, 1)
    at_E, value_E = counts_RD.nonzero(as_tuple=True)
    count_E = counts_RD[at_E, value_E].double()
    if (count_E < 0).any():
        raise ValueError(f"event_omega: a count is {count_E.min():g}, expected at least 0")
    total_R = count_E.new_zeros(B * S).index_add_(0, at_E, count_E)
    share_E = count_E / total_R[at_E]
    surprise_E = share_E * torch.log(1 / share_E + count_E)
    omega_R = torch.zeros_like(total_R).index_add_(0, at_E, surprise_E) / math.log(D)
    return omega_R.unflatten(0, (B, S))[..., None]


@dataclass(frozen=True)
class MovingThreshold:
    """The threshold θ(t) of a recording, which follows the events of its bins, eq. (7).

    With the event counts E of bin t, φ = σ(mean_D E) and ω of :func:`event_omega`, equation (7) is

        ``θ*(t) = clamp((φ + ω) θ0, θ_min, θ_max)``,

    without a parameter that is trained and without memory. Neurons get θ = θ0 + δ by the current

        ``b(t) = β δ(t−1) − (θ*(t) − θ0)``, rounded to a multiple of 1/64,
        ``δ(t) = β δ(t−1) − b(t)``, ``δ(−1) = 0``,

    so that b is :func:`mdft.lif.neuron.threshold_current` of δ exactly, and θ differs from θ* by
    at most 1/128, at every step. (With θ* itself on a grid, b would lie on one that is finer by the
    denominator of β; Loihi's 24 bits would then hold smaller membranes than with a fixed
    threshold.) All is computed in float64: a rounding does not depend on the order of a sum.

    Attributes:
        beta: leak a step of every neuron, β.
        theta_0: the neurons' constant threshold θ0, a multiple of 1/64.
        theta_min: smallest threshold.
        theta_max: largest threshold.
    """

    beta: float
    theta_0: float = MotionConfig.theta_0
    theta_min: float = MotionConfig.theta_min
    theta_max: float = MotionConfig.theta_max

    def check(self, populations: Iterable[Population], *, cycles: bool) -> None:
        """Raise a ValueError unless all neurons have this β and no edges close a cycle."""
        same = all((p.decay == 1 - self.beta).all() for p in populations)
        if cycles or not same:
            raise ValueError(
                f"a moving threshold with beta {self.beta}, expected a graph without cycles whose "
                "neurons all have this beta"
            )

    @torch.no_grad()
    def equation_7(self, counts_BSX: Tensor) -> Tensor:
        """θ*(t) of every bin, (B,S,1) float64.

        >>> one = MovingThreshold(beta=0.5)
        >>> one.equation_7(torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])).flatten().tolist()
        [0.5, 2.0]

        Args:
            counts_BSX: event counts of every bin, (B,S,…).

        Raises:
            ValueError: a count is negative, or a bin has one value.
        """
        counts_BSD = counts_BSX.flatten(2)
        # A sum of counts is exact in float32, far below 2^24; the mean and σ need float64.
        total_BS1 = counts_BSD.sum(-1, keepdim=True).double()
        factor_BS1 = phi(total_BS1 / counts_BSD.shape[-1]) + event_omega(counts_BSD)
        return (factor_BS1 * self.theta_0).clamp(self.theta_min, self.theta_max)

    def current(self, counts_BSX: Tensor) -> Tensor:
        """The current b(t), (B,S,1) float32; arguments and errors are those of equation_7."""
        return self._follow(counts_BSX)[0].float()

    def theta(self, counts_BSX: Tensor) -> Tensor:
        """The threshold θ(t) = θ0 + δ(t) that the neurons have, (B,S,1) float64; as there."""
        return self.theta_0 + self._follow(counts_BSX)[1]

    def _follow(self, counts_BSX: Tensor) -> tuple[Tensor, Tensor]:
        """The current b and δ of every step, (B,S,1) float64."""
        wanted_BS1 = self.equation_7(counts_BSX) - self.theta_0
        delta_B1, currents, deltas = torch.zeros_like(wanted_BS1[:, 0]), [], []
        for wanted_B1 in wanted_BS1.unbind(1):
            leaked_B1 = self.beta * delta_B1
            current_B1 = torch.round((leaked_B1 - wanted_B1) / GRID) * GRID
            delta_B1 = leaked_B1 - current_B1
            currents.append(current_B1)
            deltas.append(delta_B1)
        return torch.stack(currents, 1), torch.stack(deltas, 1)


def with_threshold_input(graph: nir.NIRGraph, shapes: dict[str, tuple[int, ...]]) -> nir.NIRGraph:
    """Add the Input of the threshold current, and a node from it to each node of neurons.

    The Input has one value a step. Without images its shape is (1,), and a Linear of ones, (N,1),
    gives it to N neurons. With neurons of shape (C,H,W) it is an image of one pixel, (1,1,1): a
    Conv2d with a kernel of ones, (C,1,H,W), and padding (H − 1, W − 1) reaches that pixel from each
    of its H × W places exactly once, so that every neuron receives the value itself.

    Args:
        graph: the graph; it is not changed.
        shapes: node of neurons → its shape, (N,) or (C,H,W).
    """
    images = any(len(shape) > 1 for shape in shapes.values())
    nodes, edges = dict(graph.nodes), [(str(a), str(b)) for a, b in graph.edges]
    nodes[CURRENT] = nir.Input({"input": np.array([1, 1, 1] if images else [1])})
    flat = CURRENT
    if images and any(len(shape) == 1 for shape in shapes.values()):
        nodes[_FLAT] = nir.Flatten({"input": np.array([1, 1, 1])}, 0, -1)
        edges.append((CURRENT, _FLAT))
        flat = _FLAT
    for name, shape in shapes.items():
        node = f"threshold_{name}"
        if len(shape) == 1:
            nodes[node] = nir.Linear(np.ones((*shape, 1), np.float32))
        else:
            channels, height, width = shape
            one: Any = np.array([1, 1])
            around: Any = np.array([height - 1, width - 1])
            nodes[node] = nir.Conv2d(
                input_shape=one,
                weight=np.ones((channels, 1, height, width), np.float32),
                stride=one,
                padding=around,
                dilation=one,
                groups=1,
                bias=np.zeros(channels, np.float32),
            )
        edges += [(flat if len(shape) == 1 else CURRENT, node), (node, name)]
    return nir.NIRGraph(nodes, edges, type_check=False)

"""The spiking motion branch of one pathway: the box that becomes NIR and runs in Lava."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.neuron import (
    GRID,
    GRID_MAX,
    THRESHOLD_OFFSET,
    LIFParams,
    atan_spike,
    lif_sequence,
    snap,
    threshold_current,
)

#: β is a multiple of one over this.
DECAY_STEPS = 32


class MotionBranch(nn.Module):
    """``layers`` blocks of Linear + LIF, eqs. (8) and (9), section 3.2 of the paper.

    Layer i computes ``I_i(t) = W_i s_{i−1}(t) + b_i + b(t)`` and fires by
    :func:`mdft.neuron.lif_step`; ``s_0`` is the input, ``b(t)`` the threshold current. Weights
    and biases act through their nearest multiple of ``GRID``, with straight-through gradients:
    what is trained is what is exported. State starts at rest for each sample and is kept over all
    of its steps.

    Args:
        features: width of the input.
        neurons: width of every layer.
        layers: number of blocks.
        beta: leak a step, 1 − dt/τ; a multiple of 1/32, so that the threshold current stays on a
            grid that Loihi's weights can express.
        theta_0: resting threshold θ0, a multiple of ``GRID``.
        alpha: sharpness of the surrogate gradient.
    """

    def __init__(
        self,
        features: int,
        neurons: int,
        layers: int = 3,
        *,
        beta: float = 0.5,
        theta_0: float = 1.0,
        alpha: float = 2.0,
    ) -> None:
        super().__init__()
        for name, value in {"features": features, "neurons": neurons, "layers": layers}.items():
            if value < 1:
                raise ValueError(f"MotionBranch: {name} is {value}, expected at least 1")
        if not (0.0 <= beta < 1.0 and (beta * DECAY_STEPS).is_integer()):
            raise ValueError(
                f"MotionBranch: beta is {beta}, expected a multiple of 1/{DECAY_STEPS} in [0, 1)"
            )
        if theta_0 <= 0 or not (theta_0 / GRID).is_integer():
            raise ValueError(
                f"MotionBranch: theta_0 is {theta_0}, expected a positive multiple of {GRID}"
            )
        self.features, self.neurons, self.layers = features, neurons, layers
        self.beta, self.theta_0 = beta, theta_0
        self.v_threshold = theta_0 + THRESHOLD_OFFSET
        self.spike = atan_spike(alpha)
        widths = [features] + [neurons] * (layers - 1)
        self.linears = nn.ModuleList(nn.Linear(width, neurons) for width in widths)
        for linear in self.linears:
            # An eighth of the inputs active with unit value gives a current of deviation 0.5 θ0.
            assert isinstance(linear, nn.Linear)
            nn.init.normal_(linear.weight, std=0.5 * theta_0 * math.sqrt(8 / linear.in_features))
            nn.init.zeros_(linear.bias)

    @property
    def params(self) -> LIFParams:
        """β and θ0 of every layer."""
        return LIFParams(self.beta, self.v_threshold)

    def grid_parameters(self) -> list[tuple[Tensor, Tensor]]:
        """Weight (N,F) and bias (N,) of each layer as they act: multiples of ``GRID``."""
        return [
            (snap(m.weight, GRID, -GRID_MAX, GRID_MAX), snap(m.bias, GRID, -GRID_MAX, GRID_MAX))
            for m in self.linears
            if isinstance(m, nn.Linear)
        ]

    def threshold_current(self, theta_BS1: Tensor) -> Tensor:
        """The second input, from the threshold of every step: ``b = β δ(t−1) − δ(t)``.

        Args:
            theta_BS1: θ(t), one value a sample and step.

        Returns:
            The threshold current (B,S,1), from δ = θ − θ0 on the grid.
        """
        limit = round(2**17 * self.theta_0)  # far outside; the clamp of snap must not bite
        delta_BS1 = snap(theta_BS1 - self.theta_0, GRID, -limit, limit)
        return threshold_current(delta_BS1, self.beta)

    def trace(self, x_BSF: Tensor, current_BS1: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Spikes and membranes before the reset of each layer, all (B,S,N).

        Args:
            x_BSF: input of every step.
            current_BS1: threshold current of every step.
        """
        return [
            (spikes_BSN, torch.stack(membranes, 1))
            for spikes_BSN, membranes in self._run(x_BSF, current_BS1)
        ]

    def spikes(self, x_BSF: Tensor, current_BS1: Tensor) -> list[Tensor]:
        """Spikes of each layer, (B,S,N); the last one is the output."""
        return [spikes_BSN for spikes_BSN, _ in self._run(x_BSF, current_BS1)]

    def forward(self, x_BSF: Tensor, current_BS1: Tensor) -> Tensor:
        """Spikes (B,S,N) of the last layer, for input (B,S,F) and threshold current (B,S,1)."""
        return self.spikes(x_BSF, current_BS1)[-1]

    def _run(self, x_BSF: Tensor, current_BS1: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        if x_BSF.ndim != 3 or x_BSF.shape[-1] != self.features:
            raise ValueError(
                f"MotionBranch: input has shape {tuple(x_BSF.shape)}, expected "
                f"(batch, steps, {self.features})"
            )
        if current_BS1.shape != (*x_BSF.shape[:2], 1):
            raise ValueError(
                f"MotionBranch: threshold current has shape {tuple(current_BS1.shape)}, expected "
                f"{(*x_BSF.shape[:2], 1)}"
            )
        layers = []
        signal_BSF = x_BSF
        for weight_NF, bias_N in self.grid_parameters():
            current_BSN = F.linear(signal_BSF, weight_NF, bias_N) + current_BS1
            signal_BSF, membranes = lif_sequence(current_BSN, self.params, self.spike)
            layers.append((signal_BSF, membranes))
        return layers

"""The spiking motion branch of one pathway: the box that becomes NIR and runs in Lava."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from mdft.lif import check_moving, lif_sequence
from mdft.neuron import (
    GRID,
    GRID_MAX,
    THRESHOLD_OFFSET,
    AtanSpike,
    LIFParams,
    snap,
    threshold_current,
)
from mdft.precision import at_least_float32, full_precision

#: β is a multiple of one over this.
DECAY_STEPS = 32


class MotionBranch(nn.Module):
    """``layers`` blocks of Linear + LIF, eqs. (8) and (9), section 3.2 of the paper.

    Layer i computes ``I_i(t) = W_i s_{i−1}(t) + b_i + b(t)`` and fires by
    :func:`mdft.neuron.lif_step`; ``s_0`` is the input, ``b(t)`` the threshold current. Weights
    and biases act through their nearest multiple of ``GRID``, with straight-through gradients:
    what is trained is what is exported. State starts at rest for each sample and is kept over all
    of its steps. Currents, membranes and comparisons are float32, or float64 in a ``.double()``
    module, under autocast too: bfloat16 would change a third of the last layer's spikes. TF32
    changes none as long as the input is an 8-bit multiple of ``INPUT_GRID``: 8 bits times 8 bits
    are exact, and so is their sum in float32.

    >>> import torch
    >>> branch = MotionBranch(features=4, neurons=3, layers=2)
    >>> x_BSF = torch.ones(1, 5, 4)
    >>> theta_BS1 = torch.full((1, 5, 1), 1.25)
    >>> branch(x_BSF, branch.threshold_current(theta_BS1)).shape
    torch.Size([1, 5, 3])

    Args:
        features: width of the input.
        neurons: width of every layer.
        layers: number of blocks.
        beta: leak a step, 1 − dt/τ; a multiple of 1/32, so that the threshold current stays on a
            grid that Loihi's weights can express.
        theta_0: resting threshold θ0, a multiple of ``GRID``.
        alpha: sharpness of the surrogate gradient.
        fused: False takes the plain loop over steps, which can be differentiated twice.

    Raises:
        ValueError: an argument out of its range.
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
        fused: bool = True,
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
        self.spike, self.fused = AtanSpike(alpha), fused
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
        return [on_grid(linear) for linear in self.linears if isinstance(linear, nn.Linear)]

    def threshold_current(self, theta_BSM: Tensor) -> Tensor:
        """The second input, from the threshold of every step: ``b = β δ(t−1) − δ(t)``.

        Args:
            theta_BSM: θ(t), (B,S,1) for all neurons or (B,S,N) for each.

        Returns:
            The threshold current (B,S,M), from δ = θ − θ0 on the grid, float32 or better.
        """
        limit = round(2**17 * self.theta_0)  # far outside; the clamp of snap must not bite
        delta_BSM = snap(at_least_float32(theta_BSM) - self.theta_0, GRID, -limit, limit)
        return threshold_current(delta_BSM, self.beta)

    def trace(self, x_BSF: Tensor, current_BSM: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Spikes and membranes before the reset of each layer, all (B,S,N).

        The membranes carry no gradient.

        Args:
            x_BSF: input of every step.
            current_BSM: threshold current of every step, (B,S,1) or (B,S,N).
        """
        self._check(x_BSF, current_BSM)
        layers, signal_BSF = [], x_BSF
        with full_precision(x_BSF.device.type):
            for linear in self.linears:
                assert isinstance(linear, nn.Linear)
                weight_NF, bias_N = on_grid(linear)
                raw_BSN = F.linear(signal_BSF.to(weight_NF), weight_NF)
                layers.append(self.fire(raw_BSN, bias_N, current_BSM, overwrite=True))
                signal_BSF = layers[-1][0]
        return layers

    def spikes(self, x_BSF: Tensor, current_BSM: Tensor) -> list[Tensor]:
        """Spikes of each layer, (B,S,N); the last one is the output."""
        return [spikes_BSN for spikes_BSN, _ in self.trace(x_BSF, current_BSM)]

    def forward(self, x_BSF: Tensor, current_BSM: Tensor) -> Tensor:
        """Spikes (B,S,N) of the last layer.

        Args:
            x_BSF: input of every step.
            current_BSM: threshold current of every step, (B,S,1) or (B,S,N).

        Raises:
            ValueError: a shape other than these.
        """
        return self.spikes(x_BSF, current_BSM)[-1]

    def fire(
        self, raw_BSN: Tensor, bias_N: Tensor, current_BSM: Tensor, *, overwrite: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Spikes and membranes of one layer, from its matrix product ``W_i s_{i−1}``.

        Args:
            raw_BSN: the product.
            bias_N: b_i.
            current_BSM: threshold current, (B,S,1) or (B,S,N).
            overwrite: the membranes may take the memory of ``raw_BSN``.
        """
        return lif_sequence(
            raw_BSN,
            self.params,
            self.spike,
            threshold_current=current_BSM,
            bias=bias_N,
            fused=self.fused,
            overwrite=overwrite,
        )

    def _check(self, x_BSF: Tensor, current_BSM: Tensor) -> None:
        if x_BSF.ndim != 3 or x_BSF.shape[-1] != self.features:
            raise ValueError(
                f"MotionBranch: input has shape {tuple(x_BSF.shape)}, expected "
                f"(batch, steps, {self.features})"
            )
        shape = (*x_BSF.shape[:2], self.neurons)
        check_moving("MotionBranch: threshold current", current_BSM, shape)


def on_grid(linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight (N,F) and bias (N,) of a Linear as they act, multiples of ``GRID``, ≥ float32."""
    weight_NF, bias_N = at_least_float32(linear.weight), at_least_float32(linear.bias)
    return (
        snap(weight_NF, GRID, -GRID_MAX, GRID_MAX),
        snap(bias_N, GRID, -GRID_MAX, GRID_MAX),
    )

"""The motion branch of one pathway: spiking layers, exported to NIR and run in Lava, or an MLP."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.lif.grid import (
    DECAY_STEPS,
    GRID,
    GRID_MAX,
    INPUT_GRID,
    MOST_BITS,
    THRESHOLD_OFFSET,
    Arithmetic,
)
from mdft.lif.layer import broadcast, lif_sequence
from mdft.lif.loihi import WINDOW, check_beta, check_bits, largest_multiple, state_unit, weight_step
from mdft.lif.neuron import AtanSpike, LIFParams, snap, threshold_current
from mdft.lif.precision import at_least_float32, full_precision
from mdft.lif.sparse import spike_linear


class MotionBranch(nn.Module):
    """``layers`` blocks of Linear + LIF, eqs. (8) and (9), section 3.2 of the paper.

    Layer i computes ``I_i(t) = W_i s_{i−1}(t) + b_i + b(t)`` and fires by
    :func:`mdft.lif.neuron.lif_step`; ``s_0`` is the input, ``b(t)`` the threshold current. Training
    uses quantised weights and biases, rounded to multiples of ``GRID`` with straight-through
    gradients; the export contains the same values. Weights of fewer than 8 bits are rounded to a
    coarser step of each layer, :func:`mdft.lif.loihi.weight_step`; biases keep 8 bits, since Loihi
    stores them in its neurons and not in its synapses.

    With arithmetic ``loihi`` membranes are the integers of Lava's fixed-point LIF times
    :func:`mdft.lif.loihi.state_unit`: spikes and membranes equal those of the exported graph in
    ``hardware.fixed_point.reference_int``; gradients are those of real-valued membranes.

    The state is zero at the start of each sample and is kept over all of its steps. Currents,
    membranes and comparisons are float32, or float64 in a ``.double()`` module, also under
    autocast: bfloat16 would change a third of the last layer's spikes. TF32 changes none if the
    input is an 8-bit multiple of ``INPUT_GRID``, since products of 8-bit numbers and their sum are
    exact in float32.

    :meth:`forward`, :meth:`spikes` and :meth:`trace` take the threshold θ of eq. (7), or the
    equivalent threshold current, as keyword arguments; without either the threshold is θ0.

    >>> import torch
    >>> branch = MotionBranch(features=4, neurons=3, layers=2)
    >>> x_BSF = torch.ones(1, 5, 4)
    >>> branch(x_BSF).shape
    torch.Size([1, 5, 3])
    >>> theta_BS1 = torch.linspace(0.75, 1.25, 5)[None, :, None]
    >>> spikes_BSN = branch(x_BSF, theta=theta_BS1)
    >>> current_BS1 = branch.threshold_current(theta_BS1)
    >>> torch.equal(branch(x_BSF, threshold_current=current_BS1), spikes_BSN)
    True
    >>> [spikes.shape for spikes, membrane in branch.trace(x_BSF, theta=1.25)]
    [torch.Size([1, 5, 3]), torch.Size([1, 5, 3])]

    Args:
        features: width of the input.
        neurons: width of every layer.
        layers: number of blocks.
        beta: leak per step, 1 − dt/τ; a multiple of 1/32, so that the threshold current stays on
            a grid that Loihi's weights can represent.
        theta_0: resting threshold θ0, a multiple of ``GRID``.
        alpha: sharpness of the surrogate gradient.
        fused: False uses a plain loop over steps, which supports second derivatives.
        arithmetic: ``float``, or ``loihi`` for integer membranes.
        weight_bits: bits of a weight, 2 to 8, including the sign.
        name: name of the branch in errors and warnings.

    Raises:
        ValueError: an argument is out of range.
    """

    weight_steps_L: Tensor  # exists only with weights of fewer than 8 bits

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
        arithmetic: Arithmetic = "float",
        weight_bits: int = MOST_BITS,
        name: str = "MotionBranch",
    ) -> None:
        super().__init__()
        for count, value in {"features": features, "neurons": neurons, "layers": layers}.items():
            if value < 1:
                raise ValueError(f"MotionBranch: {count} is {value}, expected at least 1")
        if not (0.0 <= beta < 1.0 and (beta * DECAY_STEPS).is_integer()):
            raise ValueError(
                f"MotionBranch: beta is {beta}, expected a multiple of 1/{DECAY_STEPS} in [0, 1)"
            )
        if theta_0 <= 0 or not (theta_0 / GRID).is_integer():
            raise ValueError(
                f"MotionBranch: theta_0 is {theta_0}, expected a positive multiple of {GRID}"
            )
        check_bits(weight_bits)
        check_beta(beta, arithmetic)
        self.features, self.neurons, self.layers = features, neurons, layers
        self.arithmetic, self.weight_bits, self.name = arithmetic, weight_bits, name
        self.beta, self.theta_0 = beta, theta_0
        self.v_threshold = theta_0 + THRESHOLD_OFFSET
        self.spike, self.fused = AtanSpike(alpha), fused
        widths = [features] + [neurons] * (layers - 1)
        self.linears = nn.ModuleList(nn.Linear(width, neurons) for width in widths)
        if weight_bits < MOST_BITS:  # with 8 bits the step is always GRID
            self.register_buffer("weight_steps_L", torch.empty(layers))
        for index in range(layers):
            # If an eighth of the inputs are 1, the current's standard deviation is 0.5 θ0.
            linear = self.linear(index)
            nn.init.normal_(linear.weight, std=0.5 * theta_0 * math.sqrt(8 / linear.in_features))
            nn.init.zeros_(linear.bias)
            self.choose_weight_step(index)

    @property
    def params(self) -> LIFParams:
        """β and θ0 of every layer, for real-valued membranes."""
        return LIFParams(self.beta, self.v_threshold)

    @property
    def current_grid(self) -> float:
        """The power of two of which the threshold current is a multiple.

        ``b = β δ(t−1) − δ(t)`` with δ on ``GRID`` and ``β = m/2^k`` lies on ``GRID/2^k``.
        """
        return GRID / float(self.beta).as_integer_ratio()[1]

    @torch.no_grad()
    def choose_weight_step(self, index: int) -> None:
        """Set the quantisation step of layer ``index`` with :func:`mdft.lif.loihi.weight_step`."""
        if self.weight_bits < MOST_BITS:
            weight_NF = at_least_float32(self.linear(index).weight)
            self.weight_steps_L[index] = weight_step(weight_NF, self.weight_bits)

    def linear(self, index: int) -> nn.Linear:
        """The Linear of a layer, counted from 0."""
        linear = self.linears[index]
        assert isinstance(linear, nn.Linear)
        return linear

    def grid_parameters(self) -> list[tuple[Tensor, Tensor]]:
        """Quantised weight (N,F) and bias (N,) of each layer: multiples of ``GRID``."""
        return list(map(self.on_grid, range(self.layers)))

    def on_grid(self, index: int) -> tuple[Tensor, Tensor]:
        """Quantised weight (N,F) and bias (N,) of layer ``index``, float32 or better.

        They are ``k·GRID`` with ``|k| ≤ 127``; a weight of fewer than 8 bits is ``k·s`` with the
        step s of its layer. Gradients pass where weight and bias are in the range of 8 bits.
        """
        linear, high = self.linear(index), largest_multiple(self.weight_bits)
        step = GRID if self.weight_bits == MOST_BITS else self.weight_steps_L[index].item()
        weight_NF = snap(at_least_float32(linear.weight), step, -high, high, window=WINDOW)
        return weight_NF, snap(at_least_float32(linear.bias), GRID, -GRID_MAX, GRID_MAX)

    def threshold_current(self, theta_BSA: Tensor) -> Tensor:
        """Threshold current that is equivalent to a threshold: ``b = β δ(t−1) − δ(t)``.

        Args:
            theta_BSA: θ(t), (B,S,1) for all neurons or (B,S,N) for each.

        Returns:
            The threshold current (B,S,A), from δ = θ − θ0 rounded to the grid, float32 or better.
        """
        limit = round(2**17 * self.theta_0)  # so large that snap never clamps δ
        delta_BSA = snap(at_least_float32(theta_BSA) - self.theta_0, GRID, -limit, limit)
        return threshold_current(delta_BSA, self.beta)

    def trace(
        self,
        x_BSF: Tensor,
        *,
        theta: Tensor | float | None = None,
        threshold_current: Tensor | None = None,
    ) -> list[tuple[Tensor, Tensor]]:
        """Spikes and membranes before the reset of each layer, all (B,S,N).

        Arguments and errors are those of :meth:`forward`. The membranes are those with constant
        threshold θ0, u = v − δ, and have no gradient.
        """
        current_BSA = self._current(x_BSF, theta, threshold_current)
        layers, signal_BSF = [], x_BSF
        with full_precision(x_BSF.device.type):
            for index in range(self.layers):
                layers.append(self.layer(index, signal_BSF, current_BSA))
                signal_BSF = layers[-1][0]
        return layers

    def spikes(
        self,
        x_BSF: Tensor,
        *,
        theta: Tensor | float | None = None,
        threshold_current: Tensor | None = None,
    ) -> list[Tensor]:
        """Spikes of each layer, (B,S,N); the last one is the output.

        Arguments and errors are those of :meth:`forward`.
        """
        layers = self.trace(x_BSF, theta=theta, threshold_current=threshold_current)
        return [spikes_BSN for spikes_BSN, _ in layers]

    def forward(
        self,
        x_BSF: Tensor,
        *,
        theta: Tensor | float | None = None,
        threshold_current: Tensor | None = None,
    ) -> Tensor:
        """Spikes (B,S,N) of the last layer, float32, or float64 in a ``.double()`` module.

        Args:
            x_BSF: input of every step.
            theta: threshold θ, a number or a tensor that broadcasts to (B,S,1), or to (B,S,N) for
                one threshold per neuron. ``θ − θ0`` is rounded to the grid.
            threshold_current: the output of :meth:`threshold_current`, in the same shapes, instead
                of ``theta``. Without either the threshold is θ0.

        Raises:
            TypeError: both ``theta`` and ``threshold_current`` are given.
            ValueError: a shape is wrong, or there is no step.
            UserError: arithmetic ``loihi``: a current or a membrane leaves the range of its state.
        """
        return self.spikes(x_BSF, theta=theta, threshold_current=threshold_current)[-1]

    def layer(self, index: int, signal_BSF: Tensor, current_BSA: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes and membranes before the reset of one layer, (B,S,N).

        Args:
            index: index of the layer, from 0.
            signal_BSF: the branch's input, or the spikes of the layer below.
            current_BSA: threshold current, (B,S,1) or (B,S,N).

        Raises:
            UserError: arithmetic ``loihi``: a current or a membrane leaves the range of its state.
        """
        (weight_NF, bias_N), params = self.on_grid(index), self.params
        if self.arithmetic == "loihi":
            input_grid = INPUT_GRID if index == 0 else 1.0
            unit = state_unit(weight_NF, input_grid, self.current_grid)
            params = params._replace(state_unit=unit)
        # Both products are exact on the grids, hence equal; the dense one loads no compiled kernel.
        dense = not (self.fused or torch.is_grad_enabled())
        product = F.linear if dense else spike_linear
        return lif_sequence(
            product(signal_BSF.to(weight_NF), weight_NF),
            params,
            self.spike,
            threshold_current=current_BSA,
            bias=bias_N,
            fused=self.fused,
            overwrite=True,
            name=f"{self.name} lif_{index + 1}",
        )

    def extra_repr(self) -> str:
        """Widths, number of layers, β, θ0 and α; other arguments if they are not the default."""
        text = (
            f"features={self.features}, neurons={self.neurons}, layers={self.layers}, "
            f"beta={self.beta}, theta_0={self.theta_0}, alpha={self.spike.alpha}"
        )
        if self.arithmetic != "float":
            text += f", arithmetic={self.arithmetic!r}"
        if self.weight_bits != MOST_BITS:
            text += f", weight_bits={self.weight_bits}"
        return text if self.fused else f"{text}, fused=False"

    def _current(
        self, x_BSF: Tensor, theta: Tensor | float | None, threshold_current: Tensor | None
    ) -> Tensor:
        """Check the arguments of :meth:`forward`; the threshold current (B,S,1) or (B,S,N)."""
        if theta is not None and threshold_current is not None:
            raise TypeError(
                f"{self.name}: both theta and threshold_current are given, expected one of them: "
                "the current is computed from theta by threshold_current()"
            )
        if x_BSF.ndim != 3 or x_BSF.shape[-1] != self.features:
            raise ValueError(
                f"MotionBranch: input has shape {tuple(x_BSF.shape)}, expected "
                f"(batch, steps, {self.features})"
            )
        like_BSN = at_least_float32(x_BSF[..., :1]).expand(-1, -1, self.neurons)
        if threshold_current is not None:
            return broadcast("MotionBranch: threshold current", threshold_current, like_BSN)
        theta_BSA = broadcast(
            "MotionBranch: threshold", self.theta_0 if theta is None else theta, like_BSN
        )
        return self.threshold_current(theta_BSA)


class MotionMLP(nn.Module):
    """``layers`` blocks of Linear + ReLU, applied to each event bin separately, without state.

    Args:
        features: width of the input.
        neurons: width of every layer.
        layers: number of blocks.
    """

    def __init__(self, features: int, neurons: int, layers: int = 3) -> None:
        super().__init__()
        widths = [features] + [neurons] * (layers - 1)
        self.blocks = nn.Sequential(
            *(nn.Sequential(nn.Linear(width, neurons), nn.ReLU()) for width in widths)
        )

    def outputs(self, x_BSF: Tensor) -> list[Tensor]:
        """Output of each layer, (B,S,N), non-negative."""
        outputs = [x_BSF]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        return outputs[1:]

    def forward(self, x_BSF: Tensor) -> Tensor:
        """Output of the last layer, (B,S,N), non-negative."""
        return self.outputs(x_BSF)[-1]

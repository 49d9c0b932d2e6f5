"""A spiking network before training, as a NIR graph with random weights."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import nir
import numpy as np

from hardware.graph.network import DT
from mdft.errors import UserError
from mdft.lif.grid import THRESHOLD_OFFSET
from mdft.recognition.layers import Conv, Layer, Pool

INPUT, OUTPUT = "input", "output"
_ACTIVE = 8  # if one of so many inputs is 1, a current's standard deviation is half the threshold


def initial_graph(
    layers: tuple[Layer, ...],
    shape: tuple[int, int, int],
    *,
    beta: float | tuple[float, ...],
    theta_0: float = 1.0,
    seed: int = 0,
    dt: float = DT,
) -> nir.NIRGraph:
    """Return the NIR graph of a network with random weights.

    input → conv_1 → lif_1 → pool_2 → … → flatten → affine_i → lif_i → output. Neurons follow
    eq. (8), ``u ← β u + I``, a spike where ``u > θ0``, then ``u ← 0``. Weights are normal with
    the standard deviation ``θ0/2 · sqrt(8 / inputs of a neuron)``, biases are 0.

    Args:
        layers: the layers of the network.
        shape: polarities, height and width of the input.
        beta: leak a step, β. Of k values, neuron i of a layer of N has number ``⌊i k / N⌋``, and so
            have all neurons of channel i of N channels. Those of the last layer have the first:
            classes are compared by their spikes, so that their neurons must be alike.
        theta_0: threshold θ0.
        seed: seed of the weights.
        dt: seconds per step; only τ = dt/(1 − β) depends on it.

    Raises:
        UserError: a kernel or window is larger than its input, or a layer has fewer neurons or
            channels than there are values of β.
    """
    betas = beta if isinstance(beta, tuple) else (beta,)
    random = np.random.default_rng(seed)
    nodes: dict[str, nir.NIRNode] = {INPUT: nir.Input({"input": np.array(shape)})}
    here: tuple[int, ...] = shape
    for number, layer in enumerate(layers, start=1):
        if isinstance(layer, Pool):
            here = (here[0], *(side // layer.side for side in here[1:]))
            _check(f"p{layer.side}", here)
            side = np.array([layer.side] * 2)
            nodes[f"pool_{number}"] = nir.SumPool2d(side, side, np.zeros(2, int))
            continue
        if isinstance(layer, Conv):
            around = (layer.kernel - 1) // 2
            fan_in = here[0] * layer.kernel**2
            sides: Any = here[1:]
            weight = random.normal(size=(layer.channels, here[0], layer.kernel, layer.kernel))
            conv = nir.Conv2d(
                sides,
                _scaled(weight, theta_0, fan_in),
                layer.stride,
                around,
                1,
                1,
                np.zeros(layer.channels, np.float32),
            )
            reach = [side + 2 * around - layer.kernel for side in here[1:]]
            here = (layer.channels, *(free // layer.stride + 1 for free in reach))
            _check(f"{layer.channels}c{layer.kernel}", here)
            nodes[f"conv_{number}"] = conv
        else:
            fan_in = math.prod(here)
            if len(here) > 1:
                nodes["flatten"] = nir.Flatten({"input": np.array(here)}, 0, -1)
            weight = random.normal(size=(layer.neurons, fan_in))
            bias = np.zeros(layer.neurons, np.float32)
            nodes[f"affine_{number}"] = nir.Affine(_scaled(weight, theta_0, fan_in), bias)
            here = (layer.neurons,)
        if here[0] < len(betas) and number < len(layers):
            what = "neurons" if len(here) == 1 else "channels"
            raise UserError(
                f"--beta has {len(betas)} values, layer {number} of --layers has {here[0]} {what}; "
                "expected at most as many values"
            )
        nodes[f"lif_{number}"] = _lif(
            here, betas if number < len(layers) else betas[:1], theta_0, dt
        )
    nodes[OUTPUT] = nir.Output({"output": np.array(here)})
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)


def _scaled(weight: np.ndarray, theta_0: float, fan_in: int) -> np.ndarray:
    return (weight * 0.5 * theta_0 * math.sqrt(_ACTIVE / fan_in)).astype(np.float32)


def _lif(shape: tuple[int, ...], betas: tuple[float, ...], theta_0: float, dt: float) -> nir.LIF:
    def full(value: float | np.ndarray) -> np.ndarray:
        return np.full(shape, value, np.float32)

    of_each = np.array(betas)[np.arange(shape[0]) * len(betas) // shape[0]]
    gain = 1 / (1 - of_each).reshape(-1, *[1] * (len(shape) - 1))
    return nir.LIF(
        tau=full(dt * gain),
        r=full(gain),
        v_leak=full(0),
        v_threshold=full(theta_0 + THRESHOLD_OFFSET),
        v_reset=full(0),
    )


def _check(word: str, shape: tuple[int, ...]) -> None:
    if min(shape) < 1:
        raise UserError(
            f"--layers: {word} is larger than its input, its output would be {shape[1:]}; expected "
            "a smaller kernel or window, or fewer of them"
        )

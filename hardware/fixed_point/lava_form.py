"""Rewrite a network for Lava's LIF: unit gain, no leak potential, reset to zero."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from hardware.graph.network import UNCHECKED, Current, Network, Population, Synapses, check_range
from mdft.errors import UserError

# Names of added inputs; NIR names cannot contain a space, so they do not collide.
ONES, START = "constant 1", "first step"


def lava_form(network: Network) -> Network:
    """Return an equivalent network in the variables of Lava's LIF.

    Lava computes u ← (1 − du)·u + a, v ← (1 − dv)·v + u + bias, resets to 0, and has one du, dv
    and threshold for all neurons of a process. Therefore:

    - gains are multiplied into the weights: W' = gain·W, b' = gain·b (for Cuba the product of
      both gains);
    - decay·v_leak is added to the bias;
    - a Cuba neuron's bias acts through u: it becomes the weight of an input that is always 1;
    - v' = v − v_reset resets to 0: v_reset is subtracted from the threshold, decay·v_reset from
      the bias, and an input that is 1 at a sample's first step sets v' to −v_reset.

    The membranes of the result are v'; add v_reset to get v.

    Raises:
        UserError: Lava's LIF cannot express a node; the message names it and the reason.
    """
    with np.errstate(**UNCHECKED):
        populations = tuple(_fold(network, p) for p in network.populations)
    for p in populations:
        check_range(p.name, *(s.weight for s in p.synapses), p.bias)
    return replace(network, populations=populations)


def constants(populations: Iterable[Any], batch: int, steps: int) -> dict[str, np.ndarray]:
    """Return the added inputs, (B, S, 1), that the synapses of these populations use."""
    start = np.zeros((batch, steps, 1))
    start[:, 0] = 1
    known = {ONES: np.ones((batch, steps, 1)), START: start}
    named = {s.source for p in populations for s in p.synapses}
    return {name: x for name, x in known.items() if name in named}


def _fold(network: Network, p: Population) -> Population:
    _check(network, p)
    gain = p.gain if p.current is None else p.gain * p.current.gain
    synapses = [replace(s, weight=gain[:, None] * s.weight) for s in p.synapses]
    bias, direct = gain * p.bias, p.decay * (p.v_leak - p.v_reset)
    if p.current is None:
        bias = bias + direct
    else:
        if bias.any():
            synapses.append(Synapses(ONES, bias[:, None], f"bias of {p.name}"))
        bias = direct
    if p.v_reset.any():
        kick = (1 - p.decay) * -p.v_reset
        synapses.append(Synapses(START, kick[:, None], f"v_reset of {p.name}"))
    ones, zeros = np.ones(p.size), np.zeros(p.size)
    return replace(
        p,
        synapses=tuple(synapses),
        bias=bias,
        gain=ones,
        v_leak=zeros,
        v_reset=zeros,
        v_threshold=p.v_threshold - p.v_reset,
        current=p.current and Current(p.current.decay, ones),
    )


def _check(network: Network, p: Population) -> None:
    uniform = {"decay": p.decay, "v_threshold": p.v_threshold - p.v_reset}
    if p.current is not None:
        uniform["decay of the current"] = p.current.decay
        if p.v_reset.any():
            raise UserError(
                f"{p.name}: v_reset = {p.v_reset[p.v_reset != 0][0]:g} on a CubaLIF; Lava's "
                "LIFReset starts every sample at 0"
            )
    for field, values in uniform.items():
        if (values != values[0]).any():
            raise UserError(
                f"{p.name}: {field} runs from {values.min():g} to {values.max():g}, "
                "Lava's LIF has one value for all its neurons"
            )
    silent = {q.name for q in network.populations if not q.fires}
    for s in p.synapses:
        if s.source in silent:
            raise UserError(
                f"{p.name}: receives the membrane of {s.source!r}; Lava's LIF sends spikes only"
            )

"""Rewrite a network for Lava's LIF: unit gain, no leak potential, reset to zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hardware.graph.matrices import scale_rows
from hardware.graph.network import (
    ONES,
    START,
    UNCHECKED,
    Current,
    Network,
    Population,
    Synapses,
    check_range,
)
from mdft.errors import UserError


def lava_form(network: Network) -> Network:
    """Return an equivalent network in the variables of Lava's LIF.

    Lava computes u ← (1 − du)·u + a, v ← (1 − dv)·v + u + bias, and resets to 0. Therefore:

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


def _fold(network: Network, p: Population) -> Population:
    _check(network, p)
    if p.subtracts:  # v_reset has no effect
        p = replace(p, v_reset=np.zeros(p.size))
    gain = p.input_gain
    synapses = [replace(s, weight=scale_rows(gain, s.weight)) for s in p.synapses]
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
    if p.current is not None and p.v_reset.any() and not p.subtracts:
        raise UserError(
            f"{p.name}: v_reset = {p.v_reset[p.v_reset != 0][0]:g} on a CubaLIF; Lava's "
            "LIFReset starts every sample at 0"
        )
    silent = {q.name for q in network.populations if not q.fires}
    for s in p.synapses:
        if s.source in silent:
            raise UserError(
                f"{p.name}: receives the membrane of {s.source!r}; Lava's LIF sends spikes only"
            )


def check_lava(network: Network) -> None:
    """Check that no population subtracts its threshold at a spike, which Lava's LIF cannot.

    Raises:
        UserError: one does; the message names it.
    """
    for p in network.populations:
        if p.subtracts:
            raise UserError(f"{p.name}: reset by subtraction; Lava's LIF resets to 0 only")

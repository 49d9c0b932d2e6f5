"""The float reference against snnTorch's own neurons, where they express NIR's."""

from __future__ import annotations

import warnings
from typing import Any

import nir
import numpy as np
import pytest
import torch

from hardware.graph.graph import lower
from hardware.reference_float import reference_float

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import snntorch as snn

DT, SIZE = 1e-4, 6


def full(value: float) -> np.ndarray:
    return np.full(SIZE, value)


def real(value: float) -> Any:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.rounding
def test_lif_if_cubalif_and_li_are_snntorchs():
    """Leaky, Leaky with β = 1, Synaptic and Leaky without a reset, in a row.

    No membrane comes nearer to its threshold than 0.002 (3e-5 for seeds 0 to 19); both sides
    compute in float64, so that the order of a sum moves one by 1e-15.
    """
    rng = np.random.default_rng(1)
    matrices = [nir.Linear(rng.normal(0.4, 0.6, (SIZE, SIZE))) for _ in range(4)]
    neurons = [
        nir.LIF(full(DT / 0.25), full(4), full(0), full(1.01)),
        nir.IF(full(1 / DT), full(1.31)),
        nir.CubaLIF(full(DT / 0.2), full(DT / 0.4), full(5), full(0), full(1.61), None, full(1.0)),
        nir.LI(full(DT / 0.1), full(10), full(0)),
    ]
    pairs = [node for pair in zip(matrices, neurons, strict=True) for node in pair]
    network = lower(nir.NIRGraph.from_list(*pairs), DT)
    x_BSN = rng.integers(0, 3, (4, 20, SIZE)).astype(float)
    found = reference_float(network, {"input": x_BSN})

    zero: dict[str, Any] = {"reset_mechanism": "zero", "reset_delay": False}
    leaky = snn.Leaky(beta=real(0.75), threshold=real(1.01), **zero)
    fire = snn.Leaky(beta=real(1.0), threshold=real(1.31), **zero)
    synaptic = snn.Synaptic(real(0.8), real(0.6), threshold=real(1.61 / 0.4), **zero)
    readout = snn.Leaky(beta=real(0.9), threshold=real(1e9), reset_mechanism="none")
    weights = [torch.from_numpy(m.weight) for m in matrices]
    state = [torch.zeros(4, SIZE, dtype=torch.float64) for _ in range(5)]
    steps: list[list[torch.Tensor]] = [[], [], [], []]
    for x in torch.from_numpy(x_BSN).unbind(1):
        z, state[0] = leaky(x @ weights[0].T, state[0])
        steps[0].append(z)
        z, state[1] = fire(z.double() @ weights[1].T, state[1])
        steps[1].append(z)
        z, state[2], state[3] = synaptic(z.double() @ weights[2].T, state[2], state[3])
        steps[2].append(z)
        _, state[4] = readout(z.double() @ weights[3].T, state[4])
        steps[3].append(state[4])
    for name, values in zip(("lif", "if", "cubalif"), steps, strict=False):
        expected = torch.stack(values, 1).numpy()
        assert 0.05 < expected.mean() < 0.9, name
        np.testing.assert_array_equal(found.spikes[name], expected, err_msg=name)
    np.testing.assert_allclose(found.membranes["li"], torch.stack(steps[3], 1), rtol=1e-6)

"""The fused LIF in Loihi's arithmetic against the plain loop, where ``test_lif_fused.py`` runs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mdft.errors import UserError
from mdft.lif.layer import lif_sequence
from mdft.lif.neuron import AtanSpike, LIFParams
from tests.mdft.lif_inputs import examples, inputs, weighted_sum

pytestmark = [pytest.mark.usefixtures("lif_device"), pytest.mark.rounding]

PARAMS = LIFParams(0.5, 1.0 + 2.0**-18, state_unit=2.0**-13)
BETAS = st.integers(1, 31).map(lambda m: m / 32)


@examples(40)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(1, 70)),
    beta=BETAS,
    unit=st.integers(-17, -5).map(lambda e: 2.0**e),
    per_neuron=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_the_kernel_is_the_loop(seed, shape, beta, unit, per_neuron, dtype):
    torch.manual_seed(seed)
    given_, params = inputs(shape, per_neuron=per_neuron, dtype=dtype), LIFParams(beta, 1.0, unit)
    current, b, bias = given_
    found, grads = [], []
    for fused in (True, False):
        spikes, membranes = lif_sequence(
            current, params, AtanSpike(), threshold_current=b, bias=bias, fused=fused
        )
        found.append((spikes, membranes))
        grads.append(torch.autograd.grad(weighted_sum(spikes), given_))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    rtol, atol = (1e-10, 1e-10) if dtype == torch.float64 else (1e-3, 1e-4)
    for a, e in zip(*grads, strict=True):
        torch.testing.assert_close(a, e, rtol=rtol, atol=atol)


@pytest.mark.parametrize("fused", [True, False])
def test_current_and_membrane_are_both_held_in_range(fused: bool):
    limit = 2.0**23 * 2.0**-13

    def run(*current: float, b: float = 0.0, bias: float = 0.0) -> None:
        x = torch.tensor(current)[None, :, None]
        b_1S1, bias_1 = torch.full_like(x, b), torch.tensor([bias])
        lif_sequence(x, PARAMS, AtanSpike(), threshold_current=b_1S1, bias=bias_1, fused=fused)

    run(1 - limit)
    run(-limit / 2, -limit / 2)  # −limit/4 − limit/2
    for case, outside in (((limit,), 2), ((-limit,), 2), ((-limit * 0.75, -limit * 0.75), 1)):
        with pytest.raises(UserError, match=f"lif_sequence: {outside} currents"):
            run(*case)
    with pytest.raises(UserError):
        run(1 - limit, b=-1.0)
    with pytest.raises(UserError):
        run(limit, bias=-2.0)  # Lava adds the bias behind the wrap of the current
    with pytest.raises(UserError, match=": 6 currents"):  # of 3 neurons, not of lanes beside them
        b_111, zero_113 = torch.full((1, 1, 1), limit), torch.zeros(1, 1, 3)
        lif_sequence(zero_113, PARAMS, AtanSpike(), threshold_current=b_111, fused=fused)

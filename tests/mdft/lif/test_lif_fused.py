"""The fused LIF against the plain loop: the same bits forward, the same gradient backward.

On the CPU and, where there is one, on a CUDA device; ``test_lif_triton.py`` runs this file once
more with Triton's kernels in its interpreter.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from snntorch import surrogate
from torch import Tensor

from mdft.lif import fused as lif_fused
from mdft.lif.layer import lif_sequence
from mdft.lif.neuron import AtanSpike, LIFParams, lif_loop
from tests.mdft.lif_inputs import ALPHA, PARAMS, SmoothSpike, examples, inputs, weighted_sum

pytestmark = [pytest.mark.usefixtures("lif_device"), pytest.mark.rounding]

#: Around a program's block of neurons, too.
NEURONS = st.integers(1, 70) | st.sampled_from([127, 128, 129, 300])


@examples(60)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 30), NEURONS),
    beta=st.floats(0, 1, exclude_max=True),
    theta=st.floats(0.1, 3),
    per_neuron=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_spikes_and_membranes_equal_the_loop_bit_for_bit(
    seed: int,
    shape: tuple[int, int, int],
    beta: float,
    theta: float,
    per_neuron: bool,
    dtype: torch.dtype,
):
    torch.manual_seed(seed)
    current, b, bias = inputs(shape, per_neuron=per_neuron, dtype=dtype)
    params = LIFParams(beta, theta)
    spikes, membranes = lif_sequence(current, params, AtanSpike(), threshold_current=b, bias=bias)
    expected = lif_loop((current + bias) + b, params, AtanSpike())
    assert torch.equal(spikes, expected[0])
    assert torch.equal(membranes, expected[1])
    assert not membranes.requires_grad


def test_extreme_currents_equal_the_loop():
    current = torch.tensor([[[0.0, -0.0, 3e38, -3e38, 1e-45, float("inf"), -float("inf")]] * 5])
    for name, x in {"extreme": current, "nan": torch.full((1, 3, 4), float("nan"))}.items():
        found, expected = lif_sequence(x, PARAMS, AtanSpike()), lif_loop(x, PARAMS, AtanSpike())
        for a, e in zip(found, expected, strict=True):
            torch.testing.assert_close(a, e, rtol=0, atol=0, equal_nan=True, msg=name)


@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 17, 33), (2, 40, 64), (2, 9, 300)])
def test_gradients_equal_autograd_through_the_loop(shape: tuple[int, int, int], per_neuron: bool):
    given_ = inputs(shape, per_neuron=per_neuron)
    current, b, bias = given_
    spikes, _ = lif_sequence(current, PARAMS, AtanSpike(ALPHA), threshold_current=b, bias=bias)
    found = torch.autograd.grad(weighted_sum(spikes), given_)
    spikes, _ = lif_loop((current + bias) + b, PARAMS, AtanSpike(ALPHA))
    expected = torch.autograd.grad(weighted_sum(spikes), given_)
    for a, e in zip(found, expected, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-12, atol=1e-12)
        assert e.abs().max() > 0


def test_the_loop_passes_gradcheck_with_a_smooth_spike():
    """Numerical differentiation of the loop: resets are decided by u > θ0, and stay put nearby."""
    current, b, bias = inputs((2, 8, 4))
    fired = lif_loop((current + bias) + b, PARAMS, AtanSpike())[0].mean()
    assert 0.1 < fired < 0.9  # resets take part

    def smooth(*x: Tensor) -> Tensor:
        return lif_loop((x[0] + x[2]) + x[1], PARAMS, SmoothSpike())[0]

    assert torch.autograd.gradcheck(smooth, (current, b, bias))


def test_the_fused_gradient_is_that_of_the_smooth_loop():
    """The kernel's backward is the derivative of the smooth loop, which gradcheck has checked."""
    given_ = inputs((2, 6, 3))
    current, b, bias = given_
    spikes, _ = lif_sequence(current, PARAMS, AtanSpike(ALPHA), threshold_current=b, bias=bias)
    found = torch.autograd.grad(weighted_sum(spikes), given_)
    smooth, _ = lif_loop((current + bias) + b, PARAMS, SmoothSpike(ALPHA))
    expected = torch.autograd.grad(weighted_sum(smooth), given_)
    for a, e in zip(found, expected, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-12, atol=1e-12)


def test_gradient_of_the_surrogate_is_snntorchs_in_float32():
    current = inputs((2, 9, 20), dtype=torch.float32)[0]
    found, *_ = torch.autograd.grad(
        weighted_sum(lif_sequence(current, PARAMS, AtanSpike())[0]), current
    )
    heaviside = surrogate.atan(alpha=ALPHA)
    expected, *_ = torch.autograd.grad(
        weighted_sum(lif_loop(current, PARAMS, heaviside)[0]), current
    )
    torch.testing.assert_close(found, expected)


def test_only_the_loop_can_be_differentiated_twice():
    current = inputs((1, 4, 2))[0]

    def second(fused: bool) -> Tensor:
        spikes, _ = lif_sequence(current, PARAMS, AtanSpike(), fused=fused)
        first = torch.autograd.grad(weighted_sum(spikes), current, create_graph=True)[0]
        return torch.autograd.grad(first.square().sum(), current)[0]

    assert second(fused=False).abs().max() > 0
    with pytest.raises(RuntimeError, match="pass fused=False"):
        second(fused=True)


def test_the_kernel_runs_and_another_spike_function_takes_the_loop(
    lif_device: str, monkeypatch: pytest.MonkeyPatch
):
    called, kernels = [], lif_fused.KERNELS[lif_device]
    forward = kernels.forward
    monkeypatch.setattr(kernels, "forward", lambda *a: (called.append(1), forward(*a))[1])
    current = torch.randn(1, 3, 4)
    lif_sequence(current, PARAMS, SmoothSpike())
    lif_sequence(current, PARAMS, AtanSpike(), fused=False)
    assert not called
    lif_sequence(current, PARAMS, AtanSpike())
    assert called


def test_memory_is_reused_only_when_allowed_and_autograd_is_told():
    weight = torch.randn(8, 8, requires_grad=True)
    current = torch.randn(2, 5, 8) @ weight
    before = current.detach().clone()
    lif_sequence(current, PARAMS, AtanSpike())
    assert torch.equal(current, before)
    square = current.square()  # saved current for its own gradient
    _, membranes = lif_sequence(current, PARAMS, AtanSpike(), overwrite=True)
    assert membranes.data_ptr() == current.data_ptr()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.sum().backward()


def test_strided_and_expanded_tensors():
    current = torch.randn(7, 3, 5, dtype=torch.float64).transpose(0, 1)  # (B,S,N), not contiguous
    b = torch.zeros(1, dtype=torch.float64).expand(3, 7, 1)
    current.requires_grad_()
    spikes, _ = lif_sequence(current, PARAMS, AtanSpike(), threshold_current=b, overwrite=True)
    expected, _ = lif_loop(current, PARAMS, AtanSpike())
    assert torch.equal(spikes, expected)
    found = torch.autograd.grad(spikes.sum(), current)[0]  # an expanded gradient
    torch.testing.assert_close(found, torch.autograd.grad(expected.sum(), current)[0])

"""The fused LIF against the plain loop: the same bits forward, the same gradient backward."""

import multiprocessing
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from snntorch import surrogate
from torch import Tensor

from mdft import lif_fused, lif_numba
from mdft.lif import lif_sequence
from mdft.neuron import AtanSpike, LIFParams, lif_loop

PARAMS, ALPHA = LIFParams(0.5, 1.0), 2.0


@dataclass(frozen=True)
class SmoothSpike:
    """½ + arctan(π α x / 2)/π: smooth, and its derivative is the arctangent surrogate."""

    alpha: float = ALPHA

    def __call__(self, x: Tensor) -> Tensor:
        return 0.5 + torch.atan(torch.pi / 2 * self.alpha * x) / torch.pi


def inputs(
    shape: tuple[int, int, int], *, per_neuron: bool = False, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    B, S, N = shape
    current = torch.randn(B, S, N, dtype=dtype) * 0.7 + 0.5
    b = torch.randn(B, S, N if per_neuron else 1, dtype=dtype) * 0.2
    bias = torch.randn(N, dtype=dtype) * 0.1
    return tuple(x.requires_grad_() for x in (current, b, bias))  # type: ignore[return-value]


def weighted_sum(spikes: Tensor, seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (spikes * torch.randn(spikes.shape, generator=generator).to(spikes.dtype)).sum()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 30), st.integers(1, 70)),
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
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 17, 33), (2, 40, 64)])
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


def test_the_kernel_runs_and_another_spike_function_takes_the_loop(monkeypatch: pytest.MonkeyPatch):
    called = []
    kernel = lif_numba.forward
    monkeypatch.setattr(lif_numba, "forward", lambda *a: (called.append(1), kernel(*a)))
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


def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lif_fused, "GRAIN", 1)
    given_ = inputs((5, 9, 16), dtype=torch.float32)
    results, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            current, b, bias = given_
            spikes, membranes = lif_sequence(
                current, PARAMS, AtanSpike(), threshold_current=b, bias=bias
            )
            results.append((spikes, membranes, *torch.autograd.grad(weighted_sum(spikes), given_)))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(a, e) for a, e in zip(result, results[0], strict=True))


def _mean_in_child(queue: multiprocessing.Queue) -> None:
    torch.set_num_threads(2)
    queue.put(lif_sequence(torch.ones(4, 3, 2), PARAMS, AtanSpike())[0].mean().item())


def test_a_forked_child_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lif_fused, "GRAIN", 1)
    lif_fused.over_samples(lambda *block: None, 4, 4)  # the parent's pool has started
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = lif_sequence(torch.ones(4, 3, 2), PARAMS, AtanSpike())[0].mean().item()
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=_mean_in_child, args=(queue,))
        child.start()
        found = queue.get(timeout=60)
        child.join(60)
    finally:
        torch.set_num_threads(before)
    assert found == expected
    assert child.exitcode == 0


def test_no_multiplication_is_contracted_into_an_addition():
    lif_sequence(torch.ones(1, 2, 32), PARAMS, AtanSpike())
    fresh = lif_numba.forward.__class__(lif_numba.forward.py_func, targetoptions=_OPTIONS)
    fresh.compile(lif_numba.forward.signatures[0])
    (assembly,) = fresh.inspect_asm().values()
    assert "mul" in assembly
    assert "fmadd" not in assembly and "fmla" not in assembly


_OPTIONS = {"nopython": True, "nogil": True, "error_model": "numpy"}

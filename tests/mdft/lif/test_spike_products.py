"""Sums of the columns that fire, against integers and against the matrix product."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from mdft.lif.sparse import DENSEST, spike_linear
from mdft.model.calibrate import calibrate
from mdft.model.motion import MotionBranch
from tests.mdft.threads import threads

pytestmark = pytest.mark.rounding

DTYPES = [torch.float32, torch.float64]


def drawn(B: int, S: int, features: int, N: int, rate: float, seed: int = 0) -> tuple[Tensor, ...]:
    """Integers: an input in sixteenths and weights in 64ths, of 8 bits each."""
    rng = np.random.default_rng(seed)
    active = rng.random((B, S, features)) < rate
    signal = rng.integers(-127, 128, (B, S, features)) * active
    return torch.from_numpy(signal), torch.from_numpy(rng.integers(-127, 128, (N, features)))


def by_rows(found: Tensor) -> bool:
    """Whether the tensor comes from the sparse product."""
    seen, names = [found.grad_fn], set()
    while seen:
        node = seen.pop()
        if node is not None:
            names.add(node.name())
            seen += [next_node for next_node, _ in node.next_functions]
    return "_SpikeProductBackward" in names


@given(
    B=st.integers(1, 5),
    S=st.integers(1, 7),
    features=st.sampled_from([64, 65, 127, 128, 300]),
    N=st.sampled_from([64, 192]),
    rate=st.sampled_from([0.0, 0.01, 0.1]),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 9),
)
def test_sums_are_those_of_integers(
    B: int, S: int, features: int, N: int, rate: float, dtype: torch.dtype, seed: int
) -> None:
    signal, weight = drawn(B, S, features, N, rate, seed)
    expected = np.einsum("bsf,nf->bsn", signal.numpy(), weight.numpy()) / (16 * 64)
    found = spike_linear((signal / 16).to(dtype), (weight / 64).to(dtype))
    assert found.dtype == dtype
    assert np.array_equal(found.numpy(), expected)


def test_a_row_without_zeros_and_one_of_zeros() -> None:
    signal, weight = drawn(1, 160, 192, 128, 0.0)
    signal[0, 7] = torch.arange(1, 193)
    w = (weight / 64).float().requires_grad_()
    found = spike_linear((signal / 16).float(), w)
    assert by_rows(found)
    expected = signal[0, 7].double() @ weight.double().t() / (16 * 64)
    assert torch.equal(found[0, 7].double(), expected)
    assert not found[0, :7].any() and not found[0, 8:].any()


@given(
    X=st.integers(1, 3),
    S=st.sampled_from([1, 5, 85, 200]),
    features=st.sampled_from([64, 100, 320]),
    N=st.sampled_from([64, 192]),
    rate=st.sampled_from([0.0, 0.01, 0.1]),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 9),
)
def test_gradients_of_integers_are_exact(
    X: int, S: int, features: int, N: int, rate: float, dtype: torch.dtype, seed: int
) -> None:
    signal, weight = drawn(X, S, features, N, rate, seed)
    grad = np.random.default_rng(seed).integers(-99, 100, (X, S, N))
    x, w = signal.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_()
    spike_linear(x, w).backward(torch.from_numpy(grad).to(dtype))
    assert x.grad is not None and w.grad is not None
    assert np.array_equal(w.grad.numpy(), np.einsum("bsn,bsf->nf", grad, signal.numpy()))
    assert np.array_equal(x.grad.numpy(), np.einsum("bsn,nf->bsf", grad, weight.numpy()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 5, 64, 128), (16, 10, 128, 128), (8, 30, 512, 384)])
def test_bits_are_those_of_the_matrix_product_and_gradients_its_values(
    shape: tuple[int, int, int, int], dtype: torch.dtype
) -> None:
    signal, weight = drawn(*shape, rate=0.08)
    x, w = (signal / 16).to(dtype).requires_grad_(), (weight / 64).to(dtype).requires_grad_()
    grad = torch.randn(
        *shape[:2], shape[3], dtype=dtype, generator=torch.Generator().manual_seed(0)
    )
    ours, theirs = spike_linear(x, w), F.linear(x, w)
    assert by_rows(ours) and not by_rows(theirs)
    assert torch.equal(ours, theirs)
    found = torch.autograd.grad(ours, (x, w), grad)
    expected = torch.autograd.grad(theirs, (x, w), grad)
    assert torch.equal(found[0], expected[0])
    exact = torch.einsum("bsn,bsf->nf", grad.double(), x.detach().double())
    # The size of the terms of each sum, and of its rounding at every one of a few hundred steps.
    scale = torch.einsum("bsn,bsf->nf", grad.double().abs(), x.detach().double().abs())
    for gradient in found[1], expected[1]:
        assert ((gradient - exact).abs() <= 8 * torch.finfo(dtype).eps * scale).all()


def test_bytes_are_taken_as_they_are() -> None:
    signal, weight = drawn(3, 250, 100, 128, 0.1)
    found = []
    for x in (signal.abs().to(torch.uint8), signal.abs().float(), 3 * signal.abs().float()):
        w = (weight / 64).float().requires_grad_()
        out = spike_linear(x, w)
        assert by_rows(out)
        out.backward(torch.ones_like(out))
        found.append((out, w.grad))
    (out, grad), (expected, other), (thrice, _) = found
    assert torch.equal(out, expected) and torch.equal(grad, other)
    assert torch.equal(3 * out, thrice)
    dense = spike_linear(torch.full((1, 1, 100), 255, dtype=torch.uint8), (weight / 64).float())
    assert torch.equal(dense[0, 0], 255 * (weight / 64).float().sum(1))


def test_it_can_be_differentiated_twice() -> None:
    signal, weight = drawn(2, 2, 64, 128, rate=0.05)
    x, w = (signal / 64).double().requires_grad_(), (weight / 64).double().requires_grad_()
    first = torch.autograd.grad((spike_linear(x, w) ** 2).sum(), w, create_graph=True)[0]
    second = torch.autograd.grad((first * w).sum(), w)[0]
    # The gradient of |x wᵀ|² is 2 w xᵀx, and that of its product with w twice as much.
    flat = x.detach().flatten(0, 1)
    assert torch.allclose(second, 4 * w.detach() @ flat.t() @ flat)


def test_gradients_that_numpy_cannot_read_take_the_matrix_product() -> None:
    signal, weight = drawn(2, 30, 128, 128, rate=0.05)
    x, w = (signal / 16).double(), (weight / 64).double().requires_grad_()
    found = spike_linear(x, w)
    assert by_rows(found)
    grads = torch.randn(3, 2, 30, 128, dtype=torch.float64)
    expected = torch.einsum("kbsn,bsf->knf", grads, x)
    batched = torch.autograd.grad(found, w, grads, is_grads_batched=True, retain_graph=True)[0]
    assert torch.allclose(batched, expected)
    negative = torch.complex(grads[0], grads[0]).conj().imag  # a view with a bit for its sign
    assert negative.is_neg()
    negated = torch.autograd.grad(found, w, negative)[0]
    assert torch.allclose(negated, -expected[0])


@pytest.mark.parametrize(
    "features,N,rate,transposed",
    [(64, 128, 2 * DENSEST, False), (63, 128, 0.05, False), (64, 100, 0.05, False),
     (64, 128, 0.05, True)],
)  # fmt: skip
def test_the_rest_takes_the_matrix_product(
    features: int, N: int, rate: float, transposed: bool
) -> None:
    signal, weight = drawn(8, 40, features, N, rate)
    x, w = (signal / 16).float(), (weight / 64).float().requires_grad_()
    if transposed:
        x = x.transpose(0, 1)
    found = spike_linear(x, w)
    assert not by_rows(found)
    assert torch.equal(found, F.linear(x, w))


def test_threads_do_not_change_a_bit() -> None:
    signal, weight = drawn(64, 60, 128, 256, 0.1)
    x, w = (signal / 16).float(), (weight / 64).float().requires_grad_()
    grad = torch.randn(64, 60, 256, generator=torch.Generator().manual_seed(0))
    found = []
    for number in 1, 3:
        with threads(number):
            out = spike_linear(x, w)
            assert by_rows(out)
            found += [(out, *torch.autograd.grad(out, w, grad))]
    for one, three in zip(*found, strict=True):
        assert torch.equal(one, three)


def test_what_is_no_number_is_not_lost() -> None:
    signal, weight = drawn(1, 32, 64, 128, 0.05)
    x = (signal / 16).float()
    x[0, 3, 5] = torch.nan
    w = (weight / 64).float().requires_grad_()
    found = spike_linear(x, w)
    assert by_rows(found)
    assert found[0, 3].isnan().all() and not found[0, 4:].isnan().any()


def test_the_motion_branch_takes_it_and_its_layers_stay_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    branch = MotionBranch(128, 128, 3)
    x_BSF = (torch.rand(4, 20, 128) < 0.1).float()
    theta_BS1 = 1 + 0.2 * torch.rand(4, 20, 1)
    calibrate(branch, x_BSF, branch.threshold_current(theta_BS1), rate=0.1)
    trace = branch.trace(x_BSF, theta=theta_BS1)
    assert by_rows(trace[0][0])
    monkeypatch.setattr("mdft.model.motion.spike_linear", F.linear)
    plain = branch.trace(x_BSF, theta=theta_BS1)
    assert 0 < trace[-1][0].mean() < 0.5
    for (spikes, membranes), (other, others) in zip(trace, plain, strict=True):
        assert torch.equal(spikes, other) and torch.equal(membranes, others)

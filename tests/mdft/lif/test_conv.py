"""A convolution, its neurons and the pooling in one pass, against torch's separate operations."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from mdft.errors import UserError
from mdft.lif import threads as loops
from mdft.lif.conv import DENSEST, Convolution, conv_lif, supports
from mdft.lif.layer import lif_sequence
from mdft.lif.neuron import AtanSpike, LIFParams
from tests.mdft.threads import threads

ALPHA = 2.0
#: Floating point, and Loihi's integers; weights are multiples of 1/64.
ARITHMETICS = [LIFParams(0.9375, 1.0 + 2.0**-20), LIFParams(0.75, 1.0, 2.0**-13)]


def sizes(
    channels: int,
    sides: tuple[int, int],
    outputs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    before: tuple[int, int] = (0, 0),
    window: tuple[int, int] | None = None,
) -> Convolution:
    height, width = (
        (n + 2 * b - k) // s + 1 for n, b, k, s in zip(sides, before, kernel, stride, strict=True)
    )
    shape = channels, *sides
    return Convolution(shape, (outputs, height, width), kernel, stride, before, window)


#: The two convolutions of the network in docs/tonic.md, and what is odd in every respect.
CASES = {
    "first": sizes(2, (34, 34), 16, (5, 5), (2, 2), (2, 2), (2, 2)),
    "second": sizes(16, (8, 8), 32, (3, 3), (1, 1), (1, 1), (2, 2)),
    "no pooling": sizes(3, (9, 11), 5, (3, 3), (1, 1), (1, 1)),
    "oblong": sizes(2, (12, 9), 7, (2, 5), (3, 2), (1, 4), (2, 1)),
    "one pixel": sizes(4, (7, 10), 3, (1, 1)),
    "stride above the kernel": sizes(2, (15, 14), 6, (2, 1), (4, 3), (0, 0)),
    "padding above the kernel": sizes(1, (8, 9), 2, (3, 3), (2, 2), (5, 4), (3, 2)),
}


def drawn(
    conv: Convolution, B: int, S: int, rate: float, *, last: bool, dtype: torch.dtype, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Counts of events, weights and biases on the grid 1/64; channels last in memory or not."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.poisson(torch.full((B, S, *conv.inputs), rate), generator).to(dtype)
    if last:
        x = x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    shape = conv.outputs[0], conv.inputs[0], *conv.kernel
    weight = torch.randint(-127, 128, shape, generator=generator).to(dtype) / 64
    bias = torch.randint(-9, 10, (math.prod(conv.outputs),), generator=generator).to(dtype) / 64
    return x, weight, bias


def separate(
    x: Tensor, weight: Tensor, bias_N: Tensor, conv: Convolution, params: LIFParams
) -> tuple[Tensor, Tensor]:
    """The same by conv2d, lif_sequence and avg_pool2d, neurons in the order of torch."""
    B, S = x.shape[:2]
    channels, height, width = conv.outputs
    current = F.conv2d(x.flatten(0, 1), weight, None, conv.stride, conv.before)
    own_N = bias_N.view(height, width, channels).permute(2, 0, 1).flatten()
    current_BSN = current.unflatten(0, (B, S)).flatten(2).contiguous()
    spikes_BSN, membranes_BSN = lif_sequence(current_BSN, params, AtanSpike(ALPHA), bias=own_N)
    spikes, membranes = (z.unflatten(2, conv.outputs) for z in (spikes_BSN, membranes_BSN))
    if conv.window is not None:
        pooled = F.avg_pool2d(spikes.flatten(0, 1), conv.window, divisor_override=1)
        spikes = pooled.unflatten(0, (B, S))
    return spikes, membranes


def check(
    conv: Convolution, params: LIFParams, given: tuple[Tensor, Tensor, Tensor], tolerance: float
) -> None:
    """Equal spikes and membranes; gradients up to rounding, relative to the largest of them."""
    x, weight, bias = (a.requires_grad_() for a in given)
    ours = conv_lif(x, weight, conv, params, ALPHA, bias_N=bias)
    theirs = separate(x, weight, bias, conv, params)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not ours[1].requires_grad
    grad = torch.randn(ours[0].shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad(ours[0], (x, weight, bias), grad)
    expected = torch.autograd.grad(theirs[0], (x, weight, bias), grad)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert (a - b).abs().max() <= tolerance * b.abs().max()


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("params", ARITHMETICS)
@pytest.mark.parametrize("case", CASES)
def test_spikes_are_those_of_separate_operations_and_gradients_too(
    case: str, params: LIFParams, last: bool
):
    conv = CASES[case]
    given = drawn(conv, 3, 5, 0.1, last=last, dtype=torch.float64)
    assert conv_lif(given[0], given[1], conv, params, ALPHA)[0].any()
    check(conv, params, given, 1e-13)


@given(data=st.data(), seed=st.integers(0, 99), last=st.booleans())
@settings(deadline=None, max_examples=60)
def test_any_sizes(data: st.DataObject, seed: int, last: bool):
    def pair(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.integers(low, high)), data.draw(st.integers(low, high))

    window = data.draw(st.sampled_from([None, (1, 1), (2, 2), (2, 3)]))
    given_ = pair(8, 13), data.draw(st.integers(1, 20)), pair(1, 5), pair(1, 3), pair(0, 3), window
    conv = sizes(data.draw(st.integers(1, 4)), *given_)
    if min(math.prod(conv.inputs), math.prod(conv.outputs)) < 64 or 0 in conv.pooled:
        return
    B, S = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    rate = data.draw(st.sampled_from([0.0, 0.02, 0.15, 2.0]))
    given = drawn(conv, B, S, rate, last=last, dtype=torch.float64, seed=seed)
    check(conv, ARITHMETICS[seed % 2], given, 1e-12)


@pytest.mark.parametrize("case", ["first", "second"])
def test_rounding_of_float32_is_that_of_the_separate_operations(case: str):
    conv, params = CASES[case], ARITHMETICS[0]
    given = drawn(conv, 4, 10, 0.08, last=True, dtype=torch.float32)
    check(conv, params, given, 1e-5)
    grad = torch.randn(4, 10, *conv.pooled, generator=torch.Generator().manual_seed(1))
    gradients = {}
    for dtype in torch.float32, torch.float64:
        x, weight, bias = (a.detach().to(dtype) for a in given)
        weight.requires_grad_()
        for f in conv_lif, separate:
            out, _ = (
                conv_lif(x, weight, conv, params, ALPHA, bias_N=bias)
                if f is conv_lif
                else separate(x, weight, bias, conv, params)
            )
            (gradients[dtype, f],) = torch.autograd.grad(out, weight, grad.to(dtype))
    exact = gradients[torch.float64, separate]
    for f in conv_lif, separate:
        assert (gradients[torch.float32, f] - exact).abs().max() < 1e-6 * exact.abs().max()


def test_bytes_are_taken_as_they_are():
    conv, found = CASES["first"], []
    x, weight, _ = drawn(conv, 3, 5, 0.1, last=False, dtype=torch.float32)
    assert supports(x.byte(), conv)
    for signal in x, x.byte():
        w = weight.detach().requires_grad_()
        out, membranes = conv_lif(signal, w, conv, ARITHMETICS[1], ALPHA)
        out.sum().backward()
        found.append((out, membranes, w.grad))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_the_input_gets_no_gradient_that_nobody_needs(monkeypatch: pytest.MonkeyPatch):
    conv = CASES["first"]
    x, weight, _ = drawn(conv, 2, 3, 0.05, last=False, dtype=torch.float32)
    out, _ = conv_lif(x, weight.requires_grad_(), conv, ARITHMETICS[0], ALPHA)

    def refused(*given: object) -> None:
        raise AssertionError("the gradient of the input was computed")

    monkeypatch.setattr(torch.ops.aten, "convolution_backward", refused)
    out.sum().backward()
    assert weight.grad is not None and weight.grad.any()


def test_threads_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loops, "GRAIN", 1)
    conv = CASES["second"]
    given = drawn(conv, 7, 4, 0.1, last=True, dtype=torch.float32)
    found = []
    for number in 1, 3:
        x, weight, bias = (a.detach().requires_grad_() for a in given)
        with threads(number):
            out, membranes = conv_lif(x, weight, conv, ARITHMETICS[1], ALPHA, bias_N=bias)
            grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(0))
            found.append((out, membranes, *torch.autograd.grad(out, (x, weight, bias), grad)))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_membranes_beyond_24_bits_are_refused():
    conv = CASES["first"]
    x, weight, _ = drawn(conv, 1, 3, 0.1, last=False, dtype=torch.float32)
    params = LIFParams(0.75, 1.0, 2.0**-23)
    with pytest.raises(UserError, match=r"name: \d+ currents and membranes reach"):
        conv_lif(x, weight, conv, params, ALPHA, name="name")


def test_it_cannot_be_differentiated_twice():
    conv = CASES["no pooling"]
    x, weight, _ = drawn(conv, 1, 2, 0.1, last=False, dtype=torch.float32)
    out, _ = conv_lif(x, weight.requires_grad_(), conv, ARITHMETICS[0], ALPHA)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(out.sum(), weight, create_graph=True)


def test_what_it_supports():
    conv = CASES["first"]
    few, _, _ = drawn(conv, 2, 3, 0.05, last=False, dtype=torch.float32)
    assert supports(few, conv) and supports(few.double(), conv)
    many, _, _ = drawn(conv, 2, 3, 3 * DENSEST, last=False, dtype=torch.float32)
    assert not supports(many, conv)
    assert not supports(few.half(), conv)
    assert not supports(few[:0], conv)
    assert not supports(few.to("meta"), conv)
    small = sizes(2, (5, 5), 3, (3, 3))
    assert not supports(torch.zeros(1, 1, 2, 5, 5), small)

"""The LIF as a module for other people's models."""

import math
from collections.abc import Callable

import pytest
import snntorch
import torch
from snntorch import surrogate
from torch import Tensor

from mdft.lif.layer import DynamicThresholdLIF, LIFState

pytestmark = pytest.mark.rounding


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("per_neuron", [False, True])
def test_dynamic_threshold_lif_against_its_definition(fused: bool, per_neuron: bool):
    """v ← βv + I; spike where v > θ(t), then v ← δ(t): plain loops in float64, dyadic values."""
    B, S, N, beta, theta_0 = 3, 25, 6, 0.5, 0.75
    current = torch.randint(-20, 50, (B, S, N)).double() / 32
    theta = torch.randint(20, 60, (B, S, N if per_neuron else 1)).double() / 32
    found = DynamicThresholdLIF(beta, theta_0, fused=fused)(current, theta)
    for i in range(B):
        for n in range(N):
            v = 0.0
            for t in range(S):
                threshold = theta[i, t, n if per_neuron else 0].item()
                v = beta * v + current[i, t, n].item()
                fired = v > threshold
                v = threshold - theta_0 if fired else v
                assert found[i, t, n].item() == fired
    assert 0.05 < found.mean() < 0.95


def test_dynamic_threshold_lif_sends_a_gradient_to_the_threshold():
    current = (torch.randn(2, 8, 5).double() * 0.7 + 0.5).requires_grad_()
    theta = (1 + 0.3 * torch.rand(2, 8, 1)).double().requires_grad_()
    weight = torch.randn(2, 8, 5).double()
    grads = [
        torch.autograd.grad(
            (DynamicThresholdLIF(fused=fused)(current, theta) * weight).sum(), (current, theta)
        )
        for fused in (True, False)
    ]
    for a, e in zip(*grads, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-12, atol=1e-12)
        assert e.abs().max() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": 1.0}, "beta is 1.0"),
        ({"theta_0": 0.0}, "theta_0 is 0.0"),
        ({"theta_0": float("inf")}, "theta_0 is inf"),
        ({"alpha": float("nan")}, "alpha is nan"),
    ],
)
def test_impossible_neurons_are_refused(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        DynamicThresholdLIF(**arguments)


def test_wrong_shapes_are_named():
    lif = DynamicThresholdLIF()
    with pytest.raises(ValueError, match=r"shape \(2, 3\), expected \(2, 3, 1\) or \(2, 3, 4\)"):
        lif(torch.zeros(2, 3, 4), torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"current has shape \(3, 4\)"):
        lif(torch.zeros(3, 4), torch.ones(3, 1))


def test_autocast_and_half_precision_inputs_stay_in_float32():
    current = torch.randint(-30, 60, (2, 30, 40)).bfloat16() / 32  # exact in bfloat16
    theta = torch.randint(20, 60, (2, 30, 1)).bfloat16() / 32
    expected = DynamicThresholdLIF()(current.float(), theta.float())
    assert torch.equal(DynamicThresholdLIF()(current, theta), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(DynamicThresholdLIF()(current.float(), theta.float()), expected)
    assert expected.dtype == torch.float32
    assert 0.05 < expected.mean() < 0.95


def driven(B: int, S: int, N: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Current and a moving threshold that lie on no grid; the neurons fire."""
    generator = torch.Generator().manual_seed(4)
    current = 0.4 + torch.randn(B, S, N, generator=generator, dtype=dtype)
    return current, 1 + 0.5 * torch.rand(B, S, 1, generator=generator, dtype=dtype)


#: θ of each step, from the moving one (B,S,1) and the current (B,S,N).
THETAS: dict[str, Callable[[Tensor, Tensor], Tensor | float | None]] = {
    "constant θ0": lambda theta, current: None,
    "a number": lambda theta, current: 1.3,
    "moving": lambda theta, current: theta,
    "moving for each neuron": lambda theta, current: theta + 0.1 * current.cos(),
}


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("parts", [[7, 13], [1] * 20, [19, 1]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sequence_in_parts_is_the_sequence_at_once(
    fused: bool, theta: str, parts: list[int], dtype: torch.dtype
):
    """Spikes and membranes bit for bit: the first step's threshold current needs δ before it."""
    current, moving = driven(3, 20, 6, dtype)
    given = THETAS[theta](moving, current)
    lif = DynamicThresholdLIF(0.8, 1.1, fused=fused)
    whole = lif.trace(current, given)
    assert 0.1 < whole.spikes_BSN.mean() < 0.9
    spikes, membranes, state, start = [], [], None, 0
    for steps in parts:
        part = slice(start, start + steps)
        theta_now = given[:, part] if isinstance(given, Tensor) else given
        found = lif.trace(current[:, part], theta_now, state=state)
        only, state_of_call = lif(current[:, part], theta_now, state=state, return_state=True)
        assert torch.equal(only, found.spikes_BSN)
        for a, e in zip(state_of_call, found.state, strict=True):
            assert torch.equal(a, e)
        spikes.append(found.spikes_BSN)
        membranes.append(found.membrane_BSN)
        state, start = found.state, start + steps
    assert torch.equal(torch.cat(spikes, 1), whole.spikes_BSN)
    assert torch.equal(torch.cat(membranes, 1), whole.membrane_BSN)
    assert state is not None
    for a, e in zip(state, whole.state, strict=True):
        assert torch.equal(a, e)
    # The state decides: from rest the later part differs.
    last = slice(20 - parts[-1], 20)
    theta_last = given[:, last] if isinstance(given, Tensor) else given
    assert not torch.equal(lif(current[:, last], theta_last), whole.spikes_BSN[:, last])


def test_the_state_goes_from_one_threshold_to_one_of_each_neuron_and_back():
    current, theta = driven(2, 12, 5)
    theta_BSN = theta.expand(2, 12, 5)
    lif = DynamicThresholdLIF()
    whole = lif(current, theta)
    state, spikes = None, []
    for i, part in enumerate((slice(0, 4), slice(4, 8), slice(8, 12))):
        given = (theta, theta_BSN, theta)[i][:, part]
        found, state = lif(current[:, part], given, state=state, return_state=True)
        spikes.append(found)
    assert torch.equal(torch.cat(spikes, 1), whole)


@pytest.mark.parametrize("fused", [True, False])
def test_gradients_pass_through_the_state_and_the_membranes(fused: bool):
    """In two parts as at once, and as autograd finds them in plain steps of the v-form."""
    current, theta = (x.requires_grad_() for x in driven(2, 10, 4, torch.float64))
    generator = torch.Generator().manual_seed(5)
    weight, other = torch.randn(2, 2, 10, 4, generator=generator, dtype=torch.float64)
    beta, theta_0 = 0.75, 1.0
    lif = DynamicThresholdLIF(beta, theta_0, fused=fused)

    def at_once() -> tuple[Tensor, Tensor]:
        return lif.trace(current, theta)[:2]

    def in_parts() -> tuple[Tensor, Tensor]:
        first = lif.trace(current[:, :6], theta[:, :6])
        second = lif.trace(current[:, 6:], theta[:, 6:], state=first.state)
        return tuple(torch.cat(pair, 1) for pair in zip(first[:2], second[:2], strict=True))  # type: ignore

    def plainly() -> tuple[Tensor, Tensor]:
        v, spikes, membranes = torch.zeros(2, 4, dtype=torch.float64), [], []
        for t in range(10):
            v = beta * v + current[:, t]
            spikes.append(lif.spike(v - theta[:, t]))
            membranes.append(v)
            v = torch.where(v.detach() > theta[:, t].detach(), theta[:, t] - theta_0, v)
        return torch.stack(spikes, 1), torch.stack(membranes, 1)

    found = []
    for run in (at_once, in_parts, plainly):
        spikes, membranes = run()
        loss = (spikes * weight).sum() + (membranes * other).sum()
        found.append(torch.autograd.grad(loss, (current, theta)))
    assert 0.1 < spikes.mean() < 0.9
    for grads in found[:2]:
        for a, e in zip(grads, found[2], strict=True):
            assert e.abs().max() > 0.1
            torch.testing.assert_close(a, e, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("fused", [True, False])
def test_membranes_alone_and_the_last_state_alone_can_be_differentiated(fused: bool):
    """Without a spike v is linear: ∂v(t)/∂I(t') = β^(t−t')."""
    current = torch.zeros(1, 4, 2, dtype=torch.float64, requires_grad=True)
    lif = DynamicThresholdLIF(0.5, fused=fused)
    expected = torch.tensor([0.125, 0.25, 0.5, 1.0], dtype=torch.float64)
    for last in (lif.trace(current).membrane_BSN[:, -1], lif.trace(current).state.u_BN):
        (grad,) = torch.autograd.grad(last[0, 1], current)
        torch.testing.assert_close(grad[0, :, 1], expected)
        assert not grad[0, :, 0].any()


def test_it_is_snntorchs_leaky_step_by_step_at_a_constant_threshold():
    """Reset to zero without delay: the same spikes, and the same membrane in its own name."""
    current, _ = driven(3, 20, 6)
    ours = DynamicThresholdLIF(0.75, 1.25)
    peer = snntorch.Leaky(
        0.75, threshold=1.25, reset_mechanism="zero", reset_delay=False, spike_grad=surrogate.atan()
    )
    state, membrane = None, torch.zeros(3, 6)
    for step in current.split(1, dim=1):
        spikes, state = ours(step, state=state, return_state=True)
        expected, membrane = peer(step[:, 0], membrane)
        assert torch.equal(spikes[:, 0], expected)
        torch.testing.assert_close(state.u_BN, membrane)


def test_the_threshold_broadcasts():
    current, _ = driven(3, 8, 5)
    lif = DynamicThresholdLIF()
    assert torch.equal(lif(current), lif(current, torch.ones(3, 8, 1)))
    assert torch.equal(lif(current, theta=1.0), lif(current))
    for theta in (1.5, torch.tensor(1.5), torch.full((1,), 1.5), torch.full((1, 8, 1), 1.5)):
        assert torch.equal(lif(current, theta), lif(current, torch.full((3, 8, 1), 1.5)))
    for theta in (torch.rand(5), torch.rand(1, 5), torch.rand(3, 1, 5), torch.rand(8, 1)):
        width = theta.shape[-1]
        assert torch.equal(lif(current, theta), lif(current, theta.expand(3, 8, width).clone()))
    assert not torch.equal(lif(current, 1.5), lif(current))
    learned = torch.ones(5, requires_grad=True)
    lif(current, learned).sum().backward()
    assert learned.grad is not None and learned.grad.abs().min() > 0


def test_a_float_threshold_keeps_its_digits_in_float64():
    current = torch.full((1, 1, 1), 0.1 + 1e-12, dtype=torch.float64)  # between float32 numbers
    assert DynamicThresholdLIF()(current, theta=0.1).item() == 1
    assert DynamicThresholdLIF()(current, theta=0.1 + 2e-12).item() == 0


def test_it_stands_in_a_sequence_of_layers_and_learns():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(8, 16),
        DynamicThresholdLIF(),
        torch.nn.Linear(16, 2),
        DynamicThresholdLIF(0.75),
    )
    x = torch.rand(16, 12, 8)
    label = (x.mean((1, 2)) > 0.5).long()
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(network(x).sum(1), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_a_state_of_another_batch_is_refused():
    lif = DynamicThresholdLIF()
    _, state = lif(torch.zeros(2, 3, 4), return_state=True)
    with pytest.raises(ValueError, match=r"shapes \(2, 4\) and \(2, 1\), expected \(5, 4\) and"):
        lif(torch.zeros(5, 3, 4), state=state)
    with pytest.raises(ValueError, match="state has shapes"):
        lif(torch.zeros(2, 3, 4), state=LIFState(torch.zeros(2, 4), torch.zeros(2, 3)))


def test_no_call_writes_into_the_state_it_is_given():
    current, theta = driven(2, 6, 4)
    lif = DynamicThresholdLIF()
    _, state = lif(current, theta, return_state=True)
    before = [x.clone() for x in state]
    assert math.isfinite(state.u_BN.abs().max()) and state.u_BN.any()
    lif(current, theta, state=state)
    for x, old in zip(state, before, strict=True):
        assert torch.equal(x, old)


def test_its_line_shows_its_constants():
    assert repr(DynamicThresholdLIF()) == "DynamicThresholdLIF(beta=0.5, theta_0=1.0, alpha=2.0)"
    assert repr(DynamicThresholdLIF(0.25, fused=False)).endswith("alpha=2.0, fused=False)")

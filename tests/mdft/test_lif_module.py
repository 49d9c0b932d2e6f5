"""The LIF as a module for other people's models."""

import pytest
import torch

from mdft.lif.layer import DynamicThresholdLIF

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

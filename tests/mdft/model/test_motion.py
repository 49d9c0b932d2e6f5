"""One pathway of the motion branch against plain loops in float64."""

import numpy as np
import pytest
import torch

from mdft.lif.grid import GRID, GRID_MAX
from mdft.model.calibrate import calibrate
from mdft.model.motion import MotionBranch

pytestmark = pytest.mark.rounding


def make(features: int = 24, neurons: int = 32) -> tuple[MotionBranch, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    branch = MotionBranch(features, neurons, 3)
    x_BSF = torch.randint(0, 40, (6, 20, features)) / 16 * (torch.rand(6, 20, features) < 0.4)
    theta_BS1 = 1.0 + 0.8 * torch.rand(6, 20, 1)
    current_BS1 = branch.threshold_current(theta_BS1).detach()
    calibrate(branch, x_BSF, current_BS1, rate=0.15)
    return branch, x_BSF, current_BS1


def by_hand(branch: MotionBranch, x_SF: np.ndarray, current_S: np.ndarray) -> list[np.ndarray]:
    signal, layers = x_SF, []
    for weight, bias in branch.grid_parameters():
        w, b = weight.detach().double().numpy(), bias.detach().double().numpy()
        u, spikes = np.zeros(len(b)), []
        for t in range(len(signal)):
            u = branch.beta * u + w @ signal[t] + b + current_S[t]
            fired = u > branch.v_threshold
            u[fired] = 0.0
            spikes.append(fired)
        signal = np.array(spikes, dtype=np.float64)
        layers.append(signal)
    return layers


def test_every_layer_equals_plain_float64_loops():
    branch, x, current = make()
    for sample in range(len(x)):
        expected = by_hand(
            branch, x[sample].double().numpy(), current[sample, :, 0].double().numpy()
        )
        got = branch.trace(x, threshold_current=current)
        for (spikes, _), layer in zip(got, expected, strict=True):
            assert np.array_equal(spikes[sample].detach().numpy(), layer)
            assert 0.02 < layer.mean() < 0.5


def test_float32_and_float64_agree_in_every_spike():
    branch, x, current = make()
    single = branch(x, threshold_current=current)
    double = branch.double()(x.double(), threshold_current=current.double())
    assert torch.equal(single.double(), double)


def test_trace_gives_the_membrane_before_the_reset():
    branch, x, current = make()
    for spikes, membrane in branch.trace(x, threshold_current=current):
        assert torch.equal(spikes.bool(), membrane > branch.v_threshold)


def test_state_starts_at_rest_for_each_sample_and_is_kept_within_it():
    branch, x, current = make()
    together = branch(x, threshold_current=current)
    assert torch.equal(together, branch(x, threshold_current=current))
    for sample in range(len(x)):
        assert torch.equal(
            branch(x[sample : sample + 1], threshold_current=current[sample : sample + 1])[0],
            together[sample],
        )
    # Within a sample the second half depends on the first: starting there at rest differs.
    assert not torch.equal(branch(x[:, 10:], threshold_current=current[:, 10:]), together[:, 10:])
    # And later input cannot change earlier spikes.
    assert torch.equal(branch(x[:, :10], threshold_current=current[:, :10]), together[:, :10])


def test_what_acts_lies_on_the_grid():
    branch, _, _ = make()
    for parameter in (p for pair in branch.grid_parameters() for p in pair):
        multiples = parameter / GRID
        assert torch.equal(multiples, multiples.round())
        assert multiples.abs().max() <= GRID_MAX


@pytest.mark.parametrize(
    ("x", "current", "message"),
    [
        ((2, 5, 7), (2, 5, 1), r"shape \(2, 5, 7\), expected \(batch, steps, 24\)"),
        ((2, 5, 24), (2, 5), r"shape \(2, 5\), expected \(2, 5, 1\) or \(2, 5, 8\)"),
        ((2, 5, 24), (2, 5, 7), r"shape \(2, 5, 7\), expected \(2, 5, 1\) or \(2, 5, 8\)"),
        ((2, 5, 24), (1, 2, 5, 1), r"shape \(1, 2, 5, 1\), expected \(2, 5, 1\) or"),
    ],
)
def test_wrong_shapes_are_named(x: tuple, current: tuple, message: str):
    with pytest.raises(ValueError, match=message):
        MotionBranch(24, 8)(torch.zeros(x), threshold_current=torch.zeros(current))


@pytest.mark.parametrize(
    "arguments", [{"neurons": 0}, {"beta": 1.0}, {"theta_0": 1.001}, {"layers": 0}]
)
def test_impossible_neurons_are_refused(arguments: dict):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        MotionBranch(**{"features": 4, "neurons": 4, **arguments})


def test_a_moving_threshold_through_three_layers():
    """The θ-form in plain loops (v > θ, v ← δ) against the branch, which runs the u-form."""
    branch, x_BSF, _ = make()
    theta_BS1 = torch.from_numpy(
        1.0 + np.random.default_rng(0).integers(-20, 60, (6, 20, 1)) * GRID
    ).float()
    got = branch.trace(x_BSF, theta=theta_BS1)
    for sample in range(len(x_BSF)):
        delta_S = theta_BS1[sample, :, 0].double().numpy() - 1.0
        signal_SF = x_BSF[sample].double().numpy()
        for (spikes, _), (weight, bias) in zip(got, branch.grid_parameters(), strict=True):
            w, b = weight.detach().double().numpy(), bias.detach().double().numpy()
            v, layer = np.zeros(len(b)), []
            for t, delta in enumerate(delta_S):
                v = branch.beta * v + w @ signal_SF[t] + b
                fired = v > branch.v_threshold + delta
                v[fired] = delta
                layer.append(fired)
            assert np.array_equal(spikes[sample].detach().numpy(), np.array(layer))
            signal_SF = np.array(layer, dtype=np.float64)


def test_eighty_steps_meet_no_tie_and_agree_in_float64():
    branch, _, _ = make()
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.integers(0, 30, (4, 80, 24)) * (rng.random((4, 80, 24)) < 0.1) / 16)
    current = branch.threshold_current(torch.full((4, 80, 1), 1.5)).detach()
    single = branch.trace(x.float(), threshold_current=current)
    double = branch.double().trace(x, threshold_current=current.double())
    for (spikes, membrane), (exact, _) in zip(single, double, strict=True):
        assert torch.equal(spikes.double(), exact)
        assert not (membrane == branch.v_threshold).any()


def test_the_offset_is_reached_only_after_every_bit_of_float32():
    """2⁻¹⁸ alone would be met after 12 leaks of one grid step; its last bit prevents that."""
    branch = MotionBranch(1, 1, 1)
    for wait in range(1, 14):
        u = GRID * 0.5**wait + 1.0
        assert u != branch.v_threshold


def test_the_plain_loop_gives_the_same_bits_and_gradients():
    branch, x, current = make()
    loop = MotionBranch(24, 32, 3, fused=False)
    loop.load_state_dict(branch.state_dict())
    pairs = zip(
        branch.trace(x, threshold_current=current),
        loop.trace(x, threshold_current=current),
        strict=True,
    )
    for (spikes, membrane), (expected_spikes, expected_membrane) in pairs:
        assert torch.equal(spikes, expected_spikes)
        assert torch.equal(membrane, expected_membrane)
    for module in (branch, loop):
        module.double()
        (module(x.double(), threshold_current=current.double()) * torch.arange(32)).sum().backward()
    for a, e in zip(branch.parameters(), loop.parameters(), strict=True):
        assert a.grad is not None and e.grad is not None
        torch.testing.assert_close(a.grad, e.grad, rtol=1e-10, atol=1e-10)


def test_a_threshold_of_each_neuron():
    branch, x, _ = make()
    theta_BS1 = 1 + 0.5 * torch.rand(6, 20, 1)
    shared = branch.trace(x, theta=theta_BS1)
    equal = branch.trace(x, theta=theta_BS1.expand(6, 20, 32))
    for (a, _), (e, _) in zip(equal, shared, strict=True):
        assert torch.equal(a, e)
    # A neuron with a threshold out of reach is silent; the others of its layer do not notice.
    theta_BSN = theta_BS1.repeat(1, 1, 32)
    theta_BSN[..., 5] = 1000.0
    spikes = branch.spikes(x, theta=theta_BSN)[0]
    assert spikes[..., 5].sum() == 0 < shared[0][0][..., 5].sum()
    others = torch.arange(32) != 5
    assert torch.equal(spikes[..., others], shared[0][0][..., others])


def test_autocast_changes_no_spike_and_no_membrane():
    branch, x, _ = make()
    theta_BS1 = 1 + 0.8 * torch.rand(6, 20, 1)
    expected = branch.trace(x, theta=theta_BS1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert branch.linears[0](x).dtype == torch.bfloat16
        found = branch.trace(x, theta=theta_BS1)
    for (a, membrane), (e, expected_membrane) in zip(found, expected, strict=True):
        assert a.dtype == membrane.dtype == torch.float32
        assert torch.equal(a, e)
        assert torch.equal(membrane, expected_membrane)


def test_half_precision_inputs_and_weights_are_cast_up():
    """E_v and the snapped weights have 8 bits, which bfloat16 holds: the same spikes."""
    branch, x, current = make()
    for linear, (weight, bias) in zip(branch.linears, branch.grid_parameters(), strict=True):
        linear.weight.data, linear.bias.data = weight.detach(), bias.detach()
    expected = branch(x, threshold_current=current)
    for module in (branch, branch.bfloat16()):
        found = module(x.bfloat16(), threshold_current=current.bfloat16().float())
        assert found.dtype == torch.float32
    assert torch.equal(x.bfloat16().float(), x)
    assert torch.equal(branch(x.bfloat16(), threshold_current=current), expected)


def test_theta_and_its_current_give_the_same_spikes():
    branch, x, _ = make()
    theta_BS1 = 1 + 0.8 * torch.rand(6, 20, 1)
    current_BS1 = branch.threshold_current(theta_BS1)
    assert torch.equal(branch(x, theta=theta_BS1), branch(x, threshold_current=current_BS1))
    # The mistake that the keywords prevent: θ has the current's shape, and other spikes.
    assert not torch.equal(branch(x, theta=theta_BS1), branch(x, threshold_current=theta_BS1))
    pairs = zip(branch.spikes(x, theta=theta_BS1), branch.trace(x, theta=theta_BS1), strict=True)
    for spikes, (traced, _) in pairs:
        assert torch.equal(spikes, traced)


def test_without_either_the_threshold_is_theta_0():
    branch, x, _ = make()
    expected = branch(x, threshold_current=torch.zeros(6, 20, 1))
    assert torch.equal(branch(x), expected)
    assert torch.equal(branch(x, theta=branch.theta_0), expected)
    assert 0 < expected.mean() < 1


def test_theta_broadcasts():
    branch, x, _ = make()
    expected = branch(x, theta=torch.full((6, 20, 1), 1.25))
    for theta in (1.25, torch.tensor(1.25), torch.full((1, 20, 1), 1.25), torch.full((32,), 1.25)):
        assert torch.equal(branch(x, theta=theta), expected)
    theta_N = 1 + torch.rand(32)
    assert torch.equal(branch(x, theta=theta_N), branch(x, theta=theta_N.expand(6, 20, 32)))
    current_1S1 = branch.threshold_current(1 + torch.rand(1, 20, 1))
    assert torch.equal(
        branch(x, threshold_current=current_1S1),
        branch(x, threshold_current=current_1S1.expand(6, 20, 1)),
    )


@pytest.mark.parametrize("method", ["forward", "spikes", "trace"])
def test_the_threshold_is_given_by_keyword_and_once(method: str):
    branch, x, current = make()
    call = getattr(branch, method)
    with pytest.raises(TypeError, match="positional"):
        call(x, current)
    with pytest.raises(TypeError, match="both theta and threshold_current are given"):
        call(x, theta=1.5, threshold_current=current)


def test_its_line_shows_its_constants():
    assert repr(MotionBranch(4, 3, 1)).splitlines()[1].strip() == (
        "features=4, neurons=3, layers=1, beta=0.5, theta_0=1.0, alpha=2.0"
    )
    other = MotionBranch(4, 3, 1, arithmetic="loihi", weight_bits=4, fused=False).extra_repr()
    assert other.endswith("arithmetic='loihi', weight_bits=4, fused=False")

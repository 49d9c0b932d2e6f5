"""Initialisation on data: it reaches its rate, folds exactly and survives data without events."""

import pytest
import torch
from torch.nn import functional as F

from mdft.model.calibrate import MEAN_BITS, SCALE_BITS, calibrate, coarse_step, fold, significant
from mdft.model.motion import MotionBranch
from tests.mdft.model.test_motion import make

pytestmark = pytest.mark.rounding


def parameters(branch: MotionBranch, layer: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    linear = branch.linears[layer]
    assert isinstance(linear, torch.nn.Linear)
    return linear.weight.detach(), linear.bias.detach()


@pytest.mark.parametrize("rate", [0.05, 0.15, 0.25])
def test_it_reaches_its_rate_in_every_layer(rate: float):
    branch, x, current = make()
    reached = calibrate(branch, x, current, rate=rate)
    for spikes, said in zip(branch.spikes(x, threshold_current=current), reached, strict=True):
        assert said == pytest.approx(rate, rel=0.35)
        assert spikes.mean().item() == pytest.approx(said)


def test_padded_steps_take_no_part():
    branch, x, current = make()
    other, _, _ = make()
    padded = torch.cat([x, torch.full_like(x, 9.0)], dim=1)
    mask = torch.arange(40).expand(6, 40) < 20
    calibrate(branch, x, current)
    calibrate(other, padded, torch.cat([current, current], dim=1), mask_BS=mask)
    for a, e in zip(other.parameters(), branch.parameters(), strict=True):
        assert torch.equal(a, e)


def test_the_fold_is_exact_to_the_last_bit_in_float64_and_lossless_in_float32():
    """Normalising after the Linear and the folded Linear: the same currents, 512 wide."""
    torch.manual_seed(0)
    N = 512
    x_BSF = (torch.randint(0, 256, (8, 40, N)) / 16 * (torch.rand(8, 40, N) < 0.2)).double()
    for scale in (1.0, 0.01):
        weight = torch.randn(N, N).double() * 0.06 * scale
        step = coarse_step(weight)
        weight = torch.round(weight / step) * step
        raw = F.linear(x_BSF, weight)
        mean = significant(torch.round(raw.mean((0, 1)) / step) * step, MEAN_BITS)
        factor = significant(0.7 / raw.std((0, 1)), SCALE_BITS)
        folded, bias = fold(weight, torch.zeros_like(mean), mean, factor)
        assert torch.equal(folded.float().double(), folded)
        assert torch.equal(bias.float().double(), bias)
        normalised = factor * (raw - mean)
        assert torch.equal(F.linear(x_BSF, folded, bias), normalised)
        assert 0.6 < normalised.std() < 0.8


def test_what_calibrate_writes_is_such_a_fold_in_every_layer():
    """W' is s W row by row, b' is −s μ, and the currents are those of normalising afterwards."""
    branch, x, current = make()
    before = [parameters(branch, i)[0].double() for i in range(3)]
    calibrate(branch, x, current)
    signals = [x, *branch.spikes(x, threshold_current=current)]
    for i, weight in enumerate(before):
        after, bias = (p.double() for p in parameters(branch, i))
        step = coarse_step(weight)
        coarse = torch.round(weight / step) * step
        largest = coarse.abs().argmax(1, keepdim=True)
        scale_N1 = after.gather(1, largest) / coarse.gather(1, largest)
        scale, mean = scale_N1[:, 0], -bias / scale_N1[:, 0]
        assert torch.equal(scale, significant(scale, SCALE_BITS))
        assert torch.equal(after, scale_N1 * coarse)
        raw = F.linear(signals[i].double(), coarse)
        normalised = scale * (raw - mean)
        assert torch.equal(F.linear(signals[i].double(), after, bias), normalised)
        # The statistics are those of the batch: no mean left, one deviation for the layer.
        gain = normalised.std((0, 1), correction=0)
        torch.testing.assert_close(gain, gain.mean().expand(32), rtol=0.01, atol=0)
        assert normalised.mean((0, 1)).abs().max() < 1e-3 * gain.mean()


def test_a_warning_names_the_branch():
    branch, x, current = make()
    branch.name = "audio"
    with pytest.warns(UserWarning, match="^audio layer 1, 2, 3: its input"):
        calibrate(branch, torch.zeros_like(x), current)


def test_significant_by_hand():
    # 0b1.01010101·2^k to 4 bits is 0b1.011: 1.33203125 → 1.375; powers of two stay.
    x = torch.tensor([1.33203125, -0.25, 0.0, 333 / 1024], dtype=torch.float64)
    assert significant(x, 4).tolist() == [1.375, -0.25, 0.0, 0.3125]


def test_input_without_events_is_a_warning_and_the_weights_stay():
    branch, x, current = make()
    before = [parameters(branch, i)[0].clone() for i in range(3)]
    with pytest.warns(UserWarning, match="layer 1, 2, 3: its input is constant") as caught:
        reached = calibrate(branch, torch.zeros_like(x), current)
    assert len(caught) == 1
    assert reached == [0.0, 0.0, 0.0]
    for i, weight in enumerate(before):
        assert torch.equal(parameters(branch, i)[0], weight)
        assert parameters(branch, i)[1].abs().sum() == 0


def test_a_neuron_without_input_does_not_break_the_others():
    branch, x, current = make()
    parameters(branch)[0][3] = 0.0
    reached = calibrate(branch, x, current, rate=0.15)
    weight, bias = parameters(branch)
    assert weight[3].abs().sum() == bias[3].abs() == 0
    assert torch.isfinite(weight).all() and torch.isfinite(bias).all()
    spikes = branch.spikes(x, threshold_current=current)[0]
    assert spikes[..., 3].sum() == 0
    others = spikes[..., torch.arange(32) != 3]
    assert others.mean().item() == pytest.approx(0.15, rel=0.35)
    assert reached[0] == pytest.approx(0.15, rel=0.35)


def test_a_rate_out_of_reach_is_a_warning_with_the_rate():
    branch, x, _ = make()
    theta = torch.full((6, 20, 1), 500.0)
    with pytest.warns(UserWarning, match=r"layer 1: fires at 0\.0000 .* expected about 0\.12"):
        assert calibrate(branch, x, branch.threshold_current(theta))[0] == 0.0


@pytest.mark.parametrize("rate", [0.0, 1.0, float("nan")])
def test_impossible_rates_are_refused(rate: float):
    branch, x, current = make()
    with pytest.raises(ValueError, match="expected between 0 and 1"):
        calibrate(branch, x, current, rate=rate)


def test_a_mask_of_nothing_is_refused():
    branch, x, current = make()
    with pytest.raises(ValueError, match="no step"):
        calibrate(branch, x, current, mask_BS=torch.zeros(6, 20, dtype=torch.bool))


def test_autocast_changes_nothing():
    branch, x, current = make()
    other, _, _ = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        calibrate(other, x, current)
    calibrate(branch, x, current)
    for a, e in zip(other.parameters(), branch.parameters(), strict=True):
        assert torch.equal(a, e)


def test_per_neuron_thresholds_are_accepted():
    branch = MotionBranch(24, 32, 2)
    _, x, _ = make()
    theta = 1 + 0.5 * torch.rand(6, 20, 32)
    for reached in calibrate(branch, x, branch.threshold_current(theta), rate=0.1):
        assert reached == pytest.approx(0.1, rel=0.35)

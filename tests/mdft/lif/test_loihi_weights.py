"""Weights of 8 to 2 bits: their steps, their range, their gradient."""

import numpy as np
import pytest
import torch

from mdft.lif.grid import GRID, GRID_MAX
from mdft.lif.loihi import weight_step
from mdft.model.motion import MotionBranch


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_of_few_bits(bits: int):
    torch.manual_seed(0)
    branch = MotionBranch(64, 48, 2, weight_bits=bits)
    for index, scale in enumerate((0.05, 0.3)):
        torch.nn.init.normal_(branch.linear(index).weight, std=scale)
        branch.choose_weight_step(index)
    high = 2 ** (bits - 1) - 1
    for index, (weight, bias) in enumerate(branch.grid_parameters()):
        latent = branch.linear(index).weight.detach().double().numpy()
        errors = {
            GRID * 2**e: ((np.clip(np.round(latent / (GRID * 2**e)), -high, high)
                           * GRID * 2**e - latent) ** 2).sum()
            for e in range(9 - bits)
        }  # fmt: skip
        step = weight_step(branch.linear(index).weight, bits)
        assert errors[step] == min(errors.values())
        k = weight.detach().double().numpy() / step
        assert (k == np.round(k)).all() and np.abs(k).max() <= high
        assert bits > 4 or np.abs(k).max() == high  # few bits use all of their range
        assert np.abs(k * step).max() <= GRID_MAX * GRID
        assert torch.equal(bias / GRID, (bias / GRID).round())


def test_of_equal_steps_the_finest_is_chosen():
    weight = torch.tensor([[2.0, -2.0, 0.0]]) * GRID  # 2 steps of one, 1 of the next
    assert weight_step(weight, 3) == GRID
    assert weight_step(2 * weight, 3) == 2 * GRID


def test_eight_bits_are_what_they_were():
    torch.manual_seed(0)
    branch = MotionBranch(8, 6, 1)
    assert list(branch.state_dict()) == ["linears.0.weight", "linears.0.bias"]
    weight = branch.linear(0).weight.detach()
    expected = torch.clamp(torch.round(weight / GRID), -GRID_MAX, GRID_MAX) * GRID
    assert torch.equal(branch.grid_parameters()[0][0], expected)


def test_the_step_stays_until_it_is_chosen_again_and_is_saved():
    branch = MotionBranch(16, 16, 1, weight_bits=3)
    before = branch.weight_steps_L.clone()
    with torch.no_grad():
        branch.linear(0).weight.mul_(8)
    branch(torch.ones(1, 2, 16))
    assert torch.equal(branch.weight_steps_L, before)
    other = MotionBranch(16, 16, 1, weight_bits=3)
    other.load_state_dict(branch.state_dict())
    assert torch.equal(other.grid_parameters()[0][0], branch.grid_parameters()[0][0])
    branch.choose_weight_step(0)
    assert branch.weight_steps_L.item() > before.item()


def test_a_weight_beyond_its_bits_still_has_a_gradient():
    branch = MotionBranch(4, 4, 1, weight_bits=2)
    with torch.no_grad():
        branch.linear(0).weight.fill_(1.5)  # beyond the one step, within ±127/64
        branch.linear(0).weight[0, 0] = 2.5
    branch.on_grid(0)[0].sum().backward()
    gradient = branch.linear(0).weight.grad
    assert gradient is not None
    assert gradient[0, 0] == 0 and gradient.sum() == 15


@pytest.mark.parametrize("bits", [1, 9])
def test_impossible_bits_are_refused(bits: int):
    with pytest.raises(ValueError, match=f"weight_bits is {bits}, expected 2 to 8"):
        MotionBranch(4, 4, weight_bits=bits)


def test_a_neuron_without_memory_is_refused():
    """Loihi's decay is at most 4095/4096."""
    MotionBranch(4, 4, beta=0.0)
    with pytest.raises(ValueError, match="beta is 0, expected more than 0 with arithmetic loihi"):
        MotionBranch(4, 4, beta=0.0, arithmetic="loihi")

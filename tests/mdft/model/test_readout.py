"""Motion as a value, the space of words and its loss: against NumPy in float64 and by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from mdft.data.dataset import ClipSet
from mdft.model import MDFT
from mdft.model.losses import class_loss
from mdft.model.readout import LinearReadout, RecurrentReadout
from tests.mdft.small import small_model

pytestmark = pytest.mark.rounding

B, T, K, D, LAYERS = 3, 4, 2, 6, 2
PATHWAYS = ("audio", "visual")
MASK_BT = torch.arange(T) < torch.tensor([[4], [2], [3]])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def spikes() -> dict[str, list[torch.Tensor]]:
    return {p: list(torch.rand(LAYERS, B, T * K, D).round().double()) for p in PATHWAYS}


def features() -> tuple[torch.Tensor, torch.Tensor]:
    a_BTD, v_BTD = torch.linspace(0, 1, 2 * B * T * D).double().view(2, B, T, D)
    return a_BTD, v_BTD


def steps(output: dict[str, list[torch.Tensor]]) -> np.ndarray:
    return np.concatenate([x.numpy() for p in PATHWAYS for x in output[p]], -1)


def test_rates_as_a_value():
    """`W ĵ + b`, ĵ normalised over the seconds that exist."""
    readout, output = LinearReadout(D, PATHWAYS, LAYERS, 0.0).double(), spikes()
    rates = steps(output).reshape(B, T, K, LAYERS * 2 * D).mean(2)
    exists = MASK_BT.numpy()
    mean, var = rates[exists].mean(0), rates[exists].var(0)
    linear = readout.layers[2]
    assert isinstance(linear, nn.Linear)
    normed = (rates - mean) / np.sqrt(var + 1e-5)
    expected = normed @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
    expected[~exists] = 0
    found = readout(output, *features(), MASK_BT).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_recurrence_over_the_bins():
    """The gated recurrent unit of Cho et al., bin by bin; the mean of a second's states."""
    readout, output = RecurrentReadout(D, PATHWAYS, LAYERS, 0.0).double(), spikes()
    p = {name: x.detach().numpy() for name, x in readout.named_parameters()}
    a_BTD, v_BTD = features()
    own = np.concatenate([a_BTD, v_BTD], -1) @ p["features.weight"].T
    x, exists = steps(output), np.repeat(MASK_BT.numpy(), K, axis=1)
    x = (x - x[exists].mean(0)) / np.sqrt(x[exists].var(0) + 1e-5)
    x = x @ p["spikes.1.weight"].T + p["spikes.1.bias"]
    x[~exists] = 0
    x = np.maximum(x + 0.3 * own.repeat(K, axis=1), 0)
    state, states = np.zeros((B, D)), []
    for step in range(T * K):
        own = x[:, step] @ p["recurrence.weight_ih_l0"].T + p["recurrence.bias_ih_l0"]
        past = state @ p["recurrence.weight_hh_l0"].T + p["recurrence.bias_hh_l0"]
        (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(own, 3, 1), np.split(past, 3, 1)
        reset, keep = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
        state = (1 - keep) * np.tanh(n_x + reset * n_h) + keep * state
        states.append(state)
    means = np.stack(states, 1).reshape(B, T, K, D).mean(2)
    expected = means @ p["out.weight"].T + p["out.bias"]
    expected[~MASK_BT.numpy()] = 0
    found = readout(output, *features(), MASK_BT).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("kind", [LinearReadout, RecurrentReadout])
def test_padding_changes_no_value(kind: type[LinearReadout] | type[RecurrentReadout]):
    readout, output = kind(D, PATHWAYS, LAYERS, 0.0).double(), spikes()
    exists = MASK_BT.repeat_interleave(K, 1)[..., None]
    other = {p: [torch.where(exists, x, 1 - x) for x in layers] for p, layers in output.items()}
    a_BTD, v_BTD = features()
    absent = (~MASK_BT)[..., None].double()
    found = readout(output, a_BTD, v_BTD, MASK_BT)
    assert torch.equal(readout(other, a_BTD + absent, v_BTD - absent, MASK_BT), found)


def test_in_the_space_of_words_clips_and_words_are_unit_vectors(clips: ClipSet):
    """The squared distance of unit vectors is 2 − 2 cos, so the nearest has the least angle."""
    torch.manual_seed(0)
    model = MDFT(dataclasses.replace(small_model(), space="words")).eval()
    words_CW = torch.from_numpy(clips.words_CW)
    o_av_BE = model(clips.batch(np.arange(8))).o_av_BE
    o_w_CE = model.embed_words(words_CW)
    assert o_av_BE.shape[1] == words_CW.shape[1]
    torch.testing.assert_close(o_w_CE, words_CW / words_CW.norm(dim=1, keepdim=True))
    torch.testing.assert_close(o_av_BE.norm(dim=1), torch.ones(8))


def test_cross_entropy_over_the_words_by_hand():
    """Cosines 1 and 0.6, 0 and 0.8, at temperature 0.5."""
    words = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    embedded = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    loss = class_loss(embedded, words, torch.tensor([0, 1]), 0.5).item()
    each = [math.log(1 + math.exp((0.6 - 1) / 0.5)), math.log(1 + math.exp((0 - 0.8) / 0.5))]
    assert loss == pytest.approx(sum(each) / 2)

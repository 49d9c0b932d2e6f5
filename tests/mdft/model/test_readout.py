"""Motion as a value, the space of the words, and the cross-entropy over distances."""

import math

import pytest
import torch
from torch import nn

from mdft.config.model import LossConfig, MotionConfig
from mdft.model import MDFT
from mdft.model.losses import total_loss
from mdft.model.readout import BothReadouts, LinearReadout, RecurrentReadout
from tests.mdft.small import random_clips, small_model

WIDTH, PATHWAYS = 8, ("audio", "visual")


def given(seed=0, seconds=3, bins=4):
    g = torch.Generator().manual_seed(seed)
    spikes = {
        p: (torch.rand(5, seconds * bins, WIDTH, generator=g) < 0.3).float() for p in PATHWAYS
    }
    a_BTD, v_BTD = torch.rand(2, 5, seconds, WIDTH, generator=g)
    return spikes, a_BTD, v_BTD, torch.ones(5, seconds, dtype=torch.bool)


@pytest.mark.parametrize("kind", [LinearReadout, RecurrentReadout, BothReadouts])
def test_seconds_that_do_not_exist_change_nothing(kind):
    torch.manual_seed(0)
    readout = kind(WIDTH, PATHWAYS, 0.0).train()  # batch statistics, too, must exclude padding
    spikes, a_BTD, v_BTD, exists = given()
    whole = readout(spikes, a_BTD, v_BTD, exists)
    longer = [torch.cat([x, torch.full_like(x[:, :2], 7.0)], 1) for x in (a_BTD, v_BTD)]
    padded = {p: torch.cat([s, torch.ones(5, 8, WIDTH)], 1) for p, s in spikes.items()}
    mask_BT = torch.cat([exists, torch.zeros(5, 2, dtype=torch.bool)], 1)
    found = readout(padded, *longer, mask_BT)
    torch.testing.assert_close(found[:, :3], whole)
    assert (found[:, 3:] == 0).all()


def test_only_the_recurrence_sees_the_order_of_the_bins_of_a_second():
    torch.manual_seed(0)
    spikes, *rest = given(seconds=1)
    backwards = {p: s.flip(1) for p, s in spikes.items()}
    linear, recurrent = (kind(WIDTH, PATHWAYS, 0.0) for kind in (LinearReadout, RecurrentReadout))
    torch.testing.assert_close(linear(spikes, *rest), linear(backwards, *rest))
    assert (recurrent(spikes, *rest) - recurrent(backwards, *rest)).abs().max() > 1e-3


def test_a_linear_readout_is_linear_in_the_rates():
    readout = LinearReadout(WIDTH, PATHWAYS, 0.0).eval()  # running mean 0 and variance 1
    spikes, a_BTD, v_BTD, exists = given()
    found = readout(spikes, a_BTD, v_BTD, exists)
    rates = torch.cat([spikes[p].reshape(5, 3, 4, WIDTH).sum(2) / 4 for p in PATHWAYS], -1)
    expected = rates / math.sqrt(1 + readout.norm.eps) @ readout.out.weight.T + readout.out.bias
    torch.testing.assert_close(found, expected)


def test_clips_and_words_lie_on_the_unit_sphere_of_the_words():
    clips = random_clips()
    model = MDFT(small_model(space="words", motion=MotionConfig(value="both"))).eval()
    words = torch.from_numpy(clips.words_CW) * 3
    o_BE = model(clips.batch(clips.splits["stage_1_train"])).o_av_BE
    assert o_BE.shape[1] == words.shape[1]
    torch.testing.assert_close(o_BE.norm(dim=1), torch.ones(len(o_BE)))
    torch.testing.assert_close(model.embed_words(words), words / words.norm(dim=1, keepdim=True))


def test_the_cross_entropy_is_that_of_the_cosines_on_the_unit_sphere():
    torch.manual_seed(0)
    o_BE, w_CE = (nn.functional.normalize(torch.randn(n, 6)) for n in (4, 3))
    targets = torch.tensor([0, 2, 1, 1])
    config = LossConfig(
        triplet=False,
        projection=False,
        reconstruction=False,
        rate_limit=1,
        softmax=2.0,
        temperature=0.25,
    )
    config.check()
    rolled = torch.arange(4).roll(1)
    found = total_loss(o_BE, o_BE, w_CE, w_CE, targets, rolled, [], config)
    expected = nn.functional.cross_entropy(o_BE @ w_CE.T / 0.25, targets)
    torch.testing.assert_close(found["total"], 2 * expected)


def test_the_paper_s_form_has_no_readout():
    plain = MDFT(small_model())
    assert plain.readout is None
    assert not any(name.startswith("readout") for name in plain.state_dict())

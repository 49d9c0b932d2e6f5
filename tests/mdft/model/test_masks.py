"""Ragged clips: what padding holds changes nothing, in eval, in training, in any module."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mdft.config.model import MotionConfig
from mdft.data.dataset import Batch, ClipSet
from mdft.model.crm import CRM, CrossModalTransformer, FusionBlock, GatedSum, MotionGate
from mdft.model.dab import DiscrepancyAnalysis
from mdft.model.health import firing_rates
from mdft.model.layers import Encoder, masked_mean
from mdft.model.mdft import MDFT
from mdft.model.motion import MotionBranch
from mdft.model.rjlu import RJLU
from mdft.model.threshold import dynamic_threshold
from tests.mdft.small import double, small_model

pytestmark = pytest.mark.rounding

B, T, D = 5, 6, 16
SECONDS = (6, 1, 3, 5, 2)
Run = Callable[..., Tensor]  # of a module, two modalities and the mask


def both(crm: CRM | GatedSum, a: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    rates = {"audio": a.sigmoid(), "visual": v.sigmoid()}
    return masked_mean(crm(a, v, a - v, rates, mask), mask)


def spikes(branch: MotionBranch, a: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    theta = dynamic_threshold(a, v, mode="paper", theta_0=1.0, theta_min=0.5, theta_max=2.0)
    return branch((a * 16).round() / 16, theta=theta)


#: Every module that sees time, as a function of two modalities and the mask.
MODULES: dict[str, tuple[Callable[[], nn.Module], Run]] = {
    "Encoder": (lambda: Encoder(D, D, 0.0), lambda m, a, v, mask: m(a, mask)),
    "RJLU": (lambda: RJLU(D, 2), lambda m, a, v, mask: torch.cat(m(a, v, mask), -1)),
    "DiscrepancyAnalysis": (DiscrepancyAnalysis, lambda m, a, v, mask: m(a, v)),
    "threshold and MotionBranch": (lambda: MotionBranch(D, D), spikes),
    "MotionGate": (lambda: MotionGate(D), lambda m, a, v, mask: m(a, v.sigmoid(), mask)),
    "FusionBlock": (lambda: FusionBlock(D, 2), lambda m, a, v, mask: m(a, v.sigmoid(), mask)),
    "CrossModalTransformer": (
        lambda: CrossModalTransformer(D, 2, 2),
        lambda m, a, v, mask: m(v, a, a + v, mask),
    ),
    "CRM": (lambda: CRM(D, 2, 1, ("audio", "visual")), both),
    "GatedSum": (lambda: GatedSum(D, ("audio", "visual")), both),
}


def ragged(padding: float) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    a, v = (torch.randn(B, T, D, generator=generator, dtype=torch.float64) for _ in range(2))
    mask = torch.arange(T) < torch.tensor(SECONDS)[:, None]
    return a.masked_fill(~mask[..., None], padding), v.masked_fill(~mask[..., None], padding), mask


def kept(out: Tensor, mask: Tensor) -> Tensor:
    """The seconds that exist; all of it where time is gone."""
    return out[mask] if out.shape[:2] == mask.shape else out


@pytest.mark.parametrize("name", MODULES)
def test_alone_as_in_a_ragged_batch(name: str):
    make, run = MODULES[name]
    torch.manual_seed(0)
    module = make().double()
    a, v, mask = ragged(0.0)
    run(module, a, v, mask)  # batch norms see data
    module.eval()
    together = run(module, a, v, mask)
    for b, seconds in enumerate(SECONDS):
        one = slice(b, b + 1)
        alone = run(module, a[one, :seconds], v[one, :seconds], mask[one, :seconds])
        row = together[one, :seconds] if together.ndim == 3 else together[one]
        torch.testing.assert_close(alone, row, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("name", MODULES)
def test_training_never_sees_what_padding_holds(name: str):
    """Outputs, gradients and running statistics, with zeros and with 1000 in the padding."""
    make, run = MODULES[name]
    found = []
    for padding in (0.0, 1000.0):
        torch.manual_seed(0)
        module = make().double().train()
        a, v, mask = ragged(padding)
        out = kept(run(module, a, v, mask), mask)
        out.square().sum().backward()
        grads = [p.grad for p in module.parameters() if p.grad is not None]
        found.append([out, *grads, *module.buffers()])
    for x, y in zip(*found, strict=True):
        torch.testing.assert_close(x, y, atol=1e-12, rtol=1e-12)


def padded(batch: Batch, seconds: int, value: float) -> Batch:
    """The same clips with more seconds that do not exist."""

    def longer(x: Tensor, fill: float) -> Tensor:
        return torch.cat([x, x.new_full((len(x), seconds, *x.shape[2:]), fill)], dim=1)

    return dataclasses.replace(
        batch,
        audio_BTD=longer(batch.audio_BTD, value),
        visual_BTD=longer(batch.visual_BTD, value),
        events_BTKD=longer(batch.events_BTKD, abs(value)),
        mask_BT=longer(batch.mask_BT, 0),
    )


def test_the_whole_model_in_training(ragged_clips: ClipSet):
    """Embeddings, firing rates, calibrated weights and batch statistics, with more padding."""
    batch = ragged_clips.batch(np.arange(0, len(ragged_clips), 2))
    found = []
    for given in (double(batch), double(padded(batch, 2, 7.0))):
        torch.manual_seed(0)
        config = small_model(
            motion=MotionConfig(rate=0.12),
            dropout_encoder=0.0,
            dropout_projection=0.0,
            dropout_words=0.0,
        )
        model = MDFT(config).double().train()
        rates = model.calibrate(given)
        output = model(given)
        fired = firing_rates(output.spikes, given.mask_BT)
        output.o_av_BE.square().sum().backward()
        found.append(
            [
                output.o_av_BE,
                torch.tensor([*rates["audio"], *rates["visual"]]),
                torch.stack(list(fired.values())),
                *model.state_dict().values(),
                *(p.grad for p in model.parameters() if p.grad is not None),
            ]
        )
    for x, y in zip(*found, strict=True):
        torch.testing.assert_close(x, y, atol=1e-9, rtol=1e-9)

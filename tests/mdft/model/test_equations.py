"""Equations (1) to (3), (6), (7) and (10) to (15) against NumPy in float64 or by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mdft.config.model import LossConfig
from mdft.model.crm import (
    CrossModalLayer,
    CrossModalTransformer,
    FusionBlock,
    MotionGate,
    accumulate,
)
from mdft.model.dab import DiscrepancyAnalysis, discrepancy
from mdft.model.layers import Attention, Encoder, Projection, Reconstruction, masked_mean
from mdft.model.losses import projection_loss, reconstruction_loss, total_loss, triplet_loss
from mdft.model.rjlu import RJLU
from mdft.model.threshold import dynamic_threshold, omega, phi
from mdft.training.sampler import draw_negatives

pytestmark = pytest.mark.rounding

D = 8


def array(x: torch.Tensor) -> np.ndarray:
    return x.detach().numpy()


def attend(module: Attention, query_LD: np.ndarray, context_MD: np.ndarray) -> np.ndarray:
    """Multi-head attention of one sample, head by head."""
    w_kv, b_kv = array(module.key_value.weight), array(module.key_value.bias)
    q = query_LD @ array(module.query.weight).T + array(module.query.bias)
    k = context_MD @ w_kv[:D].T + b_kv[:D]
    v = context_MD @ w_kv[D:].T + b_kv[D:]
    width = D // module.heads
    heads = []
    for h in range(module.heads):
        part = slice(h * width, (h + 1) * width)
        logits = q[:, part] @ k[:, part].T / math.sqrt(width)
        weights = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        heads.append(weights @ v[:, part])
    return np.concatenate(heads, 1) @ array(module.out.weight).T + array(module.out.bias)


def tail(module, x_LD: np.ndarray) -> np.ndarray:
    """MLP(LN(x)) + x."""
    normed = (x_LD - x_LD.mean(-1, keepdims=True)) / np.sqrt(x_LD.var(-1, keepdims=True) + 1e-5)
    first, _, second = module.mlp
    hidden = normed @ array(first.weight).T + array(first.bias)
    gelu = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
    return gelu @ array(second.weight).T + array(second.bias) + x_LD


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_equations_1_to_3():
    unit = RJLU(D, 2).double()
    nn.init.normal_(unit.h_0)
    a, v = torch.randn(3, 4, D).double(), torch.randn(3, 4, D).double()
    S, h = unit(a, v, torch.ones(3, 4, dtype=torch.bool))
    for i in range(3):
        memory = array(unit.h_0)
        for t in range(4):
            a_t, v_t = array(a[i, t]), array(v[i, t])
            c_a = attend(unit.audio_attention, a_t[None], np.stack([a_t, memory]))[0]
            c_v = attend(unit.visual_attention, v_t[None], np.stack([v_t, memory]))[0]
            tokens = np.stack([a_t, memory, v_t])
            s_t = tail(unit.tail, attend(unit.self_attention, tokens, tokens)).mean(0)
            gate = sigmoid(c_a + c_v)
            memory = gate * memory + (1 - gate) * s_t
            np.testing.assert_allclose(array(S[i, t]), s_t, atol=1e-12)
            np.testing.assert_allclose(array(h[i, t]), memory, atol=1e-12)


def test_joint_knowledge_waits_where_no_second_is():
    unit = RJLU(D, 2)
    a, v = torch.randn(1, 3, D), torch.randn(1, 3, D)
    _, h = unit(a, v, torch.tensor([[True, False, True]]))
    assert torch.equal(h[0, 1], h[0, 0])
    assert not torch.equal(h[0, 2], h[0, 1])


def test_equation_6_by_hand():
    got = discrepancy(torch.tensor([0.5, 2.0]), torch.tensor([0.5, 0.0]), torch.tensor(2.0))
    # a + 1 − exp(−((E − a)/β)²): no discrepancy adds 0; (−2/2)² = 1 adds 1 − 1/e.
    assert got.tolist() == pytest.approx([0.5, 2.0 + 1 - math.exp(-1)])
    assert DiscrepancyAnalysis().beta.item() == pytest.approx(1.001)


def test_equation_7_in_plain_loops():
    S, E = torch.randn(2, 3, D).double(), torch.randn(2, 3, D).double()
    got_phi, got_omega = phi(S), omega(S, E)
    for i in range(2):
        for t in range(3):
            s, e = array(S[i, t]), array(E[i, t])
            n = np.exp(s) / np.exp(s).sum()
            w = sum(n[d] * math.log(1 / n[d] + abs(e[d])) for d in range(D)) / math.log(D)
            assert got_omega[i, t, 0].item() == pytest.approx(w, abs=1e-12)
            assert got_phi[i, t, 0].item() == pytest.approx(1 / (1 + math.exp(-s.mean())))


def test_omega_is_the_normalised_entropy_without_motion_and_rises_with_it():
    S = torch.zeros(1, 1, D)
    assert omega(S, torch.zeros(1, 1, D)).item() == pytest.approx(1.0)
    assert omega(S, torch.ones(1, 1, D)).item() > 1.0
    # A softmax that underflows in float32 still has a finite threshold and gradient.
    peaked = torch.tensor([[[200.0] + [0.0] * (D - 1)]], requires_grad=True)
    value = omega(peaked, torch.zeros(1, 1, D))
    value.sum().backward()
    assert value.item() == pytest.approx(0.0)
    assert peaked.grad is not None
    assert peaked.grad.isfinite().all()


def test_threshold_modes():
    S, E = torch.randn(2, 6, D), torch.rand(2, 6, D)
    bounds: dict[str, Any] = {"theta_0": 1.25, "theta_min": 0.5, "theta_max": 4.0}
    factor = (phi(S) + omega(S, E))[..., 0]
    relative = dynamic_threshold(S, E, mode="relative", **bounds)[..., 0]
    torch.testing.assert_close(relative, (1.25 * factor).clamp(0.5, 4.0))
    paper = dynamic_threshold(S, E, mode="paper", **bounds)[..., 0]
    previous = torch.full((2,), 1.25)
    for t in range(6):
        previous = (factor[:, t] * previous).clamp(0.5, 4.0)
        torch.testing.assert_close(paper[:, t], previous)
    assert (dynamic_threshold(S, E, mode="fixed", **bounds) == 1.25).all()


def test_accumulation_is_the_running_rate():
    spikes = torch.tensor([[[1, 0], [0, 0]], [[1, 1], [1, 1]]]).float().reshape(1, 2, 2, 2)
    # K = 2 bins: after one second 1/2 and 0; after two seconds 3/4 and 2/4.
    assert accumulate(spikes)[0].tolist() == [[0.5, 0.0], [0.75, 0.5]]


def test_equation_10():
    block = FusionBlock(D, 2).double().eval()
    assert block.gate is not None
    norm = block.gate.norm
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.uniform_(0, 0.3)
    norm.running_var.uniform_(0.5, 2)
    a, rate = torch.randn(1, 4, D).double(), torch.rand(1, 4, D).double()
    got = block(a, rate, torch.ones(1, 4, dtype=torch.bool))
    centred = 4 * (rate - norm.running_mean) / (norm.running_var + 1e-5).sqrt()
    gated = array(a[0]) * sigmoid(array(centred[0]))
    expected = tail(block.tail, attend(block.attention, array(a[0]), gated))
    np.testing.assert_allclose(array(got[0]), expected, atol=1e-12)


def test_gate_covers_the_whole_interval():
    rate = 0.1 + 0.05 * torch.randn(64, 10, D)
    gate = MotionGate(D).train()(torch.ones_like(rate), rate, torch.ones(64, 10, dtype=torch.bool))
    assert gate.min() < 0.01
    assert gate.max() > 0.99


def test_equation_11():
    layer = CrossModalLayer(D, 2).double()
    stack = CrossModalTransformer(D, 2, layers=1).double()
    stack.layers[0] = layer
    P_v, P_a, h = (torch.randn(1, 3, D).double() for _ in range(3))
    got = stack(P_v, P_a, h, torch.ones(1, 3, dtype=torch.bool))

    def norm(x: np.ndarray) -> np.ndarray:
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)

    context = norm(np.concatenate([array(P_a[0]), array(h[0])]))
    z = attend(layer.attention, norm(array(P_v[0])), context) + array(P_v[0])
    np.testing.assert_allclose(array(got[0]), tail(layer.tail, z), atol=1e-12)


def test_encoder_and_projection_are_two_blocks_of_the_printed_order():
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout]
    encoder = Encoder(6, D, 0.2)
    for blocks in (encoder.blocks, Projection(D, 12, 4, 0.2)):
        assert [[type(m) for m in block] for block in blocks] == [kinds, kinds]  # type: ignore
    assert [type(m) for m in Reconstruction(4, 12, 30, 0.2)][-1] is nn.Linear


def test_batch_norm_of_the_encoder_never_sees_padding():
    encoder = Encoder(6, D, 0.0).train()
    x = torch.randn(4, 3, 6)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]]).bool()
    garbage = torch.where(mask[..., None], x, torch.full_like(x, 1e6))
    assert torch.equal(encoder(x, mask), encoder(garbage, mask))
    assert (encoder(x, mask)[~mask] == 0).all()
    rows = encoder.blocks[0][0](x[mask])  # type: ignore
    fresh = Encoder(6, D, 0.0).train()
    fresh.load_state_dict(encoder.state_dict())
    norm = fresh.blocks[0][1]  # type: ignore
    norm.reset_running_stats()
    fresh(garbage, mask)
    torch.testing.assert_close(norm.running_mean, 0.1 * rows.mean(0))


def test_masked_mean_by_hand():
    x = torch.tensor([[[2.0], [4.0], [99.0]]])
    assert masked_mean(x, torch.tensor([[True, True, False]])).item() == 3.0


def test_equation_13_by_hand():
    o, w = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])  # d = 5
    o_neg, w_neg = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 7.0]])  # d = 4 and 7
    # [1 + 5 − 4]₊ + [1 + 5 − 7]₊ = 2 + 0
    assert triplet_loss(o, w, o_neg, w_neg, margin=1.0).item() == pytest.approx(2.0)
    assert triplet_loss(o, w, o_neg, w_neg, margin=3.0).item() == pytest.approx(4.0 + 1.0)


def test_equations_14_and_15_by_hand():
    o, w = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])
    assert projection_loss(o, w).item() == pytest.approx((1 + 4) / 2)
    assert reconstruction_loss(o, w).item() == pytest.approx((1 + 4) / 2)


def test_total_is_the_sum_of_the_terms_that_are_on():
    o, r, o_w, words = torch.randn(4, 3), torch.randn(4, 5), torch.randn(2, 3), torch.randn(2, 5)
    rates = [torch.tensor(0.1), torch.tensor(0.45)]
    arguments = o, r, o_w, words, torch.tensor([0, 1, 0, 1]), torch.tensor([1, 0, 3, 2]), rates
    terms = total_loss(*arguments, LossConfig())
    assert terms["total"].item() == pytest.approx(
        sum(v.item() for k, v in terms.items() if k != "total")
    )
    assert terms["projection"].item() == pytest.approx(((o - o_w[[0, 1, 0, 1]]) ** 2).mean().item())
    for off in ("triplet", "projection", "reconstruction"):
        assert off not in total_loss(*arguments, LossConfig(**{off: False}))
    # One layer is 0.25 above the limit of 0.2: 10 · 0.25².
    assert terms["rate"].item() == pytest.approx(0.625)
    assert "rate" not in total_loss(*arguments, LossConfig(rate_limit=1.0))


def test_negatives_are_of_another_class_and_every_one_is_drawn():
    labels = torch.tensor([0, 0, 1, 2, 2])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_negatives(labels, generator) for _ in range(200)])
    assert (labels[drawn] != labels).all()
    for i in range(5):
        assert set(drawn[:, i].tolist()) == {j for j in range(5) if labels[j] != labels[i]}
    with pytest.raises(ValueError, match="only one class"):
        draw_negatives(torch.tensor([3, 3]), generator)

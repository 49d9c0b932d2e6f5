"""The recurrence of the RJLU, eqs. (1) to (3), with a gradient that gathers weights once.

Autograd would multiply a gradient for every weight in every second and add them up. Here the
backward pass walks through the seconds for the gradient of ``h`` only, and the gradient of each
weight is one product over all seconds. The forward pass is the same either way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

_EPSILON = 1e-5
aten = torch.ops.aten


class JointWeights(NamedTuple):
    """The weights of a second; F is 7D for ``memory`` and 2D for the others.

    Attributes:
        memory_FD: maps ``h`` to the keys and values of (1) for sound and for vision, and to the
            query, key and value of (2).
        memory_F: its bias.
        gate_DF: the two output maps of (1) side by side.
        gate_D: the sum of their biases.
        out_DD: the output map of (2).
        out_D: its bias.
        norm_weight_D: of the LayerNorm of (2).
        norm_bias_D: of the same.
        up_FD: the first layer of the MLP of (2).
        up_F: its bias.
        down_DF: the second layer.
        down_D: its bias.
    """

    memory_FD: Tensor
    memory_F: Tensor
    gate_DF: Tensor
    gate_D: Tensor
    out_DD: Tensor
    out_D: Tensor
    norm_weight_D: Tensor
    norm_bias_D: Tensor
    up_FD: Tensor
    up_F: Tensor
    down_DF: Tensor
    down_D: Tensor


class Second(NamedTuple):
    """The intermediate values of a second that its gradient needs.

    The axes of 2 are sound and vision, or key and value; of 3 the tokens sound, ``h`` and vision,
    or query, key and value.
    """

    h_BD: Tensor
    change_B22HU: Tensor
    own_B2H1: Tensor
    cross_BF: Tensor
    gate_BD: Tensor
    tokens_B33HU: Tensor
    attention_B33H: Tensor
    heads_B3D: Tensor
    joint_B3D: Tensor
    mean_B31: Tensor
    deviation_B31: Tensor
    normed_B3D: Tensor
    hidden_B3F: Tensor
    active_BF: Tensor
    S_BD: Tensor
    next_BD: Tensor


def joint_step(own_2B6HU: Tensor, h_BD: Tensor, weights: JointWeights) -> tuple[Tensor, Tensor]:
    """One second of eqs. (1) to (3): ``(a^t, v^t), h^{t−1} → S^t, h^t``.

    Args:
        own_2B6HU: of sound and of vision: query, key and value of (1), then those of (2).
        h_BD: joint knowledge of the second before.
        weights: the weights.

    Returns:
        ``S_BD`` and the new ``h_BD``.
    """
    second = joint_second(own_2B6HU, h_BD, weights)
    return second.S_BD, second.next_BD


def joint_second(own_2B6HU: Tensor, h_BD: Tensor, weights: JointWeights) -> Second:
    """:func:`joint_step` with all intermediate values.

    The softmax of (1) has two scores, so it is a sigmoid: (1) attends with ``v_h + p (v_a − v_h)``,
    where ``p = σ(q·(k_a − k_h)/√U)``. The last layer of the MLP of (2) is linear, so it is applied
    to the mean over the three tokens and not to each of them.
    """
    w, (H, U) = weights, own_2B6HU.shape[-2:]
    memory_B7HU = functional.linear(h_BD, w.memory_FD, w.memory_F).unflatten(1, (7, H, U))
    own_B26HU = own_2B6HU.transpose(0, 1)
    context_B22HU = memory_B7HU[:, :4].unflatten(1, (2, 2))
    change_B22HU = own_B26HU[:, :, 1:3] - context_B22HU
    logits_B2H1 = (own_B26HU[:, :, 0] * change_B22HU[:, :, 0]).sum(-1, keepdim=True)
    own_B2H1 = torch.sigmoid(logits_B2H1 * U**-0.5)
    cross_B2HU = torch.addcmul(context_B22HU[:, :, 1], own_B2H1, change_B22HU[:, :, 1])
    cross_BF = cross_B2HU.flatten(1)
    gate_BD = torch.sigmoid(functional.linear(cross_BF, w.gate_DF, w.gate_D))

    own_audio_B3HU, own_visual_B3HU = own_2B6HU[:, :, 3:]
    tokens_B33HU = torch.stack([own_audio_B3HU, memory_B7HU[:, 4:], own_visual_B3HU], dim=1)
    q_B3HU, k_B3HU, v_B3HU = tokens_B33HU.unbind(2)
    scores_B33H = (q_B3HU[:, :, None] * k_B3HU[:, None]).sum(-1)
    attention_B33H = (scores_B33H * U**-0.5).softmax(2)
    heads_B3D = _weighted(attention_B33H, v_B3HU).flatten(2)
    joint_B3D = functional.linear(heads_B3D, w.out_DD, w.out_D).to(w.norm_weight_D)
    normed_B3D, mean_B31, deviation_B31 = torch.native_layer_norm(
        joint_B3D, (H * U,), w.norm_weight_D, w.norm_bias_D, _EPSILON
    )
    hidden_B3F = functional.linear(normed_B3D, w.up_FD, w.up_F)
    active_BF = functional.gelu(hidden_B3F).mean(1)
    S_BD = functional.linear(active_BF, w.down_DF, w.down_D) + joint_B3D.mean(1)
    next_BD = torch.lerp(S_BD.to(h_BD), h_BD, gate_BD.to(h_BD))
    return Second(
        h_BD=h_BD,
        change_B22HU=change_B22HU,
        own_B2H1=own_B2H1,
        cross_BF=cross_BF,
        gate_BD=gate_BD,
        tokens_B33HU=tokens_B33HU,
        attention_B33H=attention_B33H,
        heads_B3D=heads_B3D,
        joint_B3D=joint_B3D,
        mean_B31=mean_B31,
        deviation_B31=deviation_B31,
        normed_B3D=normed_B3D,
        hidden_B3F=hidden_B3F,
        active_BF=active_BF,
        S_BD=S_BD,
        next_BD=next_BD,
    )


class Slopes(NamedTuple):
    """Gradients of a second by its inputs and by the outputs of its linear maps."""

    own_B26HU: Tensor
    h_BD: Tensor
    memory_BF: Tensor
    gate_BD: Tensor
    joint_B3D: Tensor
    normed_B3D: Tensor
    hidden_B3F: Tensor
    S_BD: Tensor


def joint_step_backward(
    dS_BD: Tensor, dnext_BD: Tensor, query_B2HU: Tensor, second: Second, weights: JointWeights
) -> Slopes:
    """The gradient of :func:`joint_step` by its inputs and by the outputs of its linear maps.

    Args:
        dS_BD: gradient by ``S^t``.
        dnext_BD: gradient by ``h^t``.
        query_B2HU: the queries of (1) of sound and vision.
        second: the intermediate values of the second.
        weights: the weights.
    """
    w, s, (H, U) = weights, second, query_B2HU.shape[-2:]
    kept_BD = dnext_BD * s.gate_BD
    dS_BD = dS_BD + (dnext_BD - kept_BD)
    dgate_BD = aten.sigmoid_backward(dnext_BD * (s.h_BD - s.S_BD), s.gate_BD)

    dcross_B2HU = dgate_BD.mm(w.gate_DF).unflatten(1, (2, H, U))
    down_B2H1 = (dcross_B2HU * s.change_B22HU[:, :, 1]).sum(-1, keepdim=True)
    dlogits_B2H1 = aten.sigmoid_backward(down_B2H1, s.own_B2H1) * U**-0.5
    dquery_B2HU = dlogits_B2H1 * s.change_B22HU[:, :, 0]
    dkey_B2HU = dlogits_B2H1 * query_B2HU
    dvalue_B2HU = dcross_B2HU * s.own_B2H1

    dactive_B1F = (dS_BD.mm(w.down_DF) / 3)[:, None]
    dhidden_B3F = aten.gelu_backward(dactive_B1F.expand_as(s.hidden_B3F), s.hidden_B3F)
    dnormed_B3D = dhidden_B3F @ w.up_FD
    djoint_B3D, _, _ = aten.native_layer_norm_backward(
        dnormed_B3D,
        s.joint_B3D,
        (H * U,),
        s.mean_B31,
        s.deviation_B31,
        w.norm_weight_D,
        w.norm_bias_D,
        (True, False, False),
    )
    djoint_B3D = djoint_B3D + (dS_BD / 3)[:, None]

    dheads_B3HU = (djoint_B3D @ w.out_DD).unflatten(2, (H, U))
    q_B3HU, k_B3HU, v_B3HU = s.tokens_B33HU.unbind(2)
    dattention_B33H = (dheads_B3HU[:, :, None] * v_B3HU[:, None]).sum(-1)
    dscores_B33H = aten._softmax_backward_data(
        dattention_B33H, s.attention_B33H, 2, dattention_B33H.dtype
    )
    dscores_B33H = dscores_B33H * U**-0.5
    dtokens_B33HU = torch.stack(
        [
            _weighted(dscores_B33H, k_B3HU),
            _weighted(dscores_B33H.transpose(1, 2), q_B3HU),
            _weighted(s.attention_B33H.transpose(1, 2), dheads_B3HU),
        ],
        dim=2,
    )

    dcontext_B22HU = torch.stack([-dkey_B2HU, dcross_B2HU - dvalue_B2HU], dim=2)
    dmemory_BF = torch.cat([dcontext_B22HU.flatten(1, 2), dtokens_B33HU[:, 1]], dim=1).flatten(1)
    dcross_B23HU = torch.stack([dquery_B2HU, dkey_B2HU, dvalue_B2HU], dim=2)
    return Slopes(
        own_B26HU=torch.cat([dcross_B23HU, dtokens_B33HU[:, ::2]], dim=2),
        h_BD=torch.addmm(kept_BD, dmemory_BF, w.memory_FD),
        memory_BF=dmemory_BF,
        gate_BD=dgate_BD,
        joint_B3D=djoint_B3D,
        normed_B3D=dnormed_B3D,
        hidden_B3F=dhidden_B3F,
        S_BD=dS_BD,
    )


def joint_sequence(
    step: Callable[[Tensor, Tensor, JointWeights], tuple[Tensor, Tensor]],
    own_2TB6HU: Tensor,
    h_BD: Tensor,
    mask_TB: Tensor,
    weights: JointWeights,
) -> tuple[Tensor, Tensor]:
    """All seconds: ``S`` and ``h``, (T,B,D); ``h`` stays where the mask is False.

    Args:
        step: :func:`joint_step`, or what it was compiled to.
        own_2TB6HU: as in a step, of all seconds.
        h_BD: ``h^0``.
        mask_TB: bool, True where the second exists.
        weights: the weights.
    """
    S, h = [], []
    for own_2B6HU, mask_B in zip(own_2TB6HU.unbind(1), mask_TB, strict=True):
        S_BD, next_BD = step(own_2B6HU, h_BD, weights)
        h_BD = torch.where(mask_B[:, None], next_BD, h_BD)
        S.append(S_BD)
        h.append(h_BD)
    return torch.stack(S), torch.stack(h)


class JointRecurrence(torch.autograd.Function):
    """:func:`joint_sequence` of :func:`joint_step`, with the gradient of this file.

    It must not be called under autocast, and its gradient cannot be differentiated again.
    """

    @staticmethod
    def forward(
        ctx: Any, own_2TB6HU: Tensor, h_BD: Tensor, mask_TB: Tensor, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run the steps and keep their intermediate values."""
        seconds: list[Tensor] = []

        def step(own: Tensor, h: Tensor, given: JointWeights) -> tuple[Tensor, Tensor]:
            second = joint_second(own, h, given)
            if any(ctx.needs_input_grad):
                seconds.extend(second)
            return second.S_BD, second.next_BD

        found = joint_sequence(step, own_2TB6HU, h_BD, mask_TB, JointWeights(*weights))
        ctx.save_for_backward(own_2TB6HU, mask_TB, *weights, *seconds)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dS_TBD: Tensor, dh_TBD: Tensor) -> tuple[Tensor | None, ...]:
        """Walk back through the seconds, then gather the gradients of the weights."""
        own_2TB6HU, mask_TB, *saved = ctx.saved_tensors
        many, each = len(JointWeights._fields), len(Second._fields)
        weights = JointWeights(*saved[:many])
        T = len(mask_TB)
        seconds = [Second(*saved[many + t * each : many + (t + 1) * each]) for t in range(T)]
        slopes: list[Slopes] = []
        dh_BD = torch.zeros_like(dh_TBD[0])
        for t in reversed(range(T)):
            dh_BD = dh_BD + dh_TBD[t]
            dnext_BD = dh_BD * mask_TB[t][:, None]
            query_B2HU = own_2TB6HU[:, t, :, 0].transpose(0, 1)
            slope = joint_step_backward(dS_TBD[t], dnext_BD, query_B2HU, seconds[t], weights)
            dh_BD = slope.h_BD + (dh_BD - dnext_BD)
            slopes.append(slope)
        slopes.reverse()
        own_TB26HU = torch.stack([slope.own_B26HU for slope in slopes])
        weight_slopes = _weight_slopes(seconds, slopes, weights)
        return own_TB26HU.permute(2, 0, 1, 3, 4, 5), dh_BD, None, *weight_slopes


def _weight_slopes(
    seconds: list[Second], slopes: list[Slopes], weights: JointWeights
) -> JointWeights:
    """The gradients of the weights: one product each, over the rows of all seconds."""
    w = weights
    memory_XF = torch.cat([slope.memory_BF for slope in slopes])
    gate_XD = torch.cat([slope.gate_BD for slope in slopes])
    joint_X3D = torch.cat([slope.joint_B3D for slope in slopes])
    normed_X3D = torch.cat([slope.normed_B3D for slope in slopes])
    hidden_X3F = torch.cat([slope.hidden_B3F for slope in slopes])
    S_XD = torch.cat([slope.S_BD for slope in slopes])
    _, norm_weight_D, norm_bias_D = aten.native_layer_norm_backward(
        normed_X3D,
        torch.cat([second.joint_B3D for second in seconds]),
        w.norm_weight_D.shape,
        torch.cat([second.mean_B31 for second in seconds]),
        torch.cat([second.deviation_B31 for second in seconds]),
        w.norm_weight_D,
        w.norm_bias_D,
        (False, True, True),
    )
    joint_XD, hidden_XF = joint_X3D.flatten(0, 1), hidden_X3F.flatten(0, 1)
    heads_XD = torch.cat([second.heads_B3D for second in seconds]).flatten(0, 1)
    inputs_XD = torch.cat([second.normed_B3D for second in seconds]).flatten(0, 1)
    return JointWeights(
        memory_FD=memory_XF.t().mm(torch.cat([second.h_BD for second in seconds])),
        memory_F=memory_XF.sum(0),
        gate_DF=gate_XD.t().mm(torch.cat([second.cross_BF for second in seconds])),
        gate_D=gate_XD.sum(0),
        out_DD=joint_XD.t().mm(heads_XD),
        out_D=joint_XD.sum(0),
        norm_weight_D=norm_weight_D,
        norm_bias_D=norm_bias_D,
        up_FD=hidden_XF.t().mm(inputs_XD),
        up_F=hidden_XF.sum(0),
        down_DF=S_XD.t().mm(torch.cat([second.active_BF for second in seconds])),
        down_D=S_XD.sum(0),
    )


def _weighted(weight_B33H: Tensor, value_B3HU: Tensor) -> Tensor:
    """``Σ_j weight_ij value_j``, (B,3,H,U); three terms are faster than a general kernel."""
    weight_B33H1, value_B13HU = weight_B33H[..., None], value_B3HU[:, None]
    out_B3HU = weight_B33H1[:, :, 0] * value_B13HU[:, :, 0]
    for j in (1, 2):
        out_B3HU = torch.addcmul(out_B3HU, weight_B33H1[:, :, j], value_B13HU[:, :, j])
    return out_B3HU

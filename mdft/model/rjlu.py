"""The recurrent joint learning unit, eqs. (1) to (3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mdft.model.layers import Attention, ResidualMLP


class Projected(NamedTuple):
    """A token's projections in the attentions of the RJLU, (..., D) or (..., 2D).

    Attributes:
        own_q: query of (1), in the modality's own attention.
        own_kv: keys and values of (1).
        joint_q: query of (2).
        joint_kv: keys and values of (2).
    """

    own_q: Tensor
    own_kv: Tensor
    joint_q: Tensor
    joint_kv: Tensor


class RJLU(nn.Module):
    """Joint knowledge ``h`` of sound and vision, updated once per second.

    (1) ``C_a^t = CA(a^t, {a^t, h^{t−1}})``, ``C_v^t = CA(v^t, {v^t, h^{t−1}})``;
    (2) ``SA = SA([a^t, h^{t−1}, v^t])``, ``S^t = mean_3(MLP(LN(SA)) + SA)``;
    (3) ``g = σ(C_a^t + C_v^t)``, ``h^t = g ⊙ h^{t−1} + (1 − g) ⊙ S^t``.

    Three deviations from the printed equations: ``h^t`` on the right of (1) is ``h^{t−1}``; the
    keys are the two tokens, since attention to one pooled token would be constant (the softmax of
    one score is 1); and g has a sigmoid, since (3) needs it in (0,1). ``h^0`` is a parameter.

    >>> import torch
    >>> unit = RJLU(dim=16, heads=2)
    >>> audio, visual = torch.rand(4, 10, 16), torch.rand(4, 10, 16)
    >>> S, h = unit(audio, visual)
    >>> h.shape
    torch.Size([4, 10, 16])

    Clips of different lengths need a mask. Here all clips last 7 of the 10 seconds, and the
    values in the other seconds have no effect:

    >>> exists = torch.arange(10).expand(4, 10) < 7
    >>> S, h = unit(audio, visual, exists)
    >>> torch.allclose(h[:, :7], unit(audio[:, :7], visual[:, :7])[1], atol=1e-6)
    True

    Args:
        dim: width D.
        heads: attention heads.

    Raises:
        ValueError: the heads do not divide the width.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.audio_attention = Attention(dim, heads)
        self.visual_attention = Attention(dim, heads)
        self.self_attention = Attention(dim, heads)
        self.tail = ResidualMLP(dim)
        self.h_0 = nn.Parameter(torch.zeros(dim))

    def extra_repr(self) -> str:
        """Width and heads."""
        return f"dim={self.dim}, heads={self.heads}"

    def step(self, a: Projected, v: Projected, h_BD: Tensor) -> tuple[Tensor, Tensor]:
        """One second: ``(a^t, v^t), h^{t−1} → S^t, h^t``.

        Args:
            a: audio features of the second, from :meth:`project`.
            v: visual features of the second.
            h_BD: joint knowledge of the second before.

        Returns:
            ``S_BD`` and the new ``h_BD``.
        """
        c_BD = self._cross(self.audio_attention, a, h_BD)
        c_BD = c_BD + self._cross(self.visual_attention, v, h_BD)
        joint = self.self_attention
        q_B3D = torch.stack([a.joint_q, joint.query(h_BD), v.joint_q], dim=1)
        kv_B3D = torch.stack([a.joint_kv, joint.key_value(h_BD), v.joint_kv], dim=1)
        S_BD = self.tail(joint.attend(q_B3D, kv_B3D)).mean(1)
        gate_BD = torch.sigmoid(c_BD)
        return S_BD, gate_BD * h_BD + (1 - gate_BD) * S_BD

    def project(self, attention: Attention, x: Tensor) -> Projected:
        """Queries, keys and values of a modality's own tokens, which do not depend on ``h``.

        Args:
            attention: ``audio_attention`` or ``visual_attention``.
            x: features, (..., D).
        """
        joint = self.self_attention
        return Projected(
            attention.query(x), attention.key_value(x), joint.query(x), joint.key_value(x)
        )

    def forward(
        self, a_BTD: Tensor, v_BTD: Tensor, mask_BT: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Process all seconds of a sample, starting from ``h^0``.

        Args:
            a_BTD: audio features.
            v_BTD: visual features.
            mask_BT: bool; ``h`` stays unchanged in a second that does not exist. None: all exist.

        Returns:
            ``S_BTD`` and ``h_BTD``.

        Raises:
            ValueError: a shape is wrong, there is no second, or the mask is not bool.
        """
        if mask_BT is None:
            mask_BT = torch.ones(a_BTD.shape[:2], dtype=torch.bool, device=a_BTD.device)
        self._check(a_BTD, v_BTD, mask_BT)
        a = self.project(self.audio_attention, a_BTD)
        v = self.project(self.visual_attention, v_BTD)
        seconds = zip(*(x.unbind(1) for x in (*a, *v)), mask_BT.unbind(1), strict=True)
        h_BD = self.h_0.expand(len(a_BTD), -1)
        S, h = [], []
        for *projected, m_B in seconds:
            S_BD, next_BD = self.step(Projected(*projected[:4]), Projected(*projected[4:]), h_BD)
            h_BD = torch.where(m_B[:, None], next_BD, h_BD)
            S.append(S_BD)
            h.append(h_BD)
        return torch.stack(S, 1), torch.stack(h, 1)

    def _check(self, a_BTD: Tensor, v_BTD: Tensor, mask_BT: Tensor) -> None:
        expected = (*mask_BT.shape, self.dim)
        if mask_BT.dtype != torch.bool or mask_BT.ndim != 2 or mask_BT.shape[1] == 0:
            raise ValueError(
                f"RJLU: mask is {mask_BT.dtype} of shape {tuple(mask_BT.shape)}, expected "
                "torch.bool of shape (batch, seconds), at least one second"
            )
        for name, x_BTD in {"audio": a_BTD, "visual": v_BTD}.items():
            if x_BTD.shape != expected:
                raise ValueError(
                    f"RJLU: {name} has shape {tuple(x_BTD.shape)}, expected {expected}"
                )

    @staticmethod
    def _cross(attention: Attention, own: Projected, h_BD: Tensor) -> Tensor:
        kv_B2D = torch.stack([own.own_kv, attention.key_value(h_BD)], dim=1)
        return attention.attend(own.own_q[:, None], kv_B2D)[:, 0]

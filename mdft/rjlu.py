"""The recurrent joint learning unit, eqs. (1) to (3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdft.layers import Attention, ResidualMLP


class RJLU(nn.Module):
    """Joint knowledge ``h`` of sound and vision, updated once a second.

    (1) ``C_a^t = CA(a^t, {a^t, h^{t−1}})``, ``C_v^t = CA(v^t, {v^t, h^{t−1}})``;
    (2) ``SA = SA([a^t, h^{t−1}, v^t])``, ``S^t = mean_3(MLP(LN(SA)) + SA)``;
    (3) ``g = σ(C_a^t + C_v^t)``, ``h^t = g ⊙ h^{t−1} + (1 − g) ⊙ S^t``.

    Printed ``h^t`` on the right of (1) is ``h^{t−1}``; attention onto the single pooled token as
    printed would be constant (softmax of one score is 1), so the keys are the two tokens; the
    gate is squashed, as (3) needs it within (0,1). ``h^0`` is learned.

    Args:
        dim: width D.
        heads: attention heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.audio_attention = Attention(dim, heads)
        self.visual_attention = Attention(dim, heads)
        self.self_attention = Attention(dim, heads)
        self.tail = ResidualMLP(dim)
        self.h_0 = nn.Parameter(torch.zeros(dim))

    def step(self, a_BD: Tensor, v_BD: Tensor, h_BD: Tensor) -> tuple[Tensor, Tensor]:
        """One second: ``(a^t, v^t), h^{t−1} → S^t, h^t``.

        Args:
            a_BD: audio features.
            v_BD: visual features.
            h_BD: joint knowledge of the second before.

        Returns:
            ``S_BD`` and the new ``h_BD``.
        """
        c_a_BD = self._attend(self.audio_attention, a_BD, h_BD)
        c_v_BD = self._attend(self.visual_attention, v_BD, h_BD)
        tokens_B3D = torch.stack([a_BD, h_BD, v_BD], dim=1)
        S_BD = self.tail(self.self_attention(tokens_B3D, tokens_B3D)).mean(1)
        gate_BD = torch.sigmoid(c_a_BD + c_v_BD)
        return S_BD, gate_BD * h_BD + (1 - gate_BD) * S_BD

    def forward(self, a_BTD: Tensor, v_BTD: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
        """All seconds of a sample, from ``h^0``.

        Args:
            a_BTD: audio features.
            v_BTD: visual features.
            mask_BT: bool; a second that does not exist leaves ``h`` as it is.

        Returns:
            ``S_BTD`` and ``h_BTD``.
        """
        h_BD = self.h_0.expand(len(a_BTD), -1)
        S, h = [], []
        for a_BD, v_BD, m_B in zip(
            a_BTD.unbind(1), v_BTD.unbind(1), mask_BT.unbind(1), strict=True
        ):
            S_BD, next_BD = self.step(a_BD, v_BD, h_BD)
            h_BD = torch.where(m_B[:, None], next_BD, h_BD)
            S.append(S_BD)
            h.append(h_BD)
        return torch.stack(S, 1), torch.stack(h, 1)

    @staticmethod
    def _attend(attention: Attention, own_BD: Tensor, h_BD: Tensor) -> Tensor:
        context_B2D = torch.stack([own_BD, h_BD], dim=1)
        return attention(own_BD[:, None], context_B2D)[:, 0]

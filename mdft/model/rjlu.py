"""The recurrent joint learning unit, eqs. (1) to (3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdft.model.layers import Attention, ResidualMLP
from mdft.model.recurrence import JointRecurrence, JointWeights, joint_sequence, joint_step


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
        #: The step, or what it was compiled to.
        self.step = joint_step

    def extra_repr(self) -> str:
        """Width and heads."""
        return f"dim={self.dim}, heads={self.heads}"

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
        own_2TB6HU, weights = self._project(a_BTD, v_BTD), self._weights()
        h_BD = self.h_0.expand(len(a_BTD), -1)
        if self.step is joint_step and not torch.is_autocast_enabled(a_BTD.device.type):
            S_TBD, h_TBD = JointRecurrence.apply(own_2TB6HU, h_BD, mask_BT.t(), *weights)
        else:
            S_TBD, h_TBD = joint_sequence(self.step, own_2TB6HU, h_BD, mask_BT.t(), weights)
        return S_TBD.transpose(0, 1), h_TBD.transpose(0, 1)

    def _project(self, a_BTD: Tensor, v_BTD: Tensor) -> Tensor:
        """Queries, keys and values of each modality's own tokens in (1) and (2), without ``h``."""
        own = (self.audio_attention, self.visual_attention)
        maps = [[unit.query, unit.key_value, *self._joint()] for unit in own]
        weight_2FD = torch.stack([torch.cat([m.weight for m in row]) for row in maps])
        bias_21F = torch.stack([torch.cat([m.bias for m in row]) for row in maps])[:, None]
        x_2TBD = torch.stack([a_BTD, v_BTD]).transpose(1, 2)
        own_2XF = torch.baddbmm(bias_21F, x_2TBD.flatten(1, 2), weight_2FD.transpose(1, 2))
        width = self.dim // self.heads
        return own_2XF.view(*x_2TBD.shape[:3], 6, self.heads, width)

    def _weights(self) -> JointWeights:
        """The weights of a step, those that multiply the same input side by side."""
        own = self.audio_attention, self.visual_attention
        joint, tail = self.self_attention, self.tail
        memory = [*(unit.key_value for unit in own), *self._joint()]
        up, down = tail.linears
        return JointWeights(
            memory_FD=torch.cat([m.weight for m in memory]),
            memory_F=torch.cat([m.bias for m in memory]),
            gate_DF=torch.cat([unit.out.weight for unit in own], dim=1),
            gate_D=own[0].out.bias + own[1].out.bias,
            out_DD=joint.out.weight,
            out_D=joint.out.bias,
            norm_weight_D=tail.norm.weight,
            norm_bias_D=tail.norm.bias,
            up_FD=up.weight,
            up_F=up.bias,
            down_DF=down.weight,
            down_D=down.bias,
        )

    def _joint(self) -> tuple[nn.Linear, nn.Linear]:
        return self.self_attention.query, self.self_attention.key_value

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

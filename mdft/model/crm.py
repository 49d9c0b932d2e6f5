"""The cross-modal reasoning module, eqs. (10) and (11), and the accumulation layer before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from mdft.model.layers import Attention, ResidualMLP, at_seconds, each_second


def accumulate(output_BTKN: Tensor) -> Tensor:
    """The accumulation layer: the running mean of a motion branch up to the end of each second.

    ``j^t = (Σ_{t' ≤ t} Σ_k s(t', k)) / (K t)``, (B,T,N); of spikes, a firing rate in [0, 1].

    Args:
        output_BTKN: output of a motion branch, K bins per second.
    """
    T, K = output_BTKN.shape[1:3]
    steps_T1 = K * torch.arange(1, T + 1, device=output_BTKN.device, dtype=output_BTKN.dtype)
    return output_BTKN.sum(2).cumsum(1) / steps_T1[:, None]


#: Initial slope of the gate at the mean firing rate, in units of the rate's deviation. With 1 the
#: gate stays near a half and motion has little effect: after 16 epochs of the embedded benchmark
#: the validation HM was 37 %, against 59 % with 4.
GATE_SLOPE = 4.0


class MotionGate(nn.Module):
    """``x ⊙ σ(ĵ)``, the inner product of eq. (10): features gated by motion.

    The gate's argument ``ĵ`` is the firing rate ``j`` normalised over the batch, with a learned
    scale that starts at ``GATE_SLOPE`` and a learned shift (a raw rate lies in [0,1], so σ(j)
    would cover only [0.5, 0.73]).

    Args:
        dim: width D; the motion branch has as many output neurons.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)
        nn.init.constant_(self.norm.weight, GATE_SLOPE)

    def forward(self, x_BTD: Tensor, rate_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Gated features (B,T,D), 0 at the seconds that do not exist.

        Args:
            x_BTD: encoded features of a modality.
            rate_BTD: running firing rate of its motion branch.
            mask_BT: bool, True where the second exists.
        """
        return x_BTD * each_second(lambda rate: self.norm(rate).sigmoid(), rate_BTD, mask_BT)


class FusionBlock(nn.Module):
    """Fuses a modality's semantics with its motion, eq. (10).

    ``R = CA(a, a ⊙ σ(ĵ))``, ``P = MLP(LN(R)) + R``; see :class:`MotionGate`.

    Args:
        dim: width D; the motion branch has as many output neurons.
        heads: attention heads.
        gated: False for a modality without a motion branch: ``R = CA(a, a)``.
    """

    def __init__(self, dim: int, heads: int, *, gated: bool = True) -> None:
        super().__init__()
        self.gate = MotionGate(dim) if gated else None
        self.attention = Attention(dim, heads)
        self.tail = ResidualMLP(dim)

    def forward(self, a_BTD: Tensor, rate_BTD: Tensor | None, mask_BT: Tensor) -> Tensor:
        """Fuse one modality with its motion.

        Args:
            a_BTD: encoded features of the modality.
            rate_BTD: its running firing rate; None if the block has no gate.
            mask_BT: bool, True where the second exists.

        Returns:
            ``P`` (B,T,D), 0 at the seconds that do not exist.
        """
        context_BTD = _gated(self.gate, a_BTD, rate_BTD, mask_BT)
        return at_seconds(mask_BT, self.tail(self.attention(a_BTD, context_BTD, mask_BT)))


class CrossModalLayer(nn.Module):
    """One layer of the cross-modal transformer, eq. (11).

    ``Z = MHCA(P_v, [P_a; h]) + P_v``, ``F = MLP(LN(Z)) + Z``; the printed ``Z_i`` is ``Z_av``.

    Args:
        dim: width D.
        heads: attention heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.tail = ResidualMLP(dim)

    def forward(self, x_BTD: Tensor, context_BJD: Tensor, mask_BJ: Tensor) -> Tensor:
        """Attend from queries (B,T,D) to the context tokens that exist; return (B,T,D)."""
        return self.tail(self.attention(self.norm(x_BTD), context_BJD, mask_BJ) + x_BTD)


class CrossModalTransformer(nn.Module):
    """A stack of :class:`CrossModalLayer` with ``P_v`` as queries, ``P_a`` and ``h`` as context.

    Args:
        dim: width D.
        heads: attention heads.
        layers: depth of the stack.
    """

    def __init__(self, dim: int, heads: int, layers: int) -> None:
        super().__init__()
        self.context_norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(CrossModalLayer(dim, heads) for _ in range(layers))

    def forward(
        self, P_v_BTD: Tensor, P_a_BTD: Tensor, h_BTD: Tensor | None, mask_BT: Tensor
    ) -> Tensor:
        """``F_av`` (B,T,D) from both modalities and the joint knowledge h (None without RJLU)."""
        context = [P_a_BTD] if h_BTD is None else [P_a_BTD, h_BTD]
        context_BJD = self.context_norm(torch.cat(context, dim=1))
        mask_BJ = torch.cat([mask_BT] * len(context), dim=1)
        x_BTD = P_v_BTD
        for layer in self.layers:
            x_BTD = layer(x_BTD, context_BJD, mask_BJ)
        return x_BTD


class CRM(nn.Module):
    """The cross-modal reasoning module, eqs. (10) and (11).

    A :class:`FusionBlock` for each modality, then the :class:`CrossModalTransformer`.

    >>> import torch
    >>> crm = CRM(dim=16, heads=2, layers=1, pathways=["visual"])
    >>> audio, visual, joint = torch.rand(3, 4, 10, 16)
    >>> rate = {"visual": accumulate(torch.ones(4, 10, 5, 16))}
    >>> exists = torch.ones(4, 10, dtype=torch.bool)
    >>> crm(audio, visual, joint, rate, exists).shape
    torch.Size([4, 10, 16])

    Args:
        dim: width D.
        heads: attention heads.
        layers: depth of the cross-modal transformer.
        pathways: which of ``"audio"`` and ``"visual"`` have a motion branch.
    """

    def __init__(self, dim: int, heads: int, layers: int, pathways: Iterable[str]) -> None:
        super().__init__()
        self.pathways = tuple(pathways)
        self.audio_fusion = FusionBlock(dim, heads, gated="audio" in self.pathways)
        self.visual_fusion = FusionBlock(dim, heads, gated="visual" in self.pathways)
        self.cross_modal = CrossModalTransformer(dim, heads, layers)

    def extra_repr(self) -> str:
        """Which modalities are gated by motion."""
        return f"pathways={self.pathways}"

    def forward(
        self,
        a_BTD: Tensor,
        v_BTD: Tensor,
        h_BTD: Tensor | None,
        j: Mapping[str, Tensor],
        mask_BT: Tensor,
    ) -> Tensor:
        """``F_av`` (B,T,D), eqs. (10) and (11).

        Args:
            a_BTD: encoded audio features.
            v_BTD: encoded visual features.
            h_BTD: joint knowledge h; None without RJLU.
            j: pathway → accumulated output (B,T,D) of its motion branch.
            mask_BT: bool, True where the second exists.
        """
        P_a_BTD = self.audio_fusion(a_BTD, j.get("audio"), mask_BT)
        P_v_BTD = self.visual_fusion(v_BTD, j.get("visual"), mask_BT)
        return self.cross_modal(P_v_BTD, P_a_BTD, h_BTD, mask_BT)


class GatedSum(nn.Module):
    """Replaces :class:`CRM` in the ablation of Table 3: a sum without attention.

    ``F = a ⊙ σ(ĵ_a) + v ⊙ σ(ĵ_v) + h``: the projection gets all inputs of the CRM, but there is
    no attention across seconds and modalities.

    Args:
        dim: width D.
        pathways: which of ``"audio"`` and ``"visual"`` have a motion branch.
    """

    def __init__(self, dim: int, pathways: Iterable[str]) -> None:
        super().__init__()
        self.pathways = tuple(pathways)
        self.audio_gate = MotionGate(dim) if "audio" in self.pathways else None
        self.visual_gate = MotionGate(dim) if "visual" in self.pathways else None

    def extra_repr(self) -> str:
        """Which modalities are gated by motion."""
        return f"pathways={self.pathways}"

    def forward(
        self,
        a_BTD: Tensor,
        v_BTD: Tensor,
        h_BTD: Tensor | None,
        j: Mapping[str, Tensor],
        mask_BT: Tensor,
    ) -> Tensor:
        """``F`` (B,T,D); the arguments are those of :meth:`CRM.forward`."""
        F_BTD = _gated(self.audio_gate, a_BTD, j.get("audio"), mask_BT)
        F_BTD = F_BTD + _gated(self.visual_gate, v_BTD, j.get("visual"), mask_BT)
        return F_BTD if h_BTD is None else F_BTD + h_BTD


def _gated(
    gate: MotionGate | None, x_BTD: Tensor, rate_BTD: Tensor | None, mask_BT: Tensor
) -> Tensor:
    if gate is None:
        return x_BTD
    assert rate_BTD is not None, "a gated modality needs a firing rate"
    return gate(x_BTD, rate_BTD, mask_BT)

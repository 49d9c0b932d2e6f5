"""Dense building blocks: attention, MLP, and the encoder and projection of section 3."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head scaled dot-product attention, ``CA``, ``SA`` and ``MHCA`` of the paper.

    ``softmax(Q Kᵀ / √d_head) V`` per head, with linear maps before and after.

    Args:
        dim: width D of queries, keys, values and output.
        heads: number of heads; the width of a head is ``dim / heads``.

    Raises:
        ValueError: the heads do not divide the width.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"Attention: {heads} heads do not divide the width {dim}")
        self.dim, self.heads = dim, heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def extra_repr(self) -> str:
        """Width and heads."""
        return f"dim={self.dim}, heads={self.heads}"

    def forward(self, query_BLD: Tensor, context_BJD: Tensor, mask_BJ: Tensor | None = None):
        """Attend from L query tokens to J context tokens.

        Args:
            query_BLD: queries.
            context_BJD: context tokens, which keys and values are computed from.
            mask_BJ: bool, True where a context token exists.

        Returns:
            (B,L,D).
        """
        return self.attend(self.query(query_BLD), self.key_value(context_BJD), mask_BJ)

    def attend(self, q_BLD: Tensor, kv_BJD: Tensor, mask_BJ: Tensor | None = None) -> Tensor:
        """As :meth:`forward`, but from projected queries, keys and values.

        Args:
            q_BLD: ``query(...)`` of the queries.
            kv_BJD: ``key_value(...)`` of the context, (B,J,2D).
            mask_BJ: bool, True where a context token exists.
        """
        k, v = (self._split(x) for x in kv_BJD.chunk(2, dim=-1))
        mask = None if mask_BJ is None else mask_BJ[:, None, None, :]
        heads = F.scaled_dot_product_attention(self._split(q_BLD), k, v, attn_mask=mask)
        return self.out(heads.transpose(1, 2).flatten(2))

    def _split(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class ResidualMLP(nn.Module):
    """``MLP(LN(x)) + x``, the last step of eqs. (2), (10) and (11).

    Args:
        dim: width D.
        expansion: hidden width divided by D.
    """

    def __init__(self, dim: int, expansion: int = 2) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, expansion * dim), nn.GELU(), nn.Linear(expansion * dim, dim)
        )

    @property
    def linears(self) -> tuple[nn.Linear, nn.Linear]:
        """The two layers of the MLP."""
        up, _, down = self.mlp
        assert isinstance(up, nn.Linear) and isinstance(down, nn.Linear)
        return up, down

    def forward(self, x: Tensor) -> Tensor:
        """The same shape as ``x``."""
        return self.mlp(self.norm(x)) + x


def norm_relu_block(width_in: int, width_out: int, dropout: float) -> nn.Sequential:
    """Linear → BatchNorm → ReLU → Dropout, the block of every encoder and projection.

    Args:
        width_in: width of the input.
        width_out: width of the output.
        dropout: probability of zeroing a feature in training.
    """
    return nn.Sequential(
        nn.Linear(width_in, width_out),
        nn.BatchNorm1d(width_out),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


class Encoder(nn.Module):
    """``E_aud`` and ``E_vis``: two blocks ``f_1, f_2``, applied to each second separately.

    Seconds that do not exist are excluded, so that padding never enters a batch statistic.

    >>> encoder = Encoder(features=24, dim=16, dropout=0.2)
    >>> exists = torch.arange(10).expand(4, 10) < 7
    >>> encoder(torch.rand(4, 10, 24), exists).shape
    torch.Size([4, 10, 16])

    Args:
        features: width of the input features.
        dim: width D of hidden layer and output.
        dropout: ``d_enc`` of the paper.
    """

    def __init__(self, features: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            norm_relu_block(features, dim, dropout), norm_relu_block(dim, dim, dropout)
        )

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Encode the seconds that exist; the others are 0.

        Args:
            x_BTD: features of each second.
            mask_BT: bool, True where the second exists.

        Returns:
            (B,T,D), non-negative.
        """
        return each_second(self.blocks, x_BTD, mask_BT)


class Projection(nn.Sequential):
    """``AV_proj`` and ``W_proj``: two blocks ``f_3, f_4`` into the joint space, eq. (12).

    >>> words = Projection(width_in=300, hidden=128, width_out=64, dropout=0.1)
    >>> words(torch.rand(20, 300)).shape
    torch.Size([20, 64])

    Args:
        width_in: width of the input.
        hidden: width of the hidden layer.
        width_out: width of the joint space, E.
        dropout: ``d_proj`` or ``d_wproj`` of the paper.
    """

    def __init__(self, width_in: int, hidden: int, width_out: int, dropout: float) -> None:
        super().__init__(
            norm_relu_block(width_in, hidden, dropout), norm_relu_block(hidden, width_out, dropout)
        )


class Unit(nn.Module):
    """``x / ‖x‖``, onto the unit sphere of the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        """The shape of ``x``."""
        return F.normalize(x, dim=-1)


class Reconstruction(nn.Sequential):
    """The reconstruction layer of eq. (15): joint space → word space.

    As the projection, but its last layer is linear: word vectors have negative entries, which
    a final ReLU could not reconstruct.

    Args:
        width_in: width of the joint space, E.
        hidden: width of the hidden layer.
        width_out: width of the word space, W.
        dropout: ``d_dec`` of the paper.
    """

    def __init__(self, width_in: int, hidden: int, width_out: int, dropout: float) -> None:
        super().__init__(norm_relu_block(width_in, hidden, dropout), nn.Linear(hidden, width_out))


def each_second(layer: Callable[[Tensor], Tensor], x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """``layer`` of the seconds that exist, as one batch (X,D); 0 at the others.

    Args:
        layer: maps rows to as many rows.
        x_BTD: its input.
        mask_BT: bool, True where the second exists.
    """
    if mask_BT.all():  # the usual case, without copies of what exists
        return layer(x_BTD.flatten(0, 1)).unflatten(0, mask_BT.shape)
    out_XD = layer(x_BTD[mask_BT])
    out_BTD = out_XD.new_zeros(*mask_BT.shape, out_XD.shape[-1])
    return out_BTD.masked_scatter(mask_BT[..., None], out_XD)


def masked_mean(x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean over the seconds that exist, (B,D): ``Σ_t m_t x_t / Σ_t m_t``."""
    weight_BT1 = mask_BT[..., None].to(x_BTD.dtype)
    return (x_BTD * weight_BT1).sum(1) / weight_BT1.sum(1).clamp_min(1)


def at_seconds(mask_BT: Tensor, x_BTD: Tensor) -> Tensor:
    """``x`` with zeros at the seconds that do not exist."""
    return torch.where(mask_BT[..., None], x_BTD, x_BTD.new_zeros(()))

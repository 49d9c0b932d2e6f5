"""Motion as a value: a path of the spikes to the embedding beside the gate of eq. (10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from mdft.model.layers import at_seconds

#: Factor on the encoded features in the input of the recurrence. With 1 the network memorises the
#: training clips by their features.
FEATURES = 0.3


class LinearReadout(nn.Module):
    """``M^t = W · BN(s̄^t)``, s̄ the firing rates of second t in all pathways.

    Args:
        dim: width D; a motion branch has as many output neurons.
        pathways: which of ``"audio"`` and ``"visual"`` have a motion branch.
        dropout: of the normalised rates.
    """

    def __init__(self, dim: int, pathways: Iterable[str], dropout: float) -> None:
        super().__init__()
        self.pathways = tuple(pathways)
        width = dim * len(self.pathways)
        self.norm = nn.BatchNorm1d(width)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(width, dim)

    def forward(
        self, output: Mapping[str, Tensor], a_BTD: Tensor, v_BTD: Tensor, mask_BT: Tensor
    ) -> Tensor:
        """``M`` (B,T,D), 0 at the seconds that do not exist.

        Args:
            output: pathway → output (B,S,D) of its motion branch.
            a_BTD: encoded audio features.
            v_BTD: encoded visual features.
            mask_BT: bool, True where the second exists.
        """
        T = mask_BT.shape[1]
        rates = [output[p].unflatten(1, (T, -1)).mean(2) for p in self.pathways]
        value = self.out(self.drop(self.norm(torch.cat(rates, -1)[mask_BT])))
        return value.new_zeros(a_BTD.shape).masked_scatter(mask_BT[..., None], value)


class RecurrentReadout(nn.Module):
    """``M^t = W · mean_k GRU([BN(s(t, k)); a^t; v^t])``: a gated recurrence over the event bins.

    As the joint knowledge of the RJLU, the state of the recurrence is updated by a gate; it is
    updated once per event bin and sees the spikes, so that it can tell in which order things happen
    within a clip. The normalisation gives a branch of any scale, spikes or an MLP, the same weight
    against the features.

    Args:
        dim: width D; a motion branch has as many output neurons.
        pathways: which of ``"audio"`` and ``"visual"`` have a motion branch.
        dropout: of the input of the recurrence.
    """

    def __init__(self, dim: int, pathways: Iterable[str], dropout: float) -> None:
        super().__init__()
        self.pathways = tuple(pathways)
        width = dim * len(self.pathways)
        self.norm = nn.BatchNorm1d(width)
        self.spikes = nn.Linear(width, dim)
        self.features = nn.Linear(2 * dim, dim, bias=False)
        self.drop = nn.Dropout(dropout)
        self.recurrence = nn.GRU(dim, dim, batch_first=True)
        self.out = nn.Linear(dim, dim)

    def forward(
        self, output: Mapping[str, Tensor], a_BTD: Tensor, v_BTD: Tensor, mask_BT: Tensor
    ) -> Tensor:
        """``M`` (B,T,D), 0 at the seconds that do not exist; as :meth:`LinearReadout.forward`."""
        T = mask_BT.shape[1]
        features_BTD = FEATURES * self.features(torch.cat([a_BTD, v_BTD], -1))
        output_BSX = torch.cat([output[p] for p in self.pathways], -1)
        mask_BS = mask_BT.repeat_interleave(output_BSX.shape[1] // T, dim=1)
        norm = self.norm(output_BSX[mask_BS])
        output_BSX = norm.new_zeros(output_BSX.shape).masked_scatter(mask_BS[..., None], norm)
        spikes_BSD = self.spikes(output_BSX)
        x_BTKD = spikes_BSD.unflatten(1, (T, -1)) + features_BTD[:, :, None]
        states_BSD, _ = self.recurrence(self.drop(torch.relu(x_BTKD.flatten(1, 2))))
        return at_seconds(mask_BT, self.out(states_BSD.unflatten(1, (T, -1)).mean(2)))


class BothReadouts(nn.Module):
    """The sum of :class:`LinearReadout` and :class:`RecurrentReadout`.

    Args:
        dim: width D; a motion branch has as many output neurons.
        pathways: which of ``"audio"`` and ``"visual"`` have a motion branch.
        dropout: of both inputs.
    """

    def __init__(self, dim: int, pathways: Iterable[str], dropout: float) -> None:
        super().__init__()
        self.linear = LinearReadout(dim, pathways, dropout)
        self.recurrent = RecurrentReadout(dim, pathways, dropout)

    def forward(
        self, output: Mapping[str, Tensor], a_BTD: Tensor, v_BTD: Tensor, mask_BT: Tensor
    ) -> Tensor:
        """``M`` (B,T,D), 0 at the seconds that do not exist; as :meth:`LinearReadout.forward`."""
        given = (output, a_BTD, v_BTD, mask_BT)
        return self.linear(*given) + self.recurrent(*given)


#: Value of ``MotionConfig.value`` → its module.
READOUTS = {"linear": LinearReadout, "recurrent": RecurrentReadout, "both": BothReadouts}

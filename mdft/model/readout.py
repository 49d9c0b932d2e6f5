"""Motion as a value: a path from the spikes to the embedding beside the gate of eq. (10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from mdft.model.layers import each_second

#: Factor on the encoded features in the input of the recurrence. With 1 the network learns the
#: training clips by heart, from their features.
FEATURES = 0.3


class LinearReadout(nn.Module):
    """``M^t = W · BN(s̄^t) + b``, s̄ the mean output of all pathways in second t.

    Args:
        dim: width D; a motion branch has as many output neurons.
        pathways: which of ``"audio"`` and ``"visual"`` have a motion branch.
        dropout: of the normalised rates.
    """

    def __init__(self, dim: int, pathways: Iterable[str], dropout: float) -> None:
        super().__init__()
        self.pathways = tuple(pathways)
        width = dim * len(self.pathways)
        self.layers = nn.Sequential(
            nn.BatchNorm1d(width), nn.Dropout(dropout), nn.Linear(width, dim)
        )

    def forward(
        self, output: Mapping[str, Tensor], a_BTD: Tensor, v_BTD: Tensor, mask_BT: Tensor
    ) -> Tensor:
        """``M`` (B,T,D), 0 at the seconds that do not exist.

        Args:
            output: pathway → output (B,S,D) of its motion branch.
            a_BTD: encoded audio features, which it does not use.
            v_BTD: encoded visual features, which it does not use.
            mask_BT: bool, True where the second exists.
        """
        steps_BSD = torch.cat([output[p] for p in self.pathways], -1)
        rate_BTD = steps_BSD.unflatten(1, (mask_BT.shape[1], -1)).mean(2)
        return each_second(self.layers, rate_BTD, mask_BT)


class RecurrentReadout(nn.Module):
    """``M^t = W · mean_k GRU(x(t, k)) + b``: a gated recurrence over the event bins.

    ``x(t, k) = ReLU(V · BN(s(t, k)) + 0.3 U [a^t; v^t])``; the normalisation gives spikes and the
    output of an MLP the same weight against the features. Like the joint knowledge of the RJLU its
    state is updated by a gate, but once per event bin and from the spikes, so that it can tell in
    which order things happen in a clip.

    Args:
        dim: width D; a motion branch has as many output neurons.
        pathways: which of ``"audio"`` and ``"visual"`` have a motion branch.
        dropout: of the input of the recurrence.
    """

    def __init__(self, dim: int, pathways: Iterable[str], dropout: float) -> None:
        super().__init__()
        self.pathways = tuple(pathways)
        width = dim * len(self.pathways)
        self.spikes = nn.Sequential(nn.BatchNorm1d(width), nn.Linear(width, dim))
        self.features = nn.Linear(2 * dim, dim, bias=False)
        self.drop = nn.Dropout(dropout)
        self.recurrence = nn.GRU(dim, dim, batch_first=True)
        self.out = nn.Linear(dim, dim)

    def forward(
        self, output: Mapping[str, Tensor], a_BTD: Tensor, v_BTD: Tensor, mask_BT: Tensor
    ) -> Tensor:
        """``M`` (B,T,D), 0 at the seconds that do not exist.

        Padding follows the clip, so that it cannot change the state in a second that exists.

        Args:
            output: pathway → output (B,S,D) of its motion branch.
            a_BTD: encoded audio features.
            v_BTD: encoded visual features.
            mask_BT: bool, True where the second exists.
        """
        T = mask_BT.shape[1]
        features_BTD = FEATURES * self.features(torch.cat([a_BTD, v_BTD], -1))
        steps_BSD = torch.cat([output[p] for p in self.pathways], -1)
        mask_BS = mask_BT.repeat_interleave(steps_BSD.shape[1] // T, dim=1)
        spikes_BTKD = each_second(self.spikes, steps_BSD, mask_BS).unflatten(1, (T, -1))
        x_BTKD = torch.relu(spikes_BTKD + features_BTD[:, :, None])
        states_BSD, _ = self.recurrence(self.drop(x_BTKD.flatten(1, 2)))
        return each_second(self.out, states_BSD.unflatten(1, (T, -1)).mean(2), mask_BT)


#: Value of ``MotionConfig.value`` → the readouts whose sum is added to the output of the CRM.
READOUTS: dict[str, tuple[type[LinearReadout] | type[RecurrentReadout], ...]] = {
    "gate": (),
    "linear": (LinearReadout,),
    "recurrent": (RecurrentReadout,),
    "both": (LinearReadout, RecurrentReadout),
}

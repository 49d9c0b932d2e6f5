"""Motion as a value: a path from the spikes to the embedding beside the gate of eq. (10).

The gate has the rates of the last layer, as in the paper; the readouts have the spikes of all
layers. Each further layer loses some of what the first one tells about the events (docs/spikes.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mdft.model.layers import each_second

#: Factor on the encoded features in the input of the recurrence. With 1 the network learns the
#: training clips by heart, from their features.
FEATURES = 0.3


class LinearReadout(nn.Module):
    """``M^t = W · BN(s̄^t) + b``, s̄ the mean output of all layers and pathways in second t.

    Args:
        dim: width D; a layer of a motion branch has as many neurons.
        pathways: which of ``"audio"`` and ``"visual"`` have a motion branch.
        layers: number of layers of a motion branch.
        dropout: of the normalised rates.
    """

    def __init__(self, dim: int, pathways: Iterable[str], layers: int, dropout: float) -> None:
        super().__init__()
        self.pathways = tuple(pathways)
        width = dim * len(self.pathways) * layers
        self.layers = nn.Sequential(
            nn.BatchNorm1d(width), nn.Dropout(dropout), nn.Linear(width, dim)
        )

    def forward(
        self,
        layers: Mapping[str, Sequence[Tensor]],
        a_BTD: Tensor,
        v_BTD: Tensor,
        mask_BT: Tensor,
    ) -> Tensor:
        """``M`` (B,T,D), 0 at the seconds that do not exist.

        Args:
            layers: pathway → output (B,S,D) of each layer of its motion branch.
            a_BTD: encoded audio features, which it does not use.
            v_BTD: encoded visual features, which it does not use.
            mask_BT: bool, True where the second exists.
        """
        steps_BSF = torch.cat([x_BSD for p in self.pathways for x_BSD in layers[p]], -1)
        rate_BTF = steps_BSF.unflatten(1, (mask_BT.shape[1], -1)).mean(2)
        return each_second(self.layers, rate_BTF, mask_BT)


class RecurrentReadout(nn.Module):
    """``M^t = W · mean_k GRU(x(t, k)) + b``: a gated recurrence over the event bins.

    ``x(t, k) = ReLU(V · BN(s(t, k)) + 0.3 U [a^t; v^t])``, s the output of all layers and pathways
    in bin k; the normalisation gives spikes and the
    output of an MLP the same weight against the features. Like the joint knowledge of the RJLU its
    state is updated by a gate, but once per event bin and from the spikes, so that it can tell in
    which order things happen in a clip.

    Args:
        dim: width D; a layer of a motion branch has as many neurons.
        pathways: which of ``"audio"`` and ``"visual"`` have a motion branch.
        layers: number of layers of a motion branch.
        dropout: of the input of the recurrence.
    """

    def __init__(self, dim: int, pathways: Iterable[str], layers: int, dropout: float) -> None:
        super().__init__()
        self.pathways = tuple(pathways)
        width = dim * len(self.pathways) * layers
        self.spikes = nn.Sequential(nn.BatchNorm1d(width), nn.Linear(width, dim))
        self.features = nn.Linear(2 * dim, dim, bias=False)
        self.drop = nn.Dropout(dropout)
        self.recurrence = nn.GRU(dim, dim, batch_first=True)
        self.out = nn.Linear(dim, dim)

    def forward(
        self,
        layers: Mapping[str, Sequence[Tensor]],
        a_BTD: Tensor,
        v_BTD: Tensor,
        mask_BT: Tensor,
    ) -> Tensor:
        """``M`` (B,T,D), 0 at the seconds that do not exist.

        Padding follows the clip, so that it cannot change the state in a second that exists.

        Args:
            layers: pathway → output (B,S,D) of each layer of its motion branch.
            a_BTD: encoded audio features.
            v_BTD: encoded visual features.
            mask_BT: bool, True where the second exists.
        """
        T = mask_BT.shape[1]
        features_BTD = FEATURES * self.features(torch.cat([a_BTD, v_BTD], -1))
        steps_BSF = torch.cat([x_BSD for p in self.pathways for x_BSD in layers[p]], -1)
        mask_BS = mask_BT.repeat_interleave(steps_BSF.shape[1] // T, dim=1)
        spikes_BTKD = each_second(self.spikes, steps_BSF, mask_BS).unflatten(1, (T, -1))
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

"""A small GRU that predicts the attributes of clips, for the probes of docs/order.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class GruConfig:
    """Size and training of the GRU.

    Attributes:
        embedding: width of the linear layer before the GRU.
        hidden: units of each of its two directions.
        dropout: dropout of the embedding and of the pooled states.
        epochs: epochs at most.
        batch: clips per step.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
    """

    embedding: int = 64
    hidden: int = 96
    dropout: float = 0.25
    epochs: int = 24
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4


class Gru(nn.Module):
    """Linear, ReLU, bidirectional GRU, mean and maximum over time, and one linear layer."""

    def __init__(self, features: int, outputs: int, config: GruConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(features, config.embedding)
        self.gru = nn.GRU(config.embedding, config.hidden, batch_first=True, bidirectional=True)
        self.out = nn.Linear(4 * config.hidden, outputs)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x_BSF: Tensor) -> Tensor:
        """(B, S, F) sequences → (B, outputs) logits."""
        states_BSH, _ = self.gru(self.drop(torch.relu(self.embed(x_BSF))))
        pooled = torch.cat([states_BSH.mean(dim=1), states_BSH.amax(dim=1)], dim=1)
        return self.out(self.drop(pooled))


def train(
    x_NSF: Tensor,
    values_NA: Tensor,
    sizes: Sequence[int],
    clips: np.ndarray,
    config: GruConfig,
    seed: int,
    after: Callable[[int, np.ndarray], None],
) -> None:
    """Train on the cross entropy of every attribute.

    Args:
        x_NSF: the sequences of all clips.
        values_NA: the value of each attribute of each clip, from 0.
        sizes: number of values of each attribute.
        clips: (n,) indices of the training clips.
        config: size and training.
        seed: of weights, batches and dropout.
        after: called after each epoch with its number from 1 and the (N, Σ sizes) float64
            probabilities of the values for all clips, attribute after attribute.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Gru(x_NSF.shape[-1], sum(sizes), config)
        optimiser = torch.optim.AdamW(
            model.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        for epoch in range(1, config.epochs + 1):
            model.train()
            for batch in torch.tensor(clips)[torch.randperm(len(clips))].split(config.batch):
                logits = model(x_NSF[batch]).split(list(sizes), dim=1)
                loss = torch.stack(
                    [F.cross_entropy(p, v) for p, v in zip(logits, values_NA[batch].T, strict=True)]
                ).sum()
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
            after(epoch, _probabilities(model, x_NSF, sizes))


@torch.no_grad()
def _probabilities(model: Gru, x_NSF: Tensor, sizes: Sequence[int]) -> np.ndarray:
    model.eval()
    logits = torch.cat([model(part) for part in x_NSF.split(256)]).double()
    return torch.cat([p.softmax(dim=1) for p in logits.split(list(sizes), dim=1)], dim=1).numpy()

"""Draw the training batches of a stage."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mdft.data.dataset import Batch, ClipSet
from mdft.data.stages import Stage
from mdft.distributed.world import world
from mdft.systems.interface import TrainingBatch
from mdft.training.feed import Feed, Wanted
from mdft.training.sampler import BalancedSampler, draw_negatives


class TrainingBatches:
    """Draws class-balanced batches of a stage's training split, and their negatives.

    All processes draw the same clips; each reads its own share of them.

    Args:
        clips: the data set.
        feed: loads the drawn clips onto the device.
        stage: the stage whose training split is used.
        batch_size: clips per batch over all processes; fewer if the split has fewer.
        generator: the random generator of all draws, on the feed's device.
        steps: batches per epoch; default: as many as the split fills.
    """

    def __init__(
        self,
        clips: ClipSet,
        feed: Feed,
        stage: Stage,
        batch_size: int,
        generator: torch.Generator,
        steps: int | None = None,
    ) -> None:
        self.clips, self.feed, self.stage, self.generator = clips, feed, stage, generator
        self.device = generator.device
        self.indices = clips.splits[stage.train]
        self.size = min(batch_size, len(self.indices))
        #: Batches per epoch.
        self.steps = steps or math.ceil(len(self.indices) / batch_size)
        self.sampler = BalancedSampler(self._labels(self.indices))
        classes = clips.classes_of(stage.train)
        self.classes_C = torch.from_numpy(classes).to(self.device)
        self.words_CW = torch.tensor(clips.words_CW[classes], device=self.device)

    def whole(self) -> Batch:
        """One drawn batch, the same complete batch in every process."""
        return self.feed.batch(self._draw())

    def epoch(self, *, negatives: bool) -> Iterator[tuple[np.ndarray, TrainingBatch]]:
        """Yield the clip indices of each batch over all processes, and this process's batch.

        All indices are drawn first, so that the feed can read ahead.

        Args:
            negatives: whether to draw a negative for each clip.
        """
        drawn = [self._chosen(negatives) for _ in range(self.steps)]
        read = self.feed.batches([self._share(chosen) for chosen, *_ in drawn])
        for (chosen, targets_B, other_B), clips in zip(drawn, read, strict=True):
            yield chosen, TrainingBatch(clips, self.words_CW, targets_B, other_B)

    def _draw(self) -> np.ndarray:
        return self.indices[self.sampler.draw(self.size, self.generator).numpy(force=True)]

    def _chosen(self, negatives: bool) -> tuple[np.ndarray, Tensor, Tensor | None]:
        chosen = self._draw()
        labels_B = self._labels(chosen)
        other_B = draw_negatives(labels_B, self.generator) if negatives else None
        return chosen, torch.searchsorted(self.classes_C, labels_B), other_B

    def _share(self, chosen: np.ndarray) -> Wanted:
        # The same number of seconds in all processes: their autograd graphs must be the same.
        return chosen[world().rows(len(chosen))], int(self.clips.seconds_N[chosen].max())

    def _labels(self, indices: np.ndarray) -> Tensor:
        return torch.from_numpy(self.clips.labels_N[indices]).to(self.device)

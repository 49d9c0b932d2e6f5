"""Ridge regression and class means: systems in closed form, without a training step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.config.baselines import STRENGTHS, ClassMeansConfig, RidgeConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import Batch, ClipSet
from mdft.data.feature_bins import CHANNELS
from mdft.data.stages import Stage
from mdft.model.layers import masked_mean
from mdft.model.regression import ridge
from mdft.systems.blocks import concatenated, of_clips
from mdft.systems.interface import Embedded, Loss, System, TrainingBatch, joint, summed


class ClosedForm(System):
    """A system that :meth:`prepare` fits to the training split.

    It has no training steps; each epoch stands for one of ``STRENGTHS``.
    """

    needs_negatives = False
    descends = False

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def loss(self, batch: TrainingBatch) -> Loss:
        """0, since there is nothing to descend."""
        return summed({"none": 0 * self.unused})

    def _keep(self, **arrays: np.ndarray) -> None:
        for name, array in arrays.items():
            setattr(self, name, torch.from_numpy(array).to(self.unused.device))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name, buffer in list(self.named_buffers(recurse=False)):
            saved = state_dict.get(prefix + name)
            if saved is not None:  # its size depends on the data
                setattr(self, name, torch.empty_like(saved, device=buffer.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)


class Ridge(ClosedForm):
    """Ridge regression from a clip's features to the word vector of its class.

    The class with the nearest word vector in the Euclidean distance is the prediction.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    map_FW: Tensor
    mean_F: Tensor
    mean_W: Tensor

    def __init__(self, widths: ModelConfig, config: RidgeConfig) -> None:
        super().__init__()
        self.config = config
        for name, shape in (("map_FW", (0, 0)), ("mean_F", (0,)), ("mean_W", (0,))):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    def inputs(self, batch: Batch) -> Tensor:
        """The regression's input, float64: the mean over the steps (B,D), or all in a row (B,T·D).

        The last 512 visual features are E_v, if it is an input.
        """
        config = self.config
        events_BTD = batch.visual_BTD[..., -CHANNELS:]
        if config.use == "events":
            x_BTD = events_BTD
        else:
            features_BTD = batch.visual_BTD[..., :-CHANNELS]
            x_BTD = torch.cat([batch.audio_BTD, features_BTD, config.events_weight * events_BTD], 2)
        if config.time == "mean":
            return masked_mean(x_BTD, batch.mask_BT).double()
        return (x_BTD * batch.mask_BT[..., None]).flatten(1).double()

    def embed_clips(self, batch: Batch) -> Embedded:
        """The predicted word vector, (B,1,W); steps beyond those in training are left out."""
        x_BF, features = self.inputs(batch), len(self.mean_F)
        x_BF = F.pad(x_BF[:, :features], (0, max(0, features - x_BF.shape[1])))
        return joint((x_BF - self.mean_F) @ self.map_FW + self.mean_W)

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """The word vectors themselves."""
        return words_CW

    def prepare(self, clips: ClipSet, stage: Stage, epoch: int) -> None:
        """Fit the regression with the strength of an epoch."""
        indices = clips.splits[stage.train]
        x_NF = of_clips(self.inputs, clips, indices, self.unused.device)
        words_NW = clips.words_CW[clips.labels_N[indices]]
        map_FW, mean_F, mean_W = ridge(x_NF, words_NW, STRENGTHS[epoch])
        self._keep(map_FW=map_FW, mean_F=mean_F, mean_W=mean_W)


class ClassMeans(ClosedForm):
    """Nearest class mean of averaged features.

    The mean of a class without training clips is predicted from its word vector, by a ridge
    regression of the other classes' means on their word vectors.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    means_CF: Tensor
    words_CW: Tensor
    map_WF: Tensor
    mean_W: Tensor
    mean_F: Tensor

    def __init__(self, widths: ModelConfig, config: ClassMeansConfig) -> None:
        super().__init__()
        for name in ("means_CF", "words_CW", "map_WF"):
            self.register_buffer(name, torch.zeros(0, 0, dtype=torch.float64))
        for name in ("mean_W", "mean_F"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))

    def embed_clips(self, batch: Batch) -> Embedded:
        """The averaged features of both modalities, (B,1,F)."""
        return joint(concatenated(batch).double())

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """The mean of each class, (C,F): measured for classes of the training split."""
        words_CW = words_CW.double()
        predicted_CF = (words_CW - self.mean_W) @ self.map_WF + self.mean_F
        same_CC = (words_CW[:, None] == self.words_CW).all(-1)
        known_C = same_CC.any(1)
        own_CF = self.means_CF[same_CC.int().argmax(1)]
        return torch.where(known_C[:, None], own_CF, predicted_CF)

    def prepare(self, clips: ClipSet, stage: Stage, epoch: int) -> None:
        """Measure the means, and fit the regression with the strength of an epoch."""
        indices = clips.splits[stage.train]
        x_NF = of_clips(concatenated, clips, indices, self.unused.device).astype(np.float64)
        labels_N = clips.labels_N[indices]
        classes_C = np.unique(labels_N)
        means_CF = np.stack([x_NF[labels_N == c].mean(0) for c in classes_C])
        words_CW = clips.words_CW[classes_C].astype(np.float64)
        map_WF, mean_W, mean_F = ridge(words_CW, means_CF, STRENGTHS[epoch])
        self._keep(
            means_CF=means_CF, words_CW=words_CW, map_WF=map_WF, mean_W=mean_W, mean_F=mean_F
        )

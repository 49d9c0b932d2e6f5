"""Labels without training as a baseline: the concepts that the backbone's networks know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mdft.config.baselines import ConSEConfig
from mdft.config.features import LIGHT, FeatureConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import Batch, ClipSet
from mdft.data.stages import Stage
from mdft.data.video.backbones import make_backbone
from mdft.data.video.concepts import Head, mixtures
from mdft.errors import UserError
from mdft.model.layers import masked_mean
from mdft.systems.interface import Embedded, joint
from mdft.systems.ridge import ClosedForm

_LEAST = 1e-12
_MODALITIES = ("audio", "visual")
_PARTS = ("weight_KD", "bias_K", "prior_K", "names_JW", "first_K", "mean_D", "deviation_D")


class ConSE(ClosedForm):
    """The backbone `light` without training (:mod:`mdft.data.video.concepts`).

    An embedding of a clip is the probabilities of all concepts of both networks, each divided by
    its prior; one of a class is its mixture of concepts. Nothing is fitted to the clips:
    :meth:`prepare` undoes the standardisation of the features.

    Args:
        widths: the widths of the data; not used.
        config: the temperature τ of a class's mixture.
    """

    counts: Tensor

    def __init__(self, widths: ModelConfig, config: ConSEConfig) -> None:
        super().__init__()
        self.tau = config.tau
        self.register_buffer("counts", torch.zeros(2, dtype=torch.int64))
        for modality in _MODALITIES:
            for part in _PARTS:
                shape = (0, 0) if part[-2:] in ("KD", "JW") else (0,)
                self.register_buffer(f"{modality}_{part}", torch.zeros(shape, dtype=torch.float64))

    def embed_clips(self, batch: Batch) -> Embedded:
        """``p(k | clip) / p(k)`` of all concepts, the mean over the seconds, (B,1,K_a+K_v)."""
        found = []
        for modality, x_BTD in zip(_MODALITIES, (batch.audio_BTD, batch.visual_BTD), strict=True):
            weight_KD, bias_K, prior_K, _, _, mean_D, deviation_D = self._parts(modality)
            features_BTD = x_BTD[..., : len(mean_D)].double() * deviation_D + mean_D
            logits_BTK = features_BTD @ weight_KD.T + bias_K
            exclusive = modality == "visual"
            p_BTK = logits_BTK.softmax(-1) if exclusive else logits_BTK.sigmoid()
            found.append(masked_mean(p_BTK, batch.mask_BT) / prior_K)
        return joint(torch.cat(found, dim=-1))

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """The mixtures ``p(k | c)`` of both networks, (C,K_a+K_v)."""
        v_CW = F.normalize(words_CW.double(), dim=-1).numpy(force=True)
        found = []
        for modality in _MODALITIES:
            names_JW, first_K = (x.numpy(force=True) for x in self._parts(modality)[3:5])
            found.append(mixtures(v_CW, names_JW, first_K.astype(np.int64), self.tau))
        return torch.from_numpy(np.concatenate(found, axis=1)).to(words_CW.device)

    def distances(self, clips: Embedded, o_w_CE: Tensor) -> np.ndarray:
        """(B,C) float64: ``−Σ_m log s_m(c | clip)``, normalised over the candidates."""
        split = [int(n) for n in self.counts]
        total = 0.0
        pairs = zip(clips.o_BRE[:, 0].split(split, -1), o_w_CE.split(split, -1), strict=True)
        for p_BK, mixtures_CK in pairs:
            s_BC = p_BK @ mixtures_CK.T
            total = total - (s_BC / s_BC.sum(-1, keepdim=True)).clamp_min(_LEAST).log()
        assert isinstance(total, Tensor)
        return total.numpy(force=True)

    def prepare(self, clips: ClipSet, stage: Stage, epoch: int) -> None:
        """Take the last layers of the backbone's networks, and the scale of the features.

        Raises:
            UserError: the features or the words are not those of the backbone `light`.
        """
        found = clips.provenance
        features = dict(found.features or {}) if found else {}
        if found is None or features.get("backbone") != LIGHT:
            raise UserError(
                f"--model conse: needs features of --backbone {LIGHT}, found "
                f"{features.get('backbone', 'features that record no backbone')}"
            )
        if any(scale.map_DD is not None for scale in clips.scales.values()):
            raise UserError(
                "--model conse: reads features as its networks give them; leave --data.whiten out"
            )
        checkpoint = found.checkpoint or None
        config = FeatureConfig(**{**features, "checkpoint": checkpoint and Path(checkpoint)})
        language = make_backbone(config).language
        assert language is not None
        if found.words != language.name:
            raise UserError(
                f"--model conse: needs the words of {language.name}, found {found.words}; leave "
                "--data.vectors out"
            )
        heads = language.heads
        for modality in _MODALITIES:
            self._take(modality, heads[modality], language.vectors(heads[modality].names), clips)
        self._keep(counts=np.array([len(heads[m].concepts) for m in _MODALITIES]))

    def _take(self, modality: str, head: Head, names_JW: np.ndarray, clips: ClipSet) -> None:
        width = head.weight_KD.shape[1]
        scale = clips.scales.get(modality)
        mean_D = np.zeros(width) if scale is None else scale.mean_D[:width]
        deviation_D = np.ones(width) if scale is None else scale.deviation_D[:width]
        values = (
            head.weight_KD,
            head.bias_K,
            head.prior_K,
            names_JW,
            head.first_K,
            mean_D,
            deviation_D,
        )
        arrays = {
            f"{modality}_{part}": np.array(value, dtype=np.float64)
            for part, value in zip(_PARTS, values, strict=True)
        }
        self._keep(**arrays)

    def _parts(self, modality: str) -> tuple[Tensor, ...]:
        return tuple(getattr(self, f"{modality}_{part}") for part in _PARTS)

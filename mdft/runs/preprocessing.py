"""``classes.safetensors`` of a run: the preprocessing of its model's input.

The file contains class names, word vectors, which classes are seen, the standardisation of the
features and the feature extraction, so that a clip can be labelled without the data set. It also
has a digest of each split, so that another data set is not taken for that of the run
(:mod:`mdft.runs.same_data`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mdft.config.data import DataConfig
from mdft.config.features import FeatureConfig
from mdft.data.dataset import Batch, ClipSet, offsets_of
from mdft.data.feature_bins import CHANNELS, feature_bins
from mdft.data.files.join import middle
from mdft.data.scale import Scale
from mdft.data.stages import STAGES
from mdft.data.standardise import averaged_over_clips, with_events_as_features
from mdft.errors import UserError
from mdft.runs.tensors import read_tensors, write_tensors

if TYPE_CHECKING:  # it imports PyAV, which training does not need
    from mdft.data.video.clip import ClipFeatures

PREPROCESSING = "classes.safetensors"


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of a trained model's input, and the classes it was trained on.

    Attributes:
        classes: names of all classes of the data set.
        words_CW: (C, W) float32, word vectors of the classes.
        seen_C: (C,) bool, True for classes that stage 2 trained on.
        tested_C: (C,) bool, True for candidates of the test.
        scales: standardisation or whitening of the audio and the visual features.
        extract: configuration of the feature extraction, as JSON with the SHA-256 of the
            checkpoint; None if the data set does not record it.
        checkpoint: path of the checkpoint; empty if there is none.
        events: ``pixel`` or ``feature``, the source of E_v.
        feature_threshold: threshold C of feature events.
        averaged: whether a clip is one vector, the mean over its seconds.
        inputs: ``features``, or ``features+events`` if E_v is part of the visual features.
        words: ``letters``, or the name of the source of the word vectors.
        splits: split → :meth:`mdft.data.dataset.ClipSet.digest_of`; empty in a run of earlier code.
        max_seconds: only the middle of a longer clip is used; None: all of it, as is predicted with
            a run of earlier code.
    """

    classes: Sequence[str]
    words_CW: np.ndarray
    seen_C: np.ndarray
    tested_C: np.ndarray
    scales: Mapping[str, Scale]
    extract: Mapping[str, Any] | None
    checkpoint: str
    events: str
    feature_threshold: float
    averaged: bool
    words: str
    inputs: str = "features"
    splits: Mapping[str, str] = field(default_factory=dict)
    max_seconds: int | None = None

    def batch(self, clips: Sequence[ClipFeatures]) -> Batch:
        """The model's input for some clips: cut and standardised as in training, then padded.

        Args:
            clips: features of the whole clips, not standardised.

        Raises:
            UserError: the features have another width than in training, or were not standardised.
        """
        self._check_widths(clips)
        audio, visual, events = (
            [middle(getattr(c, name), self.max_seconds) for c in clips]
            for name in ("audio_TD", "visual_TD", "events_TKD")
        )
        offsets_N1 = offsets_of(np.array([len(x) for x in audio]))
        visual_MD = np.concatenate(visual)
        if self.events == "feature":
            bins = list(feature_bins(visual_MD, offsets_N1, self.feature_threshold, CHANNELS))
        else:
            bins = events
        index = np.arange(len(clips))
        packed = ClipSet(
            audio_MD=np.concatenate(audio),
            visual_MD=visual_MD,
            events_MKD=np.concatenate(bins),
            offsets_N1=offsets_N1,
            labels_N=np.zeros(len(clips), dtype=np.int64),
            names=[str(i) for i in index],
            classes=self.classes,
            words_CW=self.words_CW,
            splits={},
        )
        if self.inputs == "features+events":
            packed = with_events_as_features(packed)
        if self.averaged:
            packed = averaged_over_clips(packed)
        return replace(packed, scales=self.scales).batch(index)

    def _check_widths(self, clips: Sequence[ClipFeatures]) -> None:
        for clip in clips:
            for name, values_TD in (("audio", clip.audio_TD), ("visual", clip.visual_TD)):
                if name not in self.scales:
                    raise UserError(
                        f"{PREPROCESSING}: no scale of the {name} features, expected those of a "
                        "data source that standardises them; train again"
                    )
                events = CHANNELS * (name == "visual" and self.inputs == "features+events")
                expected = len(self.scales[name].mean_D) - events
                if values_TD.shape[1] != expected:
                    raise UserError(
                        f"{name} features have width {values_TD.shape[1]}, the run was trained on "
                        f"{expected}; name its feature network with --backbone"
                    )

    def features(self, backbone: str | None, checkpoint: Path | None) -> FeatureConfig:
        """The configuration of the feature extraction that was used for training.

        Args:
            backbone: feature network, for a run that does not record it; it must agree with the
                network of a run that does.
            checkpoint: path of its weights; None: the path in training.

        Raises:
            UserError: the run does not record its feature network, or used another one.
        """
        if self.extract is None:
            if backbone is None:
                raise UserError(
                    "the run was trained on feature files that do not record their network; name "
                    "it: --backbone frozen, selavi, torchvision:NAME, light or clip-clap "
                    "(published files: selavi)"
                )
            config = FeatureConfig(backbone=backbone, checkpoint=checkpoint)
            config.check()
            return config
        if backbone not in (None, self.extract["backbone"]):
            raise UserError(
                f"--backbone {backbone}: the run was trained on features of "
                f"{self.extract['backbone']}"
            )
        path = checkpoint or (Path(self.checkpoint) if self.checkpoint else None)
        try:
            config = FeatureConfig(**{**self.extract, "checkpoint": path})
            config.check()
        except (TypeError, AttributeError) as error:
            raise UserError(f"{PREPROCESSING}: invalid feature extraction ({error})") from error
        if config.described() != self.extract:
            raise UserError(
                f"--checkpoint {path}: its weights differ from those that the run was trained with"
            )
        return config


def preprocessing_of(config: DataConfig, clips: ClipSet) -> Preprocessing:
    """The preprocessing of a run on these clips.

    Args:
        config: configuration of the data, which sets the kind of events.
        clips: the loaded clips with their provenance.
    """
    assert clips.provenance is not None, "call check_fit first"
    index = np.arange(len(clips.classes))
    stage = STAGES[-1]
    return Preprocessing(
        classes=clips.classes,
        words_CW=clips.words_CW,
        seen_C=np.isin(index, clips.classes_of(stage.train)),
        tested_C=np.isin(index, clips.classes_of(stage.seen, stage.unseen)),
        scales=clips.scales,
        extract=clips.provenance.features,
        checkpoint=clips.provenance.checkpoint,
        events=config.events,
        feature_threshold=config.feature_threshold,
        averaged=clips.averaged,
        inputs=config.inputs,
        words=clips.provenance.words,
        splits={name: clips.digest_of(name) for name in clips.splits},
        max_seconds=config.max_seconds,
    )


def write_preprocessing(folder: Path, found: Preprocessing) -> None:
    """Write the preprocessing of a run to its folder."""
    arrays = {"words": found.words_CW, "seen": found.seen_C, "tested": found.tested_C}
    arrays |= {f"scale.{k}": s.rows_XD for k, s in found.scales.items()}
    names = ("extract", "checkpoint", "events", "feature_threshold", "averaged", "words", "inputs")
    rest = {name: getattr(found, name) for name in (*names, "max_seconds")}
    rest["classes"] = list(found.classes)
    rest["splits"] = dict(found.splits)
    write_tensors(folder / PREPROCESSING, {k: torch.tensor(v) for k, v in arrays.items()}, rest)


def read_preprocessing(folder: Path) -> Preprocessing:
    """Read the preprocessing of a run.

    Raises:
        UserError: the file is missing, as in a run of an older release, or damaged.
    """
    path = folder / PREPROCESSING
    if not path.is_file():
        raise UserError(f"{path}: no such file; finish the training, or train again")
    tensors, rest = read_tensors(path)
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    try:
        return Preprocessing(
            words_CW=arrays["words"],
            seen_C=arrays["seen"],
            tested_C=arrays["tested"],
            scales={
                name.removeprefix("scale."): Scale.of_rows(rows)
                for name, rows in arrays.items()
                if name.startswith("scale.")
            },
            **rest,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a preprocessing file of this release ({error})") from error

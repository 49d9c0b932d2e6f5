"""``classes.safetensors`` of a run: what its model must be given besides its weights.

Class names and word vectors, which classes are seen, how features are standardised, and how they
were taken from video files: enough to label a clip without the data set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mdft.config.data import DataConfig
from mdft.config.features import FeatureConfig, of_rendered
from mdft.data.dataset import Batch, ClipSet, offsets_of
from mdft.data.feature_bins import CHANNELS, feature_bins
from mdft.data.files.benchmark import AVERAGED_NOTE
from mdft.data.scale import Scale
from mdft.data.stages import STAGES
from mdft.data.video.clip import ClipFeatures
from mdft.data.video.layout import read_manifest
from mdft.errors import UserError
from mdft.runs.tensors import read_tensors, write_tensors

CONTEXT = "classes.safetensors"
#: How word vectors were made that are a function of the name alone.
LETTERS = "letters"


@dataclass(frozen=True)
class Context:
    """What a trained model must be given besides its weights.

    Attributes:
        classes: names of all classes of the data set.
        words_CW: (C, W) float32, their word vectors.
        seen_C: (C,) bool, those trained on in stage 2.
        tested_C: (C,) bool, the candidates of the test.
        scales: of the audio and the visual features.
        extract: how features are taken from clips, in JSON with the SHA-256 of the checkpoint;
            None if the data set does not say.
        checkpoint: where that was; empty if there is none.
        events: ``pixel`` or ``feature``, what E_v was made of.
        feature_threshold: C of feature events.
        averaged: whether a clip is one vector, the mean over its seconds.
        words: ``letters``, or the name of what the word vectors come from.
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

    def batch(self, clip: ClipFeatures) -> Batch:
        """One clip as the model takes it, as clips were in training.

        Args:
            clip: its features, not standardised.

        Raises:
            UserError: features of another width than in training.
        """
        audio_MD, visual_MD = clip.audio_TD, clip.visual_TD
        for name, values_MD in (("audio", audio_MD), ("visual", visual_MD)):
            expected = len(self.scales[name].mean_D)
            if values_MD.shape[1] != expected:
                raise UserError(
                    f"{name} features are {values_MD.shape[1]} wide, the run was trained on "
                    f"{expected}; name its network with --backbone"
                )
        events_MKD = clip.events_TKD
        if self.averaged:
            audio_MD, visual_MD = (x.mean(0, keepdims=True) for x in (audio_MD, visual_MD))
        offsets = offsets_of(np.array([len(audio_MD)]))
        if self.events == "feature":
            bins = feature_bins(visual_MD, offsets, self.feature_threshold, CHANNELS)
            events_MKD = np.concatenate(list(bins))
        clips = ClipSet(
            audio_MD=audio_MD,
            visual_MD=visual_MD,
            events_MKD=events_MKD,
            offsets_N1=offsets,
            labels_N=np.zeros(1, dtype=np.int64),
            names=["clip"],
            classes=self.classes,
            words_CW=self.words_CW,
            splits={},
            scales=self.scales,
        )
        return clips.batch(np.zeros(1, dtype=np.int64))

    def features(self, backbone: str | None, checkpoint: Path | None) -> FeatureConfig:
        """How to take features from a clip as they were taken for training.

        Args:
            backbone: for a run that does not say; must agree with one that does.
            checkpoint: where its weights are now; None: where they were.

        Raises:
            UserError: the run does not say, or was trained on another network's features.
        """
        if self.extract is None:
            if backbone is None:
                raise UserError(
                    "the run was trained on feature files that do not say what made them; name "
                    "it: --backbone frozen, selavi or torchvision:NAME (published ones: selavi)"
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
            raise UserError(f"{CONTEXT}: no way of taking features ({error})") from error
        if config.described() != self.extract:
            raise UserError(f"--checkpoint {path}: other weights than the run was trained with")
        return config


def context_of(config: DataConfig, clips: ClipSet) -> Context:
    """The context of a run on a data set."""
    index = np.arange(len(clips.classes))
    stage = STAGES[-1]
    extract, checkpoint, words = _origin(config)
    return Context(
        classes=clips.classes,
        words_CW=clips.words_CW,
        seen_C=np.isin(index, clips.classes_of(stage.train)),
        tested_C=np.isin(index, clips.classes_of(stage.seen, stage.unseen)),
        scales=clips.scales,
        extract=extract,
        checkpoint=checkpoint,
        events=config.events,
        feature_threshold=config.feature_threshold,
        averaged=AVERAGED_NOTE in clips.notes,
        words=words,
    )


def _origin(config: DataConfig) -> tuple[Mapping[str, Any] | None, str, str]:
    """How the features were made, where the weights lay, and where the words come from."""
    if config.source == "rendered":
        return of_rendered(config.rendered).described(), "", "the embedded benchmark"
    if config.source == "folder":
        checkpoint = str(config.extract.checkpoint or "")
        words = LETTERS if config.vectors is None else config.vectors.name
        return config.extract.described(), checkpoint, words
    assert config.root is not None, "config.check() comes first"
    manifest = read_manifest(config.root)
    if manifest is None:
        return None, "", "its feature files"
    return manifest["features"], "", manifest["words"]


def write_context(folder: Path, context: Context) -> None:
    """Write the context of a run into its folder."""
    arrays = {"words": context.words_CW, "seen": context.seen_C, "tested": context.tested_C}
    arrays |= {f"scale.{k}": np.stack([s.mean_D, s.deviation_D]) for k, s in context.scales.items()}
    names = ("extract", "checkpoint", "events", "feature_threshold", "averaged", "words")
    rest = {"classes": list(context.classes), **{name: getattr(context, name) for name in names}}
    write_tensors(folder / CONTEXT, {k: torch.tensor(v) for k, v in arrays.items()}, rest)


def read_context(folder: Path) -> Context:
    """The context of a run.

    Raises:
        UserError: there is none, as in a run of an older release, or it is damaged.
    """
    path = folder / CONTEXT
    if not path.is_file():
        raise UserError(f"{path}: no such file; finish the training, or train again")
    tensors, rest = read_tensors(path)
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    try:
        return Context(
            words_CW=arrays["words"],
            seen_C=arrays["seen"],
            tested_C=arrays["tested"],
            scales={k: Scale(*arrays[f"scale.{k}"]) for k in ("audio", "visual")},
            **rest,
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: not the context of a run of this release ({error})") from error

"""The scores of labels without training on a run's clips, to see what training gains."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mdft import gzsl
from mdft.config.features import ZERO_SHOT, FeatureConfig
from mdft.config.train import TrainConfig
from mdft.data.dataset import ClipSet
from mdft.data.stages import STAGES, Stage
from mdft.data.video.backbone import Backbone
from mdft.data.video.backbones import make_backbone
from mdft.systems.build import UNTRAINED

#: Fewer test clips than this of unseen classes are worth a note: one clip is over two per cent.
FEW = 50


def untrained(config: TrainConfig, clips: ClipSet) -> gzsl.Scores | None:
    """The test scores of labels without training on the run's clips, β chosen on validation clips.

    Args:
        config: the run's configuration.
        clips: its clips.

    Returns:
        The scores; None if the run trains nothing itself, or its features are not of a backbone
        that labels clips without training.

    Raises:
        UserError: the backbone's weights, with which the features were extracted, are gone.
        OSError: they cannot be read.
    """
    found = clips.provenance
    features = dict(found.features or {}) if found else {}
    if config.system == UNTRAINED or features.get("backbone") not in ZERO_SHOT:
        return None
    if config.data.source != "folder":
        return None
    checkpoint = found.checkpoint if found else None
    features["checkpoint"] = Path(checkpoint) if checkpoint else None
    backbone = make_backbone(FeatureConfig(**features))
    val, test = (_distances(backbone, clips, stage) for stage in STAGES)
    return gzsl.scores(*test, gzsl.choose_beta(*val))


def _distances(
    backbone: Backbone, clips: ClipSet, stage: Stage
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first arguments of :func:`mdft.gzsl.scores`; a distance is ``−Σ_m log s_m(c | clip)``."""
    classes = clips.classes_of(stage.seen, stage.unseen)
    names: list[str] = [clips.classes[int(c)] for c in classes]
    assert backbone.language is not None, "a backbone that labels clips has words"
    label = backbone.language.labeller(names, ("{}",))
    # Further columns are events (--inputs features+events).
    visual_MD = clips.visual_MD[:, : backbone.widths[1]]
    indices = np.concatenate([clips.splits[stage.seen], clips.splits[stage.unseen]])
    rows = []
    for i in indices:
        seconds = slice(clips.offsets_N1[i], clips.offsets_N1[i + 1])
        found = label(clips.audio_MD[seconds], visual_MD[seconds])
        rows.append(-np.sum([evidence.log_C for evidence in found.values()], axis=0))
    labels = np.searchsorted(classes, clips.labels_N[indices])
    return np.stack(rows), labels, np.isin(classes, clips.classes_of(stage.seen))


def few_clips_note(clips: ClipSet) -> str:
    """A note if the test has so few clips of unseen classes that its scores are coarse, or ''."""
    indices = clips.splits[STAGES[-1].unseen]
    if len(indices) >= FEW:
        return ""
    classes = len(np.unique(clips.labels_N[indices]))
    return (
        f"note: {len(indices)} test clips of {classes} unseen classes: one clip is "
        f"{100 / max(len(indices), 1):.0f} % of ZSL; compare over split seeds (--data.split-seed)"
    )

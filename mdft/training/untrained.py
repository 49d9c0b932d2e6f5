"""The scores of labels without training on a run's clips, to see what training gains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mdft import gzsl
from mdft.config.features import LIGHT
from mdft.config.train import TrainConfig
from mdft.data.dataset import ClipSet
from mdft.data.stages import STAGES
from mdft.systems.build import UNTRAINED, build
from mdft.training.evaluation import score_split

#: Fewer test clips than this of unseen classes are worth a note: one clip is over two per cent.
FEW = 50


def untrained(config: TrainConfig, clips: ClipSet) -> gzsl.Scores | None:
    """The test scores of ``--model conse`` on the run's clips, β chosen on its validation clips.

    Args:
        config: the run's configuration.
        clips: its clips.

    Returns:
        The scores; None if the run is conse's own, or its features or words are not light's.
    """
    found = clips.provenance
    backbone = (found.features or {}).get("backbone") if found else None
    words = config.data.vectors is None and config.data.source == "folder"
    if config.system == UNTRAINED or backbone != LIGHT or not words:
        return None
    model = build(replace(config, system=UNTRAINED)).eval()
    beta = 0.0
    for stage in STAGES:
        model.prepare(clips, stage, 0)
        split = score_split(model, clips, stage.seen, stage.unseen, config.batch_size)
        if stage is STAGES[-1]:
            return gzsl.scores(split.distances, split.labels, split.seen, beta)
        beta = gzsl.choose_beta(split.distances, split.labels, split.seen)
    raise AssertionError("there are stages")


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

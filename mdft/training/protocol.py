"""What the two-stage protocol is: its stages, where a run stands, what it needs of the data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mdft.config.train import TrainConfig
from mdft.data.cells import coarser
from mdft.data.dataset import ClipSet
from mdft.data.stages import STAGES
from mdft.errors import UserError, require


@dataclass
class Progress:
    """Where a run is: what a resumed run must know besides its tensors.

    Attributes:
        stage: index into ``STAGES``.
        epoch: epochs of this stage that are done.
        best_epoch: first epoch of stage 1 with the best HM.
        best_hm: that HM.
        beta: β chosen on that epoch's validation distances.
        seconds: wall time so far.
        metrics: one record an epoch, the content of ``metrics.jsonl``.
    """

    stage: int = 0
    epoch: int = 0
    best_epoch: int = 0
    best_hm: float = -1.0
    beta: float = 0.0
    seconds: float = 0.0
    metrics: list[dict[str, Any]] = field(default_factory=list)


_PROGRESS = TypeAdapter(Progress)


def progress_of(path: Path, saved: dict[str, Any]) -> Progress:
    """Where a run stands, from the JSON value beside its tensors.

    Raises:
        UserError: naming ``path``: it is no progress of a run.
    """
    try:
        return _PROGRESS.validate_python(saved)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "(all)"
        raise UserError(f"{path}: field {where}: {first['msg']}; train again") from error


def resumed(path: Path, saved: dict[str, Any], start: Progress | None) -> Progress:
    """Where a run stands that is to be continued.

    Args:
        path: of its state.
        saved: the JSON value beside its tensors.
        start: where it was asked to begin; None: wherever it did.

    Raises:
        UserError: it began elsewhere, so that ``start`` would be ignored; or as
            :func:`progress_of`.
    """
    progress = progress_of(path, saved)
    stands = progress.stage, progress.best_epoch, progress.beta
    if start is not None and stands != (start.stage, start.best_epoch, start.beta):
        raise UserError(
            f"{path}: that run is in stage {progress.stage + 1}, with epoch {progress.best_epoch} "
            f"and beta {progress.beta:g}; to go on with it leave out --stage, --epoch and --beta, "
            "to begin elsewhere name another --out"
        )
    return progress


def check_fit(config: TrainConfig, clips: ClipSet) -> None:
    """Check that a model of this configuration can take these clips.

    Raises:
        UserError: they are of another source than the configuration names, a width differs, or a
            training split holds fewer than two classes.
    """
    source = clips.provenance.source if clips.provenance else None
    expected = f"{source!r}, as the provenance of the clips has it (mdft.data.sources.load_clips)"
    require(source == config.data.source, "data.source", config.data.source, expected)
    given = config.model.audio_features, config.model.visual_features
    audio, visual = clips.audio_MD.shape[-1], clips.visual_MD.shape[-1]
    flags = f"--model.audio-features {audio} --model.visual-features {visual}"
    expected = f"{audio} of sound and {visual} of pictures, as the data has them; give {flags}"
    require(given == (audio, visual), "width of the features", given, expected)
    if config.system == "mdft":  # no baseline takes events
        dim, channels = config.model.dim, clips.events_MKD.shape[-1]
        cells = coarser(channels, dim) if config.data.events == "pixel" else None
        expected = f"{channels}, as the data's event channels; add --model.dim {channels}"
        require(bool(cells) or dim == channels, "model.dim", dim, expected)
    found, words = config.model.words, clips.words_CW.shape[-1]
    expected = f"{words}, as the data's word vectors; add --model.words {words}"
    require(found == words, "model.words", found, expected)
    for stage in STAGES:
        classes = len(clips.classes_of(stage.train))
        require(classes > 1, stage.train, f"{classes} class", "at least two classes")

"""The two-stage protocol: the progress of a run, and its requirements on the data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mdft.config.train import TrainConfig
from mdft.data.cells import coarser
from mdft.data.dataset import ClipSet
from mdft.data.stages import STAGES
from mdft.errors import UserError, first_problem, require
from mdft.runs.folder import (
    METRICS,
    MODEL,
    RESULTS,
    STATE,
    Results,
    read_metrics,
    read_results,
)
from mdft.systems.build import input_widths


@dataclass
class Progress:
    """The progress of a run: everything besides tensors that resuming it needs.

    Attributes:
        stage: index into ``STAGES``.
        epoch: number of finished epochs of this stage.
        best_epoch: first epoch of stage 1 with the best validation HM.
        best_hm: that HM.
        beta: β chosen on that epoch's validation distances.
        seconds: wall-clock time so far.
        metrics: one record per epoch, the content of ``metrics.jsonl``.
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
    """The progress of a run from the JSON value that is stored with its tensors.

    Raises:
        UserError: the value is not the progress of a run; the message names ``path``.
    """
    try:
        return _PROGRESS.validate_python(saved)
    except ValidationError as error:
        where, problem = first_problem(error)
        raise UserError(f"{path}: field {where or '(all)'}: {problem}; train again") from error


def resumed(path: Path, saved: dict[str, Any], start: Progress | None) -> Progress:
    """The progress of a run that is to be resumed.

    Args:
        path: the run's state file.
        saved: the JSON value that is stored with its tensors.
        start: the requested starting point; None: any.

    Raises:
        UserError: the run started elsewhere, so that ``start`` would be ignored; or as
            :func:`progress_of`.
    """
    progress = progress_of(path, saved)
    found = progress.stage, progress.best_epoch, progress.beta
    if start is not None and found != (start.stage, start.best_epoch, start.beta):
        raise UserError(
            f"{path}: that run is in stage {progress.stage + 1}, with epoch {progress.best_epoch} "
            f"and beta {progress.beta:g}; to resume it leave out --stage, --epoch and --beta, "
            "to start elsewhere name another --out"
        )
    return progress


def at_end(folder: Path) -> tuple[Progress, Results] | None:
    """The progress and the results of a finished run that has no state, as sweeps leave it.

    Returns:
        None if the run is not finished, or can be resumed from its state.

    Raises:
        UserError: the results or the metrics are damaged.
    """
    if (folder / STATE).exists() or not all((folder / name).exists() for name in (MODEL, RESULTS)):
        return None
    results = read_results(folder)
    metrics = read_metrics(folder) if (folder / METRICS).exists() else []
    progress = Progress(
        stage=len(STAGES) - 1,
        epoch=results.epoch + 1,
        best_epoch=results.epoch,
        best_hm=max((record["val"]["hm"] for record in metrics if "val" in record), default=-1.0),
        beta=results.beta,
        seconds=results.seconds,
        metrics=metrics,
    )
    return progress, results


def check_fit(config: TrainConfig, clips: ClipSet) -> None:
    """Check that a model of this configuration can be trained on these clips.

    Raises:
        UserError: the clips come from another source than configured, a width differs, or a
            training split has fewer than two classes.
    """
    source = clips.provenance.source if clips.provenance else None
    expected = f"{source!r}, the source in the clips' provenance (mdft.data.sources.load_clips)"
    require(source == config.data.source, "data.source", config.data.source, expected)
    given = config.model.audio_features, config.model.visual_features
    events = input_widths(config).visual_features - config.model.visual_features
    audio, visual = clips.audio_MD.shape[-1], clips.visual_MD.shape[-1] - events
    flags = f"--model.audio-features {audio} --model.visual-features {visual}"
    expected = f"{audio} (audio) and {visual} (visual), the widths of the data; add {flags}"
    require(given == (audio, visual), "width of the features", given, expected)
    if config.system == "mdft":
        dim, channels = config.model.dim, clips.events_MKD.shape[-1]
        expected = (
            f"{channels}, the number of event channels in the data, or a width that they can be "
            f"pooled to; add --model.dim {channels}"
        )
        require(coarser(channels, dim) is not None, "model.dim", dim, expected)
    found, words = config.model.words, clips.words_CW.shape[-1]
    expected = f"{words}, the width of the data's word vectors; add --model.words {words}"
    require(found == words, "model.words", found, expected)
    for stage in STAGES:
        classes = len(clips.classes_of(stage.train))
        require(classes > 1, stage.train, f"{classes} class", "at least two classes")

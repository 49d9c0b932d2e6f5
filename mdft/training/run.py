"""Train and test a model with the two-stage protocol, and write the run's folder."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mdft.config.train import TrainConfig
from mdft.data.dataset import ClipSet
from mdft.data.sources import load_clips
from mdft.distributed import reproducible
from mdft.distributed.device import resolve_device
from mdft.distributed.world import after_first, world
from mdft.errors import UserError, require
from mdft.inference.classifier import Classifier, load
from mdft.runs.folder import Results, contains_run, read_config
from mdft.runs.settings import result_depends_on
from mdft.systems.build import OURS
from mdft.training.board import Board
from mdft.training.protocol import Progress
from mdft.training.screen import TrainingScreen, rates_table, scores_table
from mdft.training.trainer import Report, Trainer
from mdft.training.untrained import few_clips_note, untrained


@dataclass(frozen=True)
class Run:
    """A run trained by :func:`fit`.

    Attributes:
        folder: the run's folder.
        clips: the clips that it was trained and tested on.
        chosen: the choice of stage 1: ``best_epoch``, its validation ``best_hm`` and ``beta``.
        results: the test scores; None after stage 1 alone.
    """

    folder: Path
    clips: ClipSet
    chosen: Progress
    results: Results | None

    @cached_property
    def model(self) -> Classifier:
        """The trained model, as :func:`mdft.load` returns it.

        Raises:
            UserError: stage 2 was not run.
        """
        return load(self.folder)


def fit(
    config: TrainConfig,
    out: Path | str,
    *,
    resume: bool = False,
    only_choose: bool = False,
    start: Progress | None = None,
    progress: Report | None = None,
) -> Run:
    """Train and test with the two-stage protocol, and write the run's folder.

    Prints nothing. With several processes only the first one writes files and reports.

    Args:
        config: everything that the result depends on; :mod:`mdft.config.recipes` has examples.
        out: the run's folder, created if it is missing.
        resume: continue the run in ``out``, or start one if there is none.
        only_choose: stop after stage 1.
        start: starting point of a new run: stage 2 alone, with the epoch and β to use.
        progress: called with ``{"note": text}`` for each note about the data, and with each
            record of :class:`mdft.training.trainer.Trainer`.

    Raises:
        UserError: ``out`` already contains a run and ``resume`` is False, or it contains a run
            of another configuration or on other data and ``resume`` is True; or the configuration
            or the data are invalid.

    Example:
        >>> import tempfile, mdft
        >>> from mdft.config.recipes import debug
        >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
        ...     run = mdft.fit(debug(), folder + "/run", progress=print)
        ...     run.results.hm, run.model.classes
    """
    out = Path(out)
    config.check()
    check_folder(out, config, resume=resume)
    resolve_device(config.device)  # fail before the clips are loaded
    check_processes(config)
    if config.compute.reproducible:
        reproducible.begin()  # before the clips are rendered
    clips = after_first(lambda: load_clips(config.data))
    listeners: list[Report] = [] if progress is None else [progress]

    def report(record: dict[str, Any]) -> None:
        for listener in listeners:
            listener(record)

    trainer = Trainer(config, clips, out, report)
    first = world().first
    if first:  # only after all arguments have been checked
        out.mkdir(parents=True, exist_ok=True)
        for note in clips.notes:
            report({"note": note})
    with Board(out) if first else nullcontext() as board:
        if board:
            listeners.append(board)
            if config.data.events == "pixel":
                board.show(clips)
        results = None
        if only_choose:
            trainer.choose(resume=resume)
        else:
            results = trainer.run(resume=resume, start=start)
    return Run(out, clips, trainer.progress, results)


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    only_choose: bool = False,
    start: Progress | None = None,
    console: Console,
) -> Run:
    """:func:`fit` with progress bars and tables on a console, as in ``python -m mdft.train``."""
    with TrainingScreen(console) as screen:
        run = fit(config, out, resume=resume, only_choose=only_choose, start=start, progress=screen)
    if run.results is None:
        console.print(
            f"stage 1: epoch {run.chosen.best_epoch}, beta {run.chosen.beta:g}, validation HM "
            f"{100 * run.chosen.best_hm:.1f} %; continue with --resume",
            highlight=False,
        )
    else:
        others, notes = None, []
        try:
            others = untrained(config, run.clips)
        except (UserError, OSError) as error:
            notes.append(f"note: no scores of labels without training: {error}")
        console.print(scores_table(run.results, others), "")
        if config.data.source == "folder":
            notes.append(few_clips_note(run.clips))
        for note in filter(None, notes):
            console.print(note, "", soft_wrap=True, highlight=False, markup=False)
        if run.results.firing_rates:
            console.print(rates_table(run.results), "")
    console.print(f"run   {out}\nboard tensorboard --logdir {out}", markup=False)
    return run


def check_folder(out: Path, config: TrainConfig, *, resume: bool) -> None:
    """Check that a folder contains no run, or with ``resume`` one of the same configuration.

    Raises:
        UserError: as :func:`fit`.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: a file of that name exists, expected a folder")
    if contains_run(out):
        if not resume:
            raise UserError(
                f"--out {out}: already contains a run; add --resume or name another folder"
            )
        check_same(out, config)


def check_same(out: Path, config: TrainConfig) -> None:
    """Check that the run in a folder has this configuration, in all that results depend on.

    Raises:
        UserError: its configuration differs.
    """
    before, now = (result_depends_on(c) for c in (read_config(out), config))
    changed = [f.name for f in fields(now) if getattr(now, f.name) != getattr(before, f.name)]
    if changed:
        raise UserError(
            f"{out}: the run there was made with another {', '.join(changed)}; "
            "repeat its flags or name another --out"
        )


def check_processes(config: TrainConfig) -> None:
    """Check that the present number of processes can train a run of this configuration.

    Raises:
        UserError: the run is a baseline's, there are more processes than clips per step or than
            GPUs, or ``--device`` gives one GPU to all processes.
    """
    size = world().size
    if size == 1:
        return
    if config.system != OURS:
        raise UserError(
            f"--model {config.system} under torchrun with {size} processes: a baseline is trained "
            "by one process; leave torchrun out"
        )
    world().rows(config.batch_size)
    device = resolve_device(config.device)
    require(device.index is None, "--device", config.device, "no number: each process has its own")
    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", size)), torch.cuda.device_count()
    if device.type == "cuda" and here > gpus:
        raise UserError(
            f"{here} processes on this machine, which has {gpus} GPUs: "
            f"--nproc-per-node {gpus}, or --device cpu"
        )

"""Score a model on the clips of a seen and an unseen split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from mdft import gzsl
from mdft.data.dataset import Batch, ClipSet
from mdft.data.stages import STAGES
from mdft.distributed.device import resolve_device
from mdft.distributed.world import of_all, world
from mdft.errors import UserError, require
from mdft.model.health import FiringStatistics, LayerHealth, health_record
from mdft.model.mdft import Output
from mdft.runs.folder import RESULTS, Results, read_config, read_results, run_folder
from mdft.runs.load import clips_of, load_model
from mdft.runs.same_data import check_same_data
from mdft.systems.interface import System
from mdft.systems.mdft import embedded
from mdft.training.feed import Feed, Streamed
from mdft.training.protocol import check_fit


@dataclass(frozen=True)
class ScoredSplit:
    """The arguments of :func:`mdft.gzsl.scores`, and the firing statistics.

    Attributes:
        distances: (n,C) distances of clips to candidates.
        labels: (n,) candidate index of each clip.
        seen: (C,) bool, True for seen candidates.
        classes: (C,) class index of each candidate.
        health: ``pathway.layer`` → firing statistics of the layer over these clips.
    """

    distances: np.ndarray
    labels: np.ndarray
    seen: np.ndarray
    classes: np.ndarray
    health: dict[str, LayerHealth]


@torch.no_grad()
def score_split(
    model: System,
    clips: ClipSet,
    seen_split: str,
    unseen_split: str,
    batch_size: int,
    forward: Callable[[Batch], Output] | None = None,
    feed: Feed | None = None,
) -> ScoredSplit:
    """Distances from the clips of a seen and an unseen split to all classes of both.

    With several processes each one computes some of the batches and returns all distances.

    Args:
        model: the model; it is put into eval mode.
        clips: the data set.
        seen_split: name of the split of seen classes.
        unseen_split: name of the split of unseen classes.
        batch_size: clips per forward pass.
        forward: replaces the forward pass of MDFT; None: the model's own.
        feed: loads the batches; None: streams them to the model's device.

    Raises:
        UserError: a split has no clip, or a class is in both.
    """
    for name in (seen_split, unseen_split):
        require(len(clips.splits[name]) > 0, name, "empty", "at least one clip of each class")
    both = np.intersect1d(clips.classes_of(seen_split), clips.classes_of(unseen_split))
    shared = [clips.classes[c] for c in both]
    require(not shared, f"{seen_split} and {unseen_split} share", shared, "no class in both")
    model.eval()
    device = next(model.parameters()).device
    classes = clips.classes_of(seen_split, unseen_split)
    seen = np.isin(classes, clips.classes_of(seen_split))
    indices = np.concatenate([clips.splits[seen_split], clips.splits[unseen_split]])
    o_w_CE = model.embed_words(torch.from_numpy(clips.words_CW[classes]).to(device))
    distances, firing = [], FiringStatistics()
    starts, here = range(0, len(indices), batch_size), world()
    mine = starts[here.rank :: here.size]
    wanted = [(indices[start : start + batch_size], None) for start in mine]
    for batch in (feed or Streamed(clips, device)).batches(wanted):
        found = embedded(forward(batch), batch) if forward else model.embed_clips(batch)
        distances.append(model.distances(found, o_w_CE))
        firing.add(found.spikes.layers, found.spikes.mask_BT)
    gathered = of_all(distances)
    in_order = [gathered[turn % here.size][turn // here.size] for turn in range(len(starts))]
    labels = np.searchsorted(classes, clips.labels_N[indices])
    health = firing.joint().layers()
    return ScoredSplit(np.concatenate(in_order), labels, seen, classes, health)


def results_of(
    split: ScoredSplit, *, beta: float, epoch: int, seed: int, seconds: float
) -> Results:
    """The content of ``results.json``.

    Args:
        split: the test clips, scored.
        beta: β, chosen on validation clips.
        epoch: epoch chosen on validation clips, counted from 0.
        seed: the run's seed.
        seconds: wall-clock time of training.

    Raises:
        UserError: as :func:`mdft.gzsl.scores`.
    """
    result = gzsl.scores(split.distances, split.labels, split.seen, beta)
    return Results(
        seen=result.seen,
        unseen=result.unseen,
        hm=result.hm,
        zsl=result.zsl,
        beta=beta,
        epoch=epoch,
        seed=seed,
        **health_record(split.health),
        candidates=len(split.seen),
        candidates_unseen=int((~split.seen).sum()),
        seconds=seconds,
    )


@dataclass(frozen=True)
class Evaluation:
    """The results of testing a run again.

    Attributes:
        results: the new scores, with the β, epoch, seed and training time of the run.
        saved: the content of ``results.json``.
        split: distances and labels of the test clips.
        clips: the data set.
    """

    results: Results
    saved: Results
    split: ScoredSplit
    clips: ClipSet

    @property
    def changed(self) -> list[str]:
        """Names of the fields whose values differ from those in ``results.json``."""
        return [
            f.name
            for f in fields(Results)
            if getattr(self.results, f.name) != getattr(self.saved, f.name)
        ]


def evaluate(run: Path | str, device: str | None = None) -> Evaluation:
    """Test a saved run on its test splits.

    On the same CPU as in training the results are identical to those of training.

    Args:
        run: the run's folder or the checkpoint file in it.
        device: auto, cpu or cuda; None: the device setting of the training.

    Raises:
        UserError: there is no finished run, or its data has changed since or does not fit it.
    """
    folder = run_folder(run)
    if not (folder / RESULTS).is_file():
        raise UserError(f"{folder}: no {RESULTS} there, which contains β; finish the training")
    config, saved = read_config(folder), read_results(folder)
    model = load_model(folder).to(resolve_device(device or config.device))
    clips, stage = clips_of(folder), STAGES[-1]
    check_same_data(folder, config.data, clips)
    check_fit(config, clips)  # a run of earlier code may record less than the widths
    split = score_split(model, clips, stage.seen, stage.unseen, config.batch_size)
    results = results_of(
        split, beta=saved.beta, epoch=saved.epoch, seed=saved.seed, seconds=saved.seconds
    )
    return Evaluation(results, saved, split, clips)

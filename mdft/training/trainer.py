"""The two-stage protocol: choose an epoch and β on validation classes, then train and test."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from mdft import gzsl
from mdft.config.train import TrainConfig
from mdft.data.dataset import ClipSet
from mdft.data.stages import STAGES, Stage
from mdft.distributed import reproducible
from mdft.distributed.device import resolve_device
from mdft.distributed.world import from_first, world
from mdft.files import only_writer, write_atomic
from mdft.model.health import LayerHealth, health_record
from mdft.model.mdft import MDFT
from mdft.runs.folder import (
    METRICS,
    MODEL,
    RESULTS,
    STATE,
    Results,
    contains_run,
    write_config,
    write_results,
)
from mdft.runs.preprocessing import preprocessing_of, write_preprocessing
from mdft.runs.same_data import check_same_data
from mdft.runs.tensors import read_tensors, write_tensors
from mdft.systems.build import adam, build
from mdft.systems.interface import System
from mdft.training.batches import TrainingBatches
from mdft.training.checkpoint import capture, restore
from mdft.training.compute import compile_dense
from mdft.training.evaluation import ScoredSplit, results_of, score_split
from mdft.training.feed import feed_of
from mdft.training.finetune import adopt, beginning
from mdft.training.protocol import Progress, at_end, check_fit, resumed
from mdft.training.step import EpochLoop, check_finite_weights
from mdft.training.tables import write_tables

Report = Callable[[dict[str, Any]], None]


class Trainer:
    """Trains and tests one run, which can be resumed after any epoch.

    With several processes only the first one reads and writes the folder and calls ``report``.

    Args:
        config: everything that the result depends on.
        clips: the data set.
        folder: the run's folder, which must exist.
        report: called with each record of ``metrics.jsonl``, after each step with
            ``{"step": ..., "steps": ...}``, and with ``{"warning": ...}``.

    Raises:
        UserError: the configuration is invalid or does not fit the clips, or the folder or ``init``
            contains a run on other clips.
    """

    def __init__(self, config: TrainConfig, clips: ClipSet, folder: Path, report: Report) -> None:
        config.check()
        check_fit(config, clips)
        # Before anything is written there: a resumed run ends on the clips that it began on, and
        # a model is never beside the classes of other clips.
        if world().first and contains_run(folder):
            check_same_data(folder, config.data, clips)
        self.beginning = beginning(config, clips)
        self.config, self.clips, self.folder = config, clips, folder
        self.report: Report = report if world().first else lambda record: None
        self.device = resolve_device(config.device)
        config.compute.check(self.device.type, config.system)
        if config.compute.reproducible:
            reproducible.begin()
        self.feed = feed_of(clips, self.device, config.compute.feed)
        self.progress = Progress()
        self.warned: set[str] = set()
        self.pending_warnings: list[
            str
        ] = []  # from the calibration, for the record of the next epoch

    def run(self, *, resume: bool = False, start: Progress | None = None) -> Results:
        """Run both stages and the test.

        Stage 2 ends after the epoch chosen in stage 1: the learning rate is constant, so the
        weights of that epoch do not depend on later epochs.

        Args:
            resume: continue from ``trainer.safetensors`` if it exists; a finished run without it
                is left as it is, and its results are returned.
            start: starting point; default: :func:`mdft.training.finetune.beginning`.

        Raises:
            UserError: the resumed run did not start at ``start``.
        """
        with self._folder():
            if resume and (results := self._finished(start)):
                self.report({"test": asdict(results)})
                return results
            self._train(start, resume=resume, stages=len(STAGES))
            return self._test()

    def choose(self, *, resume: bool = False) -> Progress:
        """Run stage 1 alone; :meth:`run` with ``resume`` continues from there.

        Returns:
            The progress, with the chosen ``best_epoch``, its ``best_hm`` and ``beta``.
        """
        assert self.config.init is None, "that model was trained on the validation classes"
        with self._folder():
            if not (resume and self._finished(None)):
                self._train(None, resume=resume, stages=1)
        return self.progress

    def _folder(self) -> AbstractContextManager[None]:
        return only_writer(self.folder) if world().first else nullcontext()

    def _finished(self, start: Progress | None) -> Results | None:
        """The results of a finished run without a state, else None; set the progress to its end."""
        found = from_first(lambda: at_end(self.folder))
        if found is None:
            return None
        progress, results = found
        self.progress = resumed(self.folder / RESULTS, asdict(progress), start)
        return results

    def _train(self, start: Progress | None, *, resume: bool, stages: int) -> None:
        state = self.folder / STATE
        found = resume and state.exists()
        saved = from_first(lambda: read_tensors(state) if found else None)
        self.progress = resumed(state, saved[1], start) if saved else start or self.beginning
        if world().first:
            write_config(self.folder, self.config)
            write_preprocessing(self.folder, preprocessing_of(self.config.data, self.clips))
        for index in range(self.progress.stage, stages):
            if index > self.progress.stage:
                self.progress.stage, self.progress.epoch = index, 0
            self._stage(index, saved[0] if saved else None)
            saved = None

    def _epochs(self) -> int:
        """Number of epochs of the current stage."""
        return self.config.most_epochs if self.progress.stage == 0 else self.progress.best_epoch + 1

    def _stalled(self) -> bool:
        """Whether stage 1 has gone ``patience`` epochs without a better validation HM.

        All strengths of a penalty are tried: ten that are no better say nothing of the others.
        """
        progress, patience = self.progress, self.config.patience
        if progress.stage > 0 or patience is None or self.config.penalised:
            return False
        return progress.epoch - (progress.best_epoch + 1) >= patience

    def _stage(self, index: int, saved: dict[str, Tensor] | None) -> None:
        stage = STAGES[index]
        seed = self.config.seed * len(STAGES) + index
        torch.manual_seed(seed)
        generator = torch.Generator(self.device).manual_seed(seed)
        size = self.config.clips_per_step
        steps = self.config.steps_per_epoch(len(self.clips.splits[stage.train]))
        batches = TrainingBatches(self.clips, self.feed, stage, size, generator, steps)
        self.model = model = build(self.config).to(self.device)
        self._initialise(stage, model, batches)
        compile_dense(model, self.config.compute.compile)
        optimizer = Adam(model.parameters(), **adam(self.config), fused=True)
        if saved and self.progress.epoch > 0:
            restore(self.folder / STATE, saved, model, optimizer, generator)
        loop = EpochLoop(model, optimizer, batches, self.config.compute)
        while self.progress.epoch < self._epochs() and not self._stalled():
            start = time.perf_counter()
            record = self._epoch(loop)
            record["thresholds"] = self._thresholds(stage, model)
            if index == 0:
                self._validate(stage, model, record)
            self.progress.epoch += 1
            self.progress.seconds += time.perf_counter() - start
            self._save(record, model, optimizer, generator)

    def _initialise(self, stage: Stage, model: System, batches: TrainingBatches) -> None:
        if self.config.init is not None:
            adopt(model, self.config.init)
            return
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            model.fit(self.clips, stage)
            model.calibrate(batches.whole())
        self.pending_warnings = [f"{stage.name}: {warning.message}" for warning in caught]
        for text in self.pending_warnings:
            self._warn(text, text)

    def _epoch(self, loop: EpochLoop) -> dict[str, Any]:
        stage, steps = loop.batches.stage, loop.batches.steps
        record: dict[str, Any] = {"stage": stage.name, "epoch": self.progress.epoch}
        running = {**record, "epochs": self._epochs(), "steps": steps}
        when = f"{stage.name} epoch {self.progress.epoch + 1}"
        loss, firing = loop.epoch(
            f"{self.folder}: {when}", lambda step: self.report({**running, "step": step})
        )
        health = firing.joint().layers()
        messages = [*self.pending_warnings, *self._warn_of(health, when, stage.name)]
        self.pending_warnings = []
        return {**record, "loss": loss, **health_record(health), "warnings": messages}

    @torch.no_grad()
    def _thresholds(self, stage: Stage, model: System) -> dict[str, float]:
        """Mean threshold θ of each pathway over the seconds of the first training clips."""
        if not (isinstance(model, MDFT) and model.spiking):
            return {}
        indices = self.clips.splits[stage.train][: self.config.batch_size]
        batch = self.feed.batch(indices)
        inputs = model.eval().motion_inputs(batch)
        return {p: x.theta_BT1[batch.mask_BT].mean().item() for p, x in inputs.items()}

    def _warn_of(self, health: dict[str, LayerHealth], when: str, scope: str) -> list[str]:
        """Warnings about unhealthy layers; each status of a layer is reported once per scope."""
        messages = []
        for layer, state in health.items():
            if text := state.warning(layer):
                messages.append(f"{when}: {text}")
                self._warn(f"{scope} {layer} {state.status}", messages[-1])
        return messages

    def _warn(self, key: str, text: str) -> None:
        """Report a warning, once for each key."""
        if key not in self.warned:
            self.warned.add(key)
            self.report({"warning": text})

    def _validate(self, stage: Stage, model: System, record: dict[str, Any]) -> None:
        model.prepare(self.clips, stage, self.progress.epoch)
        split = self._score(stage, model)
        beta = gzsl.choose_beta(split.distances, split.labels, split.seen)
        result = gzsl.scores(split.distances, split.labels, split.seen, beta)
        record["val"] = {
            name: getattr(result, name) for name in ("seen", "unseen", "hm", "zsl", "beta")
        }
        if result.hm > self.progress.best_hm:
            self.progress.best_hm = result.hm
            self.progress.best_epoch, self.progress.beta = self.progress.epoch, beta

    def _test(self) -> Results:
        stage, model, start = STAGES[-1], self.model, time.perf_counter()
        model.prepare(self.clips, stage, self.progress.best_epoch)
        self.progress.seconds += time.perf_counter() - start
        split = self._score(stage, model)
        self._warn_of(split.health, "test", "test")
        results = results_of(
            split,
            beta=self.progress.beta,
            epoch=self.progress.best_epoch,
            seed=self.config.seed,
            seconds=self.progress.seconds,
        )
        if world().first:
            self._write(split, results)
        self.report({"test": asdict(results)})
        return results

    def _score(self, stage: Stage, model: System) -> ScoredSplit:
        size = self.config.batch_size
        return score_split(model, self.clips, stage.seen, stage.unseen, size, feed=self.feed)

    def _write(self, split: ScoredSplit, results: Results) -> None:
        write_tensors(self.folder / MODEL, self.model.state_dict(), {"epoch": results.epoch})
        write_tables(self.folder, split, self.clips.classes, results.beta)
        write_results(self.folder, results)

    def _save(
        self,
        record: dict[str, Any],
        model: System,
        optimizer: Optimizer,
        generator: torch.Generator,
    ) -> None:
        check_finite_weights(f"{self.folder}: {record['stage']} epoch {record['epoch'] + 1}", model)
        self.progress.metrics.append(record)
        if world().first:
            # The state last: a run killed in between repeats the epoch and its record.
            lines = "".join(json.dumps(line) + "\n" for line in self.progress.metrics)
            write_atomic(self.folder / METRICS, lines.encode())
            tensors = capture(model, optimizer, generator)
            write_tensors(self.folder / STATE, tensors, asdict(self.progress))
        self.report(record)

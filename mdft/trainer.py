"""The two-stage protocol: choose an epoch and β on validation classes, then train and test."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from mdft import gzsl
from mdft.baselines.build import adam, build
from mdft.baselines.interface import Lesson, System
from mdft.config import TrainConfig
from mdft.context import context_of, write_context
from mdft.data.dataset import Batch, ClipSet
from mdft.evaluation import results_of, score_split
from mdft.files import only_writer
from mdft.finetune import adopt, beginning
from mdft.finite import check_finite, check_finite_weights
from mdft.health import FiringStatistics, LayerHealth, health_record
from mdft.protocol import STAGES, Progress, Stage, check_fit, resumed
from mdft.runs import (
    METRICS,
    MODEL,
    STATE,
    Results,
    read_tensors,
    resolve_device,
    write_atomic,
    write_config,
    write_results,
    write_tensors,
)
from mdft.sampler import BalancedSampler, draw_negatives
from mdft.state import capture, restore
from mdft.tables import write_tables

Report = Callable[[dict[str, Any]], None]


class Trainer:
    """One run, resumable after any epoch.

    Args:
        config: everything that the result depends on.
        clips: the data set.
        folder: of the run; exists.
        report: called with each record of ``metrics.jsonl``, after each step with
            ``{"step": ..., "steps": ...}``, and with ``{"warning": ...}``.
    """

    def __init__(self, config: TrainConfig, clips: ClipSet, folder: Path, report: Report) -> None:
        config.check()
        check_fit(config, clips)
        self.beginning = beginning(config)
        self.config, self.clips, self.folder, self.report = config, clips, folder, report
        self.device = resolve_device(config.device)
        self.words_CW = torch.tensor(clips.words_CW, device=self.device)  # a copy, writeable
        self.progress = Progress()
        self.warned: set[str] = set()
        self.unsaid: list[str] = []  # of the calibration, for the next epoch's record

    def run(self, *, resume: bool = False, start: Progress | None = None) -> Results:
        """Both stages and the test.

        Stage 2 trains up to the epoch chosen in stage 1 and no further: the learning rate is
        constant, so later epochs could not change the weights of that one.

        Args:
            resume: continue from ``trainer.safetensors`` if it is there.
            start: where to begin; default :func:`mdft.finetune.beginning`.

        Raises:
            UserError: the run that is continued began elsewhere than at ``start``.
        """
        with only_writer(self.folder):
            self._train(start, resume=resume, stages=len(STAGES))
            return self._test()

    def choose(self, *, resume: bool = False) -> Progress:
        """Stage 1 alone; :meth:`run` with ``resume`` goes on from there.

        Returns:
            With the chosen ``best_epoch``, its ``best_hm`` and ``beta``.
        """
        assert self.config.init is None, "that model knows the validation classes"
        with only_writer(self.folder):
            self._train(None, resume=resume, stages=1)
        return self.progress

    def _train(self, start: Progress | None, *, resume: bool, stages: int) -> None:
        state = self.folder / STATE
        saved = read_tensors(state) if resume and state.exists() else None
        self.progress = resumed(state, saved[1], start) if saved else start or self.beginning
        write_config(self.folder, self.config)
        for index in range(self.progress.stage, stages):
            if index > self.progress.stage:
                self.progress.stage, self.progress.epoch = index, 0
            self._stage(index, saved[0] if saved else None)
            saved = None

    def _epochs(self) -> int:
        """How many epochs the present stage has."""
        return self.config.epochs if self.progress.stage == 0 else self.progress.best_epoch + 1

    def _stage(self, index: int, saved: dict[str, Tensor] | None) -> None:
        stage = STAGES[index]
        seed = self.config.seed * len(STAGES) + index
        torch.manual_seed(seed)
        generator = torch.Generator(self.device).manual_seed(seed)
        indices = self.clips.splits[stage.train]
        labels_N = torch.from_numpy(self.clips.labels_N[indices]).to(self.device)
        self.sampler = BalancedSampler(labels_N)
        self.model = model = build(self.config).to(self.device)
        self._initialise(stage, model, generator)
        optimizer = Adam(model.parameters(), **adam(self.config), fused=True)
        if saved and self.progress.epoch > 0:
            restore(saved, model, optimizer, generator)
        while self.progress.epoch < self._epochs():
            start = time.perf_counter()
            record = self._epoch(stage, model, optimizer, generator)
            if index == 0:
                self._validate(stage, model, record)
            self.progress.epoch += 1
            self.progress.seconds += time.perf_counter() - start
            self._save(record, model, optimizer, generator)

    def _initialise(self, stage: Stage, model: System, generator: torch.Generator) -> None:
        if self.config.init is not None:
            adopt(model, self.config.init)
            return
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            model.calibrate(self._draw(stage, generator)[1])
        self.unsaid = [f"{stage.name}: {warning.message}" for warning in caught]
        for text in self.unsaid:
            self._warn(text, text)

    def _epoch(
        self, stage: Stage, model: System, optimizer: Optimizer, generator: torch.Generator
    ) -> dict[str, Any]:
        model.train()
        classes_C = torch.from_numpy(self.clips.classes_of(stage.train)).to(self.device)
        steps = math.ceil(len(self.clips.splits[stage.train]) / self.config.batch_size)
        record: dict[str, Any] = {"stage": stage.name, "epoch": self.progress.epoch}
        loss: dict[str, float] = {}
        firing = FiringStatistics()
        for step in range(1, steps + 1):
            terms = self._step(stage, classes_C, model, optimizer, generator, firing)
            for name, value in terms.items():
                loss[name] = loss.get(name, 0.0) + value.item() / steps
            self.report({**record, "epochs": self._epochs(), "step": step, "steps": steps})
        health = firing.layers()
        said = self._warn_of(health, f"{stage.name} epoch {record['epoch'] + 1}", stage.name)
        self.unsaid, said = [], [*self.unsaid, *said]
        return {**record, "loss": loss, **health_record(health), "warnings": said}

    def _warn_of(self, health: dict[str, LayerHealth], when: str, scope: str) -> list[str]:
        """Warnings about sick layers; each ailment of a layer is reported once a scope."""
        said = []
        for layer, state in health.items():
            if text := state.warning(layer):
                said.append(f"{when}: {text}")
                self._warn(f"{scope} {layer} {state.ailment}", said[-1])
        return said

    def _warn(self, key: str, text: str) -> None:
        """Report a warning, once for each key."""
        if key not in self.warned:
            self.warned.add(key)
            self.report({"warning": text})

    def _step(
        self,
        stage: Stage,
        classes_C: Tensor,
        model: System,
        optimizer: Optimizer,
        generator: torch.Generator,
        firing: FiringStatistics,
    ) -> dict[str, Tensor]:
        """One update on a fresh batch; its loss terms."""
        indices, batch = self._draw(stage, generator)
        other = draw_negatives(batch.labels_B, generator) if model.needs_negatives else None
        targets_B = torch.searchsorted(classes_C, batch.labels_B)
        loss = model.loss(Lesson(batch, self.words_CW[classes_C], targets_B, other))
        terms, spikes = loss.terms, loss.spikes
        firing.add(spikes.layers, spikes.mask_BT)
        where = f"{self.folder}: {stage.name} epoch {self.progress.epoch + 1}"
        check_finite(where, terms, [self.clips.names[int(i)] for i in indices])
        optimizer.zero_grad(set_to_none=True)
        terms["total"].backward()
        optimizer.step()
        return terms

    def _validate(self, stage: Stage, model: System, record: dict[str, Any]) -> None:
        model.prepare(self.clips, stage)
        split = score_split(model, self.clips, stage.seen, stage.unseen, self.config.batch_size)
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
        model.prepare(self.clips, stage)
        self.progress.seconds += time.perf_counter() - start
        split = score_split(model, self.clips, stage.seen, stage.unseen, self.config.batch_size)
        self._warn_of(split.health, "test", "test")
        results = results_of(
            split,
            beta=self.progress.beta,
            epoch=self.progress.best_epoch,
            seed=self.config.seed,
            seconds=self.progress.seconds,
        )
        write_tensors(self.folder / MODEL, model.state_dict(), {"epoch": results.epoch})
        write_tables(self.folder, split, self.clips.classes, results.beta)
        write_context(self.folder, context_of(self.config.data, self.clips))
        write_results(self.folder, results)
        self.report({"test": asdict(results)})
        return results

    def _draw(self, stage: Stage, generator: torch.Generator) -> tuple[np.ndarray, Batch]:
        """One class-balanced batch of the stage's training split: its clips' indices, and it."""
        indices = self.clips.splits[stage.train]
        size = min(self.config.batch_size, len(indices))
        chosen = indices[self.sampler.draw(size, generator).numpy(force=True)]
        return chosen, self.clips.batch(chosen).to(self.device)

    def _save(
        self,
        record: dict[str, Any],
        model: System,
        optimizer: Optimizer,
        generator: torch.Generator,
    ) -> None:
        check_finite_weights(f"{self.folder}: {record['stage']} epoch {record['epoch'] + 1}", model)
        self.progress.metrics.append(record)
        write_tensors(
            self.folder / STATE, capture(model, optimizer, generator), asdict(self.progress)
        )
        lines = "".join(json.dumps(line) + "\n" for line in self.progress.metrics)
        write_atomic(self.folder / METRICS, lines.encode())
        self.report(record)

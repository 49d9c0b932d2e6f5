"""The two-stage protocol: choose an epoch and β on validation classes, then train and test."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from mdft import gzsl
from mdft.config import TrainConfig
from mdft.data.dataset import Batch, ClipSet
from mdft.evaluation import firing_rates, score_split
from mdft.losses import draw_negatives, total_loss
from mdft.model import MDFT
from mdft.protocol import STAGES, Progress, Stage, check_fit
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
from mdft.state import capture, restore

Report = Callable[[dict[str, Any]], None]


class Trainer:
    """One run, resumable after any epoch.

    Args:
        config: everything that the result depends on.
        clips: the data set.
        folder: of the run; exists.
        report: called with each record of ``metrics.jsonl``, and after each step with
            ``{"step": ..., "steps": ...}``.
    """

    def __init__(self, config: TrainConfig, clips: ClipSet, folder: Path, report: Report) -> None:
        config.check()
        check_fit(config, clips)
        self.config, self.clips, self.folder, self.report = config, clips, folder, report
        self.device = resolve_device(config.device)
        self.words_CW = torch.from_numpy(clips.words_CW).to(self.device)
        self.progress = Progress()

    def run(self, *, resume: bool = False) -> Results:
        """Both stages and the test.

        Stage 2 trains up to the epoch chosen in stage 1 and no further: the learning rate is
        constant, so later epochs could not change the weights of that one.

        Args:
            resume: continue from ``trainer.safetensors`` if it is there.
        """
        write_config(self.folder, self.config)
        state = self.folder / STATE
        saved = read_tensors(state) if resume and state.exists() else None
        if saved:
            self.progress = Progress(**saved[1])
        for index in range(self.progress.stage, len(STAGES)):
            self.progress.stage = index
            model = self._stage(index, saved[0] if saved else None)
            saved = None
            if index + 1 < len(STAGES):
                self.progress.epoch = 0
        return self._test(model)

    def _epochs(self) -> int:
        """How many epochs the present stage has."""
        return self.config.epochs if self.progress.stage == 0 else self.progress.best_epoch + 1

    def _stage(self, index: int, saved: dict[str, Tensor] | None) -> MDFT:
        stage = STAGES[index]
        torch.manual_seed(self.config.seed * len(STAGES) + index)
        sampler = torch.Generator().manual_seed(self.config.seed * len(STAGES) + index)
        model = MDFT(self.config.model).to(self.device)
        model.calibrate(self._batch(self._draw(stage, sampler)))
        optimizer = Adam(model.parameters(), lr=self.config.learning_rate, fused=True)
        if saved and self.progress.epoch > 0:
            restore(saved, model, optimizer, sampler)
        while self.progress.epoch < self._epochs():
            start = time.perf_counter()
            record = self._epoch(stage, model, optimizer, sampler)
            if index == 0:
                self._validate(stage, model, record)
            self.progress.epoch += 1
            self.progress.seconds += time.perf_counter() - start
            self._save(record, model, optimizer, sampler)
        return model

    def _epoch(
        self, stage: Stage, model: MDFT, optimizer: Optimizer, sampler: torch.Generator
    ) -> dict[str, Any]:
        model.train()
        classes_C = torch.from_numpy(self.clips.classes_of(stage.train)).to(self.device)
        steps = math.ceil(len(self.clips.splits[stage.train]) / self.config.batch_size)
        record: dict[str, Any] = {"stage": stage.name, "epoch": self.progress.epoch}
        means: dict[str, dict[str, float]] = {"loss": {}, "firing_rates": {}}
        for step in range(1, steps + 1):
            terms, rates = self._step(stage, classes_C, model, optimizer, sampler)
            for group, values in (("loss", terms), ("firing_rates", rates)):
                for name, value in values.items():
                    means[group][name] = means[group].get(name, 0.0) + value.item() / steps
            self.report({**record, "epochs": self._epochs(), "step": step, "steps": steps})
        return {**record, **means}

    def _step(
        self,
        stage: Stage,
        classes_C: Tensor,
        model: MDFT,
        optimizer: Optimizer,
        sampler: torch.Generator,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One update on a fresh batch; its loss terms and firing rates."""
        batch = self._batch(self._draw(stage, sampler))
        negatives_B = draw_negatives(batch.labels_B.cpu(), sampler).to(self.device)
        words_CW = self.words_CW[classes_C]
        output = model(batch)
        rates = firing_rates(output.spikes, batch.mask_BT)
        terms = total_loss(
            output.o_av_BE,
            output.reconstructed_BW,
            model.embed_words(words_CW),
            words_CW,
            torch.searchsorted(classes_C, batch.labels_B),
            negatives_B,
            rates.values(),
            self.config.loss,
        )
        optimizer.zero_grad(set_to_none=True)
        terms["total"].backward()
        optimizer.step()
        return terms, rates

    def _validate(self, stage: Stage, model: MDFT, record: dict[str, Any]) -> None:
        split = score_split(model, self.clips, stage.seen, stage.unseen, self.config.batch_size)
        beta = gzsl.choose_beta(split.distances, split.labels, split.seen)
        result = gzsl.scores(split.distances, split.labels, split.seen, beta)
        record["val"] = {
            name: getattr(result, name) for name in ("seen", "unseen", "hm", "zsl", "beta")
        }
        if result.hm > self.progress.best_hm:
            self.progress.best_hm = result.hm
            self.progress.best_epoch, self.progress.beta = self.progress.epoch, beta

    def _test(self, model: MDFT) -> Results:
        stage = STAGES[-1]
        split = score_split(model, self.clips, stage.seen, stage.unseen, self.config.batch_size)
        result = gzsl.scores(split.distances, split.labels, split.seen, self.progress.beta)
        results = Results(
            seen=result.seen,
            unseen=result.unseen,
            hm=result.hm,
            zsl=result.zsl,
            beta=self.progress.beta,
            epoch=self.progress.best_epoch,
            seed=self.config.seed,
            firing_rates=split.firing_rates,
            candidates=len(split.seen),
            candidates_unseen=int((~split.seen).sum()),
            seconds=self.progress.seconds,
        )
        write_tensors(self.folder / MODEL, model.state_dict(), {"epoch": results.epoch})
        write_results(self.folder, results)
        self.report({"test": asdict(results)})
        return results

    def _draw(self, stage: Stage, sampler: torch.Generator) -> np.ndarray:
        """Clip indices of one batch: each class equally likely, then each of its clips."""
        indices = self.clips.splits[stage.train]
        labels = self.clips.labels_N[indices]
        weights = torch.from_numpy(1.0 / np.bincount(labels)[labels])
        size = min(self.config.batch_size, len(indices))
        while True:  # a small batch may hold one class only, and no negative then
            chosen = torch.multinomial(weights, size, replacement=True, generator=sampler).numpy()
            if len(np.unique(labels[chosen])) > 1:
                return indices[chosen]

    def _batch(self, indices: np.ndarray) -> Batch:
        return self.clips.batch(indices).to(self.device)

    def _save(
        self,
        record: dict[str, Any],
        model: MDFT,
        optimizer: Optimizer,
        sampler: torch.Generator,
    ) -> None:
        self.progress.metrics.append(record)
        write_tensors(
            self.folder / STATE, capture(model, optimizer, sampler), asdict(self.progress)
        )
        lines = "".join(json.dumps(line) + "\n" for line in self.progress.metrics)
        write_atomic(self.folder / METRICS, lines.encode())
        self.report(record)

"""Hyperparameter search of the comparison: the same number of trials for every system.

A trial is a complete run with seed 0, with a learning rate and one hyperparameter of the system's
own. The first trial uses the defaults; the others are of a 3×3 grid, in the same order for all
systems.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mdft.config.train import TrainConfig
from mdft.errors import require
from mdft.experiments.ablations import changed
from mdft.experiments.record import FinishedRun
from mdft.experiments.sweep import Row
from mdft.systems.build import OURS

RATES = (3e-4, 1e-3, 3e-3)
#: Of systems that gain up to 14 points with larger batches than 32 clips (docs/results_batch.md).
_BATCHES = (64, 128, 256)
#: System → its own tuned field, and the values to try. Systems in closed form have none: each
#: epoch of theirs is another strength.
CHOICES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "sje": ("baseline.sje.dropout", (0.0, 0.2, 0.5)),
    "devise": ("baseline.devise.dropout", (0.0, 0.2, 0.5)),
    "apn": ("baseline.apn.weight_decay", (0.0, 1e-4, 1e-3)),
    "fvaegan": ("baseline.fvaegan.gan_weight", (1.0, 10.0, 100.0)),
    "cjme": ("baseline.cjme.dropout", (0.0, 0.2, 0.5)),
    "avgzslnet": ("baseline.avgzslnet.batch_size", _BATCHES),
    "avca": ("baseline.avca.batch_size", _BATCHES),
    "tcaf": ("baseline.tcaf.dropout_transformer", (0.1, 0.3, 0.5)),
    "avmst": ("baseline.avmst.batch_size", _BATCHES),
    "clipclap": ("baseline.clipclap.batch_size", _BATCHES),
    "gru": ("baseline.gru.dropout", (0.0, 0.2, 0.5)),
    "transformer": ("baseline.transformer.dropout", (0.0, 0.2, 0.5)),
    OURS: ("model.dropout_encoder", (0.0, 0.2, 0.5)),
}
#: Largest number of trials that every system has.
MOST = len(RATES) * 3


@dataclass(frozen=True)
class Trial:
    """One setting of a system.

    Attributes:
        row: the row to run.
        change: dotted field → value, relative to the recipe; empty: the defaults.
    """

    row: Row
    change: Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """The chosen trial of a system.

    Attributes:
        trial: the first trial with the best validation HM.
        hms: validation HM of each trial, as a fraction; None where it failed.
    """

    trial: Trial
    hms: Sequence[float | None]


def trials(config: TrainConfig, system: str, count: int) -> list[Trial]:
    """The first trials of a system; a single one for a system in closed form.

    Args:
        config: the configuration to start from, for this system.
        system: its name.
        count: number of trials, 1 to ``MOST``; 1: the defaults, untuned.

    Raises:
        UserError: ``count`` is out of range.
    """
    require(1 <= count <= MOST, "--tune", count, f"1 to {MOST}")
    found = [Trial(Row(system, config), {})]
    if system not in CHOICES:
        return found
    rate = "learning_rate" if system == OURS else f"baseline.{system}.learning_rate"
    field, values = CHOICES[system]
    grid = [{rate: r, field: v} for r in RATES for v in values]
    random.Random(0).shuffle(grid)  # the same order for every system
    for change in grid:
        candidate = changed(config, change)
        if candidate != config:
            found.append(Trial(Row(f"{system}-trial{len(found)}", candidate), change))
    return found[:count]


def choose(tried: Sequence[Trial], runs: Mapping[str, FinishedRun]) -> Choice | None:
    """The first trial with the best validation HM; None if none is finished.

    Args:
        tried: the result of :func:`trials`.
        runs: row → its finished run with seed 0.
    """
    found = [runs.get(t.row.name) for t in tried]
    hms = [run and run.validation_hm for run in found]
    finished = [hm for hm in hms if hm is not None]
    return Choice(tried[hms.index(max(finished))], hms) if finished else None


def choice_json(choice: Choice, tried: Sequence[Trial]) -> dict[str, Any]:
    """The chosen trial of a system and the validation HM of every trial, for ``tuned.json``."""
    return {
        "chosen": tried.index(choice.trial),
        "trials": [
            {"change": dict(trial.change), "validation_hm": hm}
            for trial, hm in zip(tried, choice.hms, strict=True)
        ],
    }

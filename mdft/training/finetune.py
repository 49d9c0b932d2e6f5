"""Fine-tuning: stage 2 goes on from the model of a finished run, in another arithmetic.

Nothing is chosen again: β is that run's, from its validation classes, and the number of epochs is
given. Stage 1 has no part in it, since that model has been trained on the validation classes.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from torch import nn

from mdft.config.train import TrainConfig
from mdft.errors import UserError
from mdft.model.motion import MotionBranch
from mdft.runs.folder import RESULTS, read_config, read_results, run_folder
from mdft.runs.load import load_model
from mdft.training.protocol import Progress

#: Where the two configurations must be the same: training and test clips, and the architecture.
_SAME = ("system", "data", "model")
#: What of that may differ all the same.
_FREE = {"data.cache", "model.motion.arithmetic", "model.motion.weight_bits"}


def beginning(config: TrainConfig) -> Progress:
    """Where a new run begins: stage 1, or with ``init`` stage 2 with that run's β.

    Raises:
        UserError: ``init`` is no finished run, or one of other data or another architecture.
    """
    if config.init is None:
        return Progress()
    folder = run_folder(config.init)
    before, now = _flat(read_config(folder)), _flat(config)
    other = [name for name in now if now[name] != before[name] and name not in _FREE]
    if other:
        raise UserError(
            f"--init {folder}: that run has another {', '.join(other)}; repeat its flags; only "
            "motion.arithmetic and motion.weight-bits may differ"
        )
    if not (folder / RESULTS).is_file():
        raise UserError(f"--init {folder}: no {RESULTS} there, expected a finished run")
    return Progress(stage=1, best_epoch=config.epochs - 1, beta=read_results(folder).beta)


def adopt(model: nn.Module, run: Path) -> None:
    """Give a model the weights of a run; the steps of its weights of few bits are chosen anew.

    Args:
        model: of that run's architecture, on any device.
        run: the run's folder.

    Raises:
        UserError: there is no finished run.
    """
    found = model.load_state_dict(load_model(run).state_dict(), strict=False)
    other = [*found.missing_keys, *found.unexpected_keys]
    assert all(name.endswith("weight_steps_L") for name in other), other
    for branch in (m for m in model.modules() if isinstance(m, MotionBranch)):
        for index in range(branch.layers):
            branch.choose_weight_step(index)


def _flat(config: TrainConfig) -> dict[str, object]:
    """Dotted field → value, of what must be the same."""
    found: dict[str, object] = {}

    def visit(value: Any, name: str) -> None:
        if is_dataclass(value):
            for field in fields(value):
                visit(getattr(value, field.name), f"{name}.{field.name}")
        else:
            found[name] = value

    for name in _SAME:
        visit(getattr(config, name), name)
    return found

"""Fine-tuning: run stage 2 from the weights of a finished run, in another arithmetic.

β is that of the finished run, and the number of epochs is given. Stage 1 is skipped, because the
finished model has already been trained on the validation classes.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from torch import nn

from mdft.config.train import TrainConfig
from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.model.motion import MotionBranch
from mdft.runs.folder import RESULTS, read_config, read_results, run_folder
from mdft.runs.load import load_model
from mdft.runs.same_data import check_same_data
from mdft.training.protocol import Progress

#: Parts of the configuration that must be the same in both runs: the clips and the architecture.
_SAME = ("system", "data", "model")
#: Fields of these parts that may differ.
_FREE = {"data.cache", "model.motion.arithmetic", "model.motion.weight_bits"}


def beginning(config: TrainConfig, clips: ClipSet) -> Progress:
    """The starting point of a new run: stage 1, or with ``init`` stage 2 with that run's β.

    Args:
        config: configuration of the new run.
        clips: the clips that its data configuration gives now.

    Raises:
        UserError: ``init`` is not a finished run, or has other data or another architecture, or
            its data has changed since.
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
    check_same_data(folder, config.data, clips)
    return Progress(stage=1, best_epoch=config.epochs - 1, beta=read_results(folder).beta)


def adopt(model: nn.Module, run: Path) -> None:
    """Load the weights of a run into a model; choose the quantisation steps of weights again.

    Args:
        model: a model of that run's architecture, on any device.
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
    """Dotted field name → value, for the parts that must be the same."""
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

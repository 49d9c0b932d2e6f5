"""Load the trained model of a run, and its clips."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from mdft.config.train import TrainConfig
from mdft.data.dataset import ClipSet
from mdft.errors import UserError, reason
from mdft.runs.folder import CONFIG, MODEL, read_config, run_folder
from mdft.runs.tensors import read_tensors
from mdft.systems.build import OURS, build
from mdft.systems.interface import System
from mdft.systems.mdft import MDFTSystem


def load_model(run: Path | str) -> System:
    """Load the trained model of a run, on the CPU, in eval mode.

    Args:
        run: the run's folder or the checkpoint file in it.

    Raises:
        UserError: there is no finished run, or its weights do not fit its configuration.
    """
    folder = run_folder(run)
    config = read_config(folder)
    tensors, _ = read_tensors(folder / MODEL)
    if problem := _too_wide(config, tensors):
        raise _no_fit(folder, problem)
    try:
        model = build(config)
        model.load_state_dict(tensors)
    except (RuntimeError, MemoryError) as error:
        raise _no_fit(folder, reason(error)) from error
    return model.eval()


def _too_wide(config: TrainConfig, tensors: Mapping[str, Tensor]) -> str:
    """A width of MDFT that no tensor of its file has; building it could fill the memory."""
    if config.system != OURS:
        return ""
    largest = max((size for tensor in tensors.values() for size in tensor.shape), default=0)
    for name in ("dim", "audio_features", "visual_features", "words"):
        if (width := getattr(config.model, name)) > largest:
            return f"model.{name} is {width}, the largest size of a tensor {largest}"
    return ""


def _no_fit(folder: Path, problem: str) -> UserError:
    return UserError(
        f"{folder / MODEL}: does not fit {CONFIG}; if neither file was changed, another release "
        f"wrote them, whose model differs: train again ({problem})"
    )


def clips_of(run: Path | str) -> ClipSet:
    """Load the clips that a run was trained and tested on."""
    # Imported here: a model is loaded without the modules that read and render data sets.
    from mdft.data.sources import load_clips

    return load_clips(read_config(run_folder(run)).data)


def load_ours(run: Path | str) -> MDFTSystem:
    """Load the trained model of a run of MDFT, as :func:`load_model`.

    Raises:
        UserError: the run is a baseline's; or as :func:`load_model`.
    """
    model = load_model(run)
    if not isinstance(model, MDFTSystem):
        system = read_config(run_folder(run)).system
        raise UserError(
            f"{run}: this is a run of the baseline {system}, which has no motion branch; "
            "expected a run of --model mdft"
        )
    return model

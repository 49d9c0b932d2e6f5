"""Load the trained model of a run, and its clips."""

from __future__ import annotations

from pathlib import Path

from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.runs.folder import CONFIG, MODEL, read_config, run_folder
from mdft.runs.tensors import read_tensors
from mdft.systems.build import build
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
    model = build(read_config(folder))
    tensors, _ = read_tensors(folder / MODEL)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(f"{folder / MODEL}: does not fit {CONFIG}: {error}") from error
    return model.eval()


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

"""A saved run that must be of MDFT: what has no motion branch cannot be exported."""

from __future__ import annotations

from pathlib import Path

from mdft.baselines.ours import MDFTSystem
from mdft.errors import UserError
from mdft.runs import load, read_config, run_folder


def load_ours(run: Path | str) -> MDFTSystem:
    """The trained model of a run of MDFT, as :func:`mdft.runs.load`.

    Raises:
        UserError: it is a baseline's run; or as :func:`mdft.runs.load`.
    """
    model = load(run)
    if not isinstance(model, MDFTSystem):
        system = read_config(run_folder(run)).system
        raise UserError(
            f"{run}: a run of the baseline {system}, which has no motion branch; "
            "expected a run of --model mdft"
        )
    return model

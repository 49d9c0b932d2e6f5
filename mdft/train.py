"""``python -m mdft.train [RECIPE]``: train and test a model with the two-stage protocol."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mdft.cli import run_main
from mdft.config.recipes import RECIPES
from mdft.config.train import TrainConfig
from mdft.distributed.launch import joined
from mdft.errors import UserError, require
from mdft.training.command_line import config_of, parse

if TYPE_CHECKING:
    from mdft.training.protocol import Progress


@dataclass(frozen=True)
class Command(TrainConfig):
    """Train and test a model with the two-stage protocol; write everything to a run folder."""

    out: Path | None = None
    """Run folder; default: runs/RECIPE-seedS, or runs/RECIPE-MODEL-seedS for a baseline."""
    resume: bool = False
    """Continue the run in --out after its last finished epoch; start a new run if there is none."""
    stage: Literal["both", "1", "2"] = "both"
    """1: choose epoch and β on the validation classes, then stop; continue later with --resume.
    2: train for the test directly, with --epoch and --beta from an earlier stage 1."""
    epoch: int | None = None
    """Epoch to train up to in --stage 2, counted from 0 as in results.json."""
    beta: float | None = None
    """Calibration β for --stage 2, added to the distances of seen classes."""


def start_of(command: Command) -> Progress | None:
    """The starting point of the run; None: the default start.

    Raises:
        UserError: ``--stage 2`` without ``--epoch`` and ``--beta``, these without ``--stage 2``,
            or a single stage together with ``--init``.
    """
    alone = command.init is None or command.stage == "both"
    require(
        alone, "--stage", command.stage, "no --stage together with --init, which runs stage 2 alone"
    )
    given = command.epoch is not None or command.beta is not None
    if command.stage != "2":
        require(not given, "--epoch or --beta", "given", "none without --stage 2")
        return None
    if command.epoch is None or command.beta is None:
        raise UserError(
            "--stage 2 needs --epoch and --beta, as --stage 1 prints them; "
            "after a stage 1 in the same --out, give --resume alone"
        )
    last = f"0 to {command.most_epochs - 1}"
    require(0 <= command.epoch < command.most_epochs, "--epoch", command.epoch, last)
    require(0 <= command.beta < math.inf, "--beta", command.beta, "0 or more")
    from mdft.training.protocol import Progress

    return Progress(stage=1, best_epoch=command.epoch, beta=command.beta)


def main() -> int:
    """Run the command, under torchrun as one of its processes; return 0."""
    with joined():
        return _run()


def _run() -> int:
    recipe, command = parse(sys.argv[1:], Command, "mdft.train")
    # Imported here: --help and a mistyped flag need no torch.
    from rich.console import Console

    from mdft.systems.build import check_used
    from mdft.training.run import train

    config = config_of(command)
    check_used(config, RECIPES[recipe]())
    tag = "" if config.system == "mdft" else f"-{config.system}"
    out = command.out or Path("runs") / f"{recipe}{tag}-seed{config.seed}"
    start = start_of(command)
    choose = command.stage == "1"
    train(config, out, resume=command.resume, only_choose=choose, start=start, console=Console())
    return 0


if __name__ == "__main__":
    run_main(main)

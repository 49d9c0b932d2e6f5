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
    """Train and test a model; writes a run's folder."""

    out: Path | None = None
    """Folder of the run; default runs/RECIPE-seedS, of a baseline runs/RECIPE-MODEL-seedS."""
    resume: bool = False
    """Continue the run in --out after its last whole epoch; a new run if there is none."""
    stage: Literal["both", "1", "2"] = "both"
    """1: choose epoch and β on validation classes and stop; --resume goes on from there.
    2: train for the test at once, with the --epoch and --beta of an earlier stage 1."""
    epoch: int | None = None
    """Of --stage 2: the chosen epoch, counted from 0 as in results.json."""
    beta: float | None = None
    """Of --stage 2: the chosen β, added to the distances of seen classes."""


def start_of(command: Command) -> Progress | None:
    """Where the run that a command asks for begins; None: at the beginning.

    Raises:
        UserError: ``--stage 2`` without its epoch and β, or these without it, or with ``--init``.
    """
    alone = command.init is None or command.stage == "both"
    require(alone, "--stage", command.stage, "none with --init, which is of stage 2")
    given = command.epoch is not None or command.beta is not None
    if command.stage != "2":
        require(not given, "--epoch or --beta", "given", "none without --stage 2")
        return None
    if command.epoch is None or command.beta is None:
        raise UserError(
            "--stage 2 needs --epoch and --beta, as --stage 1 prints them; "
            "after a stage 1 in the same --out, give --resume alone"
        )
    require(0 <= command.epoch < command.epochs, "--epoch", command.epoch, "0 to --epochs − 1")
    require(0 <= command.beta < math.inf, "--beta", command.beta, "0 or more")
    from mdft.training.protocol import Progress

    return Progress(stage=1, best_epoch=command.epoch, beta=command.beta)


def main() -> int:
    """The command line; 0 when the run is finished. Under torchrun one process of several."""
    with joined():
        return _run()


def _run() -> int:
    recipe, command = parse(sys.argv[1:], Command, "mdft.train")
    # Imported here: --help and a mistyped flag are answered without torch.
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

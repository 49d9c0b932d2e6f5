"""``python -m mdft.train [RECIPE]``: train and test a model with the two-stage protocol."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console

from mdft.board import Board
from mdft.config import TrainConfig
from mdft.data.clips import load_clips
from mdft.errors import UserError, run_main
from mdft.recipes import RECIPES
from mdft.runs import MODEL, STATE, Results, read_config
from mdft.screen import TrainingScreen, rates_table, scores_table
from mdft.trainer import Trainer

DEFAULT_RECIPE = "embedded"


@dataclass(frozen=True)
class Command(TrainConfig):
    """Train and test a model; writes a run's folder."""

    out: Path | None = None
    """Folder of the run; default runs/RECIPE-seedS."""
    resume: bool = False
    """Continue the run in --out after its last whole epoch; a new run if there is none."""


def train(config: TrainConfig, out: Path, *, resume: bool = False, console: Console) -> Results:
    """Run the whole protocol and write the run's folder.

    Args:
        config: everything that the result depends on.
        out: folder of the run, made if it is missing.
        resume: continue the run that is there.
        console: where progress and scores are shown.

    Raises:
        UserError: ``out`` holds a run already and ``resume`` is off, or a run of another
            configuration and it is on.
    """
    config.check()
    prepare_folder(out, config, resume=resume)
    clips = load_clips(config.data)
    with TrainingScreen(console) as screen, Board(out) as board:

        def report(record: dict[str, Any]) -> None:
            screen(record)
            board(record)

        results = Trainer(config, clips, out, report).run(resume=resume)
    console.print(scores_table(results), "")
    if results.firing_rates:
        console.print(rates_table(results), "")
    console.print(f"run   {out}\nboard tensorboard --logdir {out}")
    return results


def prepare_folder(out: Path, config: TrainConfig, *, resume: bool) -> None:
    """Make the run's folder, or check that the run in it is of the same configuration.

    Raises:
        UserError: as :func:`train`.
    """
    if any((out / name).exists() for name in (STATE, MODEL)):
        if not resume:
            raise UserError(f"--out {out}: holds a run already; add --resume or name another")
        before, now = (_result_depends_on(c) for c in (read_config(out), config))
        changed = [f.name for f in fields(now) if getattr(now, f.name) != getattr(before, f.name)]
        if changed:
            raise UserError(
                f"--resume {out}: that run was made with another {', '.join(changed)}; "
                "repeat its flags or name another --out"
            )
    out.mkdir(parents=True, exist_ok=True)


def _result_depends_on(config: TrainConfig) -> TrainConfig:
    """The configuration without what a resumed run may change: the device and the cache."""
    return replace(config, device="auto", data=replace(config.data, cache=None))


def parse(arguments: list[str]) -> tuple[str, Command]:
    """The recipe's name and the configuration that the command line asks for.

    Raises:
        UserError: there is no such recipe.
    """
    if not arguments or arguments[0].startswith("-"):
        arguments = [DEFAULT_RECIPE, *arguments]
    recipe, *flags = arguments
    if recipe not in RECIPES:
        raise UserError(f"recipe {recipe!r} is unknown, expected one of {', '.join(RECIPES)}")
    default = RECIPES[recipe]()
    command = Command(**{f.name: getattr(default, f.name) for f in fields(default)})
    prog = f"python -m mdft.train {recipe}"
    return recipe, tyro.cli(Command, args=flags, default=command, prog=prog)


def main() -> int:
    """The command line; 0 when the run is finished."""
    recipe, command = parse(sys.argv[1:])
    config = TrainConfig(**{f.name: getattr(command, f.name) for f in fields(TrainConfig)})
    out = command.out or Path("runs") / f"{recipe}-seed{config.seed}"
    train(config, out, resume=command.resume, console=Console())
    return 0


if __name__ == "__main__":
    run_main(main)

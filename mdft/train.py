"""``python -m mdft.train [RECIPE]``: train and test a model with the two-stage protocol."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from rich.console import Console

from events import cli
from events.errors import unknown
from mdft import reproducible
from mdft.baselines.build import check_used
from mdft.board import Board
from mdft.config import ComputeConfig, TrainConfig
from mdft.data.clips import load_clips
from mdft.errors import UserError, require, run_main
from mdft.parallel import after_first, world
from mdft.processes import check_processes, joined
from mdft.protocol import Progress
from mdft.recipes import RECIPES, check_looked_at
from mdft.runs import MODEL, STATE, Results, read_config, resolve_device, run_folder
from mdft.screen import TrainingScreen, rates_table, scores_table
from mdft.trainer import Trainer

DEFAULT_RECIPE = "embedded"


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


C = TypeVar("C", bound=TrainConfig)


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    only_choose: bool = False,
    start: Progress | None = None,
    console: Console,
) -> Results | None:
    """Run the protocol and write the run's folder.

    Of several processes the first one alone writes and shows.

    Args:
        config: everything that the result depends on.
        out: folder of the run, made if it is missing.
        resume: continue the run that is there.
        only_choose: stop after stage 1.
        start: where a new run begins; of stage 2 alone, with the epoch and β to use.
        console: where progress and scores are shown.

    Returns:
        The test scores; None after stage 1 alone.

    Raises:
        UserError: ``out`` holds a run already and ``resume`` is off, or a run of another
            configuration and it is on.
    """
    config.check()
    check_folder(out, config, resume=resume)
    resolve_device(config.device)  # before minutes of drawing
    check_processes(config)
    if config.compute.reproducible:
        reproducible.begin()  # before the clips are drawn
    clips = after_first(lambda: load_clips(config.data))
    listeners: list[Callable[[dict[str, Any]], None]] = []

    def report(record: dict[str, Any]) -> None:
        for listener in listeners:
            listener(record)

    trainer = Trainer(config, clips, out, report)
    first = world().first
    if first:  # now, when nothing that was asked for can be wrong
        out.mkdir(parents=True, exist_ok=True)
    for note in clips.notes:
        console.print(note, soft_wrap=True, highlight=False)
    with TrainingScreen(console) as screen, Board(out) if first else nullcontext() as board:
        listeners += [screen, *filter(None, [board])]
        if board and config.data.events == "pixel":
            board.show(clips)
        if only_choose:
            chosen, results = trainer.choose(resume=resume), None
        else:
            chosen, results = None, trainer.run(resume=resume, start=start)
    _show(console, chosen, results)
    console.print(f"run   {out}\nboard tensorboard --logdir {out}")
    return results


def _show(console: Console, chosen: Progress | None, results: Results | None) -> None:
    """What stage 1 alone has chosen, or the scores of the test."""
    if chosen:
        console.print(
            f"stage 1: epoch {chosen.best_epoch}, beta {chosen.beta:g}, validation HM "
            f"{100 * chosen.best_hm:.1f} %; go on with --resume",
            highlight=False,
        )
    if results:
        console.print(scores_table(results), "")
        if results.firing_rates:
            console.print(rates_table(results), "")


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
    return Progress(stage=1, best_epoch=command.epoch, beta=command.beta)


def check_folder(out: Path, config: TrainConfig, *, resume: bool) -> None:
    """Check that there is no run in a folder, or one to resume, of the same configuration.

    Raises:
        UserError: as :func:`train`.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: there is a file of that name, expected a folder")
    if any((out / name).exists() for name in (STATE, MODEL)):
        if not resume:
            raise UserError(f"--out {out}: holds a run already; add --resume or name another")
        check_same(out, config)


def check_same(out: Path, config: TrainConfig) -> None:
    """Check that the run in a folder is of this configuration, but for how it is computed.

    Raises:
        UserError: it is of another one.
    """
    before, now = (_result_depends_on(c) for c in (read_config(out), config))
    changed = [f.name for f in fields(now) if getattr(now, f.name) != getattr(before, f.name)]
    if changed:
        raise UserError(
            f"{out}: the run there was made with another {', '.join(changed)}; "
            "repeat its flags or name another --out"
        )


def _result_depends_on(config: TrainConfig) -> TrainConfig:
    """The configuration without what a resumed run may change: device, compute and cache."""
    data = replace(config.data, cache=None)
    compute = ComputeConfig(reproducible=config.compute.reproducible)
    return replace(config, device="auto", compute=compute, data=data)


def parse(arguments: list[str], command: type[C], module: str) -> tuple[str, C]:
    """The recipe's name, and a command whose flags start from that recipe.

    Args:
        arguments: ``[RECIPE] [--flag value ...]``.
        command: a configuration with the command's own flags.
        module: name of the command's module, for ``--help``.

    Raises:
        UserError: there is no such recipe, or a flag of another source of data was given.
    """
    if not arguments or arguments[0].startswith("-"):
        arguments = [DEFAULT_RECIPE, *arguments]
    recipe, *flags = arguments
    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    default = RECIPES[recipe]()
    start = command(**{f.name: getattr(default, f.name) for f in fields(default)})
    prog = f"python -m {module} {recipe}"
    found = cli.parse(command, prog, flags, default=start, notes=recipes_note(recipe))
    check_looked_at(found.data, default.data)
    return recipe, found


def recipes_note(recipe: str) -> str:
    """The recipes, a line each: the first of their docstrings.

    Args:
        recipe: whose defaults are shown.
    """
    lines = [f"  {name}: {(make.__doc__ or '').splitlines()[0]}" for name, make in RECIPES.items()]
    first = f"RECIPE, the first word, sets the defaults of all flags (below: {recipe}); one of:"
    return "\n".join([first, *lines])


def config_of(command: TrainConfig) -> TrainConfig:
    """A command without its own flags: what the result depends on.

    Paths are made absolute, so that a run is evaluated and resumed from anywhere.

    Raises:
        UserError: ``init`` is no finished run.
    """
    config = TrainConfig(**{f.name: getattr(command, f.name) for f in fields(TrainConfig)})
    if config.init is not None:
        config = replace(config, init=run_folder(config.init).resolve())
    return replace(config, data=config.data.absolute())


def main() -> int:
    """The command line; 0 when the run is finished. Under torchrun one process of several."""
    with joined():
        return _run()


def _run() -> int:
    recipe, command = parse(sys.argv[1:], Command, "mdft.train")
    if command.compute.reproducible:
        reproducible.restart()
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

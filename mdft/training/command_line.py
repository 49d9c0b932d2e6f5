"""Recipes and flags of the commands that train: arguments become a configuration."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import tyro

from mdft import cli
from mdft.config.recipes import RECIPES
from mdft.config.train import TrainConfig
from mdft.errors import unknown

DEFAULT_RECIPE = "embedded"
C = TypeVar("C", bound=TrainConfig)


@dataclass(frozen=True)
class SweepCommand(TrainConfig):
    """The flags of every command that trains over seeds."""

    seed: tyro.conf.Suppress[int] = 0
    init: tyro.conf.Suppress[Path | None] = None
    seeds: tuple[int, ...] = (0, 1, 2)
    """One run each."""
    jobs: int = 2
    """Runs at once; the cores are shared between them."""


def parse(arguments: list[str], command: type[C], module: str) -> tuple[str, C]:
    """The recipe's name, and a command whose flags start from that recipe.

    With ``--compute.reproducible`` the process is replaced by one with the environment of
    :mod:`mdft.distributed.reproducible`, unless it has that.

    Args:
        arguments: ``[RECIPE] [--flag value ...]``.
        command: a configuration with the command's own flags.
        module: name of the command's module, for ``--help``.

    Raises:
        UserError: there is no such recipe, a flag of another source of data was given, or this
            machine cannot run reproducibly.
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
    # Imported here and below: --help is answered without torch, and without pydantic.
    from mdft.data.sources import check_flags

    check_flags(found.data, default.data)
    if found.compute.reproducible:
        from mdft.distributed.reproducible import restart

        restart()
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
        from mdft.runs.folder import run_folder

        config = replace(config, init=run_folder(config.init).resolve())
    return replace(config, data=config.data.absolute())

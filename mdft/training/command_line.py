"""Recipes and flags of the commands that train: arguments become a configuration."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TypeVar

from mdft import cli
from mdft.config.recipes import RECIPES
from mdft.config.train import TrainConfig
from mdft.errors import unknown
from mdft.runs.folder import run_folder

DEFAULT_RECIPE = "embedded"
C = TypeVar("C", bound=TrainConfig)


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
    # Here, since the sources read torch, which --help does without.
    from mdft.data.sources import check_flags

    check_flags(found.data, default.data)
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

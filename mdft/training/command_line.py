"""Parse recipes and flags of the training commands into a configuration."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import tyro

from mdft import cli
from mdft.config.model import ModelConfig
from mdft.config.recipes import RECIPES
from mdft.config.train import TrainConfig
from mdft.errors import unknown

DEFAULT_RECIPE = "embedded"
C = TypeVar("C", bound=TrainConfig)
#: Short names of flags. tyro's aliases would be the flag's own name in `mdft.features`.
_LONG = {f"--{name}": f"--data.extract.{name}" for name in ("backbone", "checkpoint")}


@dataclass(frozen=True)
class SweepCommand(TrainConfig):
    """The flags common to all commands that train with several seeds."""

    seed: tyro.conf.Suppress[int] = 0
    init: tyro.conf.Suppress[Path | None] = None
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds; one run is trained per seed."""
    jobs: int = 2
    """Number of runs at a time; they share the CPU cores."""


def parse(arguments: list[str], command: type[C], module: str) -> tuple[str, C]:
    """Parse arguments; return the recipe's name and the command, whose defaults the recipe sets.

    With ``--compute.reproducible`` the process restarts itself in the environment of
    :mod:`mdft.distributed.reproducible` if necessary.

    Args:
        arguments: ``[RECIPE] [--flag value ...]``; ``--backbone`` and ``--checkpoint`` stand for
            ``--data.extract.backbone`` and ``--data.extract.checkpoint``.
        command: a configuration class with the command's own flags.
        module: name of the command's module, for ``--help``.

    Raises:
        UserError: the recipe is unknown, a flag belongs to another data source, or this machine
            cannot run reproducibly.
    """
    if not arguments or arguments[0].startswith("-"):
        arguments = [DEFAULT_RECIPE, *arguments]
    recipe, *flags = (_LONG.get(argument, argument) for argument in arguments)
    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    default = RECIPES[recipe]()
    start = command(**{f.name: getattr(default, f.name) for f in fields(default)})
    prog = f"python -m {module} {recipe}"
    found = cli.parse(command, prog, flags, default=start, notes=recipes_note(recipe))
    # Imported here and below: --help needs neither torch nor pydantic.
    from mdft.data.sources import check_flags

    check_flags(found.data, default.data)
    if found.compute.reproducible:
        from mdft.distributed.reproducible import restart

        restart()
    return recipe, found


def recipes_note(recipe: str) -> str:
    """The text about recipes in ``--help``: a line per recipe, from its docstring.

    Args:
        recipe: the recipe whose defaults ``--help`` displays.
    """
    lines = [f"  {name}: {(make.__doc__ or '').splitlines()[0]}" for name, make in RECIPES.items()]
    first = f"RECIPE, the first argument, sets the defaults of all flags (here: {recipe}); one of:"
    return "\n".join([first, *lines])


def config_of(command: TrainConfig) -> TrainConfig:
    """The training configuration of a command, without the command's own flags.

    Paths become absolute, so that a run can be evaluated and resumed from any folder.

    Raises:
        UserError: ``init`` is not a finished run.
    """
    config = TrainConfig(**{f.name: getattr(command, f.name) for f in fields(TrainConfig)})
    if config.init is not None:
        from mdft.runs.folder import run_folder

        config = replace(config, init=run_folder(config.init).resolve())
    config = replace(config, data=config.data.absolute())
    return config if config.data.source != "folder" else _fitted(config)


def _fitted(config: TrainConfig) -> TrainConfig:
    """With the widths of a backbone that has words, where they were left at their defaults."""
    from mdft.config.features import ZERO_SHOT

    extract = config.data.extract
    if extract.backbone not in ZERO_SHOT:
        return config
    from mdft.data.video.backbones import make_backbone

    audio, visual, words = make_backbone(extract).widths
    own = {"audio_features": audio, "visual_features": visual}
    if config.data.vectors is None:
        own["words"] = words
    default = ModelConfig()
    left = {n: w for n, w in own.items() if getattr(config.model, n) == getattr(default, n)}
    return replace(config, model=replace(config.model, **left))

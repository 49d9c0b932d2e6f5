"""Create the system of a configuration, and the arguments of its optimiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import reduce
from typing import Any

from mdft.config.baselines import PENALISED, BaselineConfig, FVAEGANConfig
from mdft.config.model import ModelConfig
from mdft.config.train import TrainConfig
from mdft.data.feature_bins import CHANNELS
from mdft.errors import UserError
from mdft.systems.apn import APN
from mdft.systems.avca import AVCA
from mdft.systems.avgzslnet import AVGZSLNet
from mdft.systems.avmst import AVMST
from mdft.systems.cjme import CJME
from mdft.systems.clipclap import ClipClap
from mdft.systems.compatibility import SJE, DeViSE
from mdft.systems.conse import ConSE
from mdft.systems.fvaegan import FVAEGAN
from mdft.systems.interface import System
from mdft.systems.mdft import MDFTSystem
from mdft.systems.ridge import ClassMeans, Ridge
from mdft.systems.sequence import GRU, Transformer
from mdft.systems.tcaf import TCaF

OURS = "mdft"
#: Labels clips by the backbone's own networks; for folders of clips with --backbone light only.
UNTRAINED = "conse"
BASELINES: dict[str, Callable[[ModelConfig, Any], System]] = {
    "sje": SJE,
    "devise": DeViSE,
    "apn": APN,
    "fvaegan": FVAEGAN,
    "cjme": CJME,
    "avgzslnet": AVGZSLNet,
    "avca": AVCA,
    "tcaf": TCaF,
    "avmst": AVMST,
    "clipclap": ClipClap,
    "means": ClassMeans,
    "ridge": Ridge,
    "gru": GRU,
    "transformer": Transformer,
}
#: System → its name in the literature.
TITLES = {
    "sje": "SJE",
    "devise": "DeViSE",
    "apn": "APN",
    "fvaegan": "f-VAEGAN",
    "cjme": "CJME",
    "avgzslnet": "AVGZSLNet",
    "avca": "AVCA",
    "tcaf": "TCaF",
    "avmst": "AVMST",
    "clipclap": "ClipClap",
    "means": "class means",
    "ridge": "ridge regression",
    "gru": "GRU",
    "transformer": "transformer",
    OURS: "MDFT",
}
#: Fields of MDFT's configuration that baselines use: the widths of the data.
_WIDTHS = ("audio_features", "visual_features", "words")


def build(config: TrainConfig) -> System:
    """Create a system with weights drawn from torch's global generator."""
    if config.system == OURS:
        return MDFTSystem(config.model, config.loss)
    if config.system == UNTRAINED:
        return ConSE(config.model, config.baseline.conse)
    return BASELINES[config.system](input_widths(config), _own(config))


def input_widths(config: TrainConfig) -> ModelConfig:
    """The widths of a system's input: E_v, if it is an input of a baseline, widens the visual one.

    ``config.model`` has the widths of the features alone.
    """
    if config.data.inputs == "features":
        return config.model
    return replace(config.model, visual_features=config.model.visual_features + CHANNELS)


def adam(config: TrainConfig) -> dict[str, Any]:
    """Arguments of Adam: for a baseline from its configuration; MDFT has no weight decay."""
    if config.system == OURS:
        return {"lr": config.learning_rate}
    own = _own(config)
    betas = (own.beta1 if isinstance(own, FVAEGANConfig) else 0.9, 0.999)
    return {"lr": own.learning_rate, "weight_decay": own.weight_decay, "betas": betas}


#: Field → whether a configuration uses it, and what makes it do so; of all systems.
_USED: dict[str, tuple[Callable[[TrainConfig], bool], str]] = {
    "data.feature_threshold": (lambda c: c.data.events == "feature", "--data.events feature"),
    "model.motion.theta_fixed": (
        lambda c: c.model.motion.threshold == "fixed",
        "--model.motion.threshold fixed",
    ),
    "loss.temperature": (lambda c: c.loss.softmax > 0, "--loss.softmax above 0"),
    "patience": (lambda c: c.init is None, "stage 1, which --init leaves out"),
}


def check_used(config: TrainConfig, recipe: TrainConfig) -> None:
    """Check that every changed flag is used by the chosen system.

    Args:
        config: the requested configuration.
        recipe: the recipe that it started from.

    Raises:
        UserError: a flag would be ignored.
    """
    name = config.system
    for other in (f.name for f in fields(config.baseline) if f.name != name):
        if getattr(config.baseline, other) != getattr(recipe.baseline, other):
            raise UserError(f"--baseline.{other}: only --model {other} uses it; leave it out")
    if name in (*PENALISED, UNTRAINED):
        for field in (f.name for f in fields(BaselineConfig)):
            if getattr(_own(config), field) != getattr(getattr(recipe.baseline, name), field):
                flag = f"--baseline.{name}.{field.replace('_', '-')}"
                raise UserError(f"{flag}: --model {name} is not trained in steps; leave it out")
    for field, (used, needed) in _USED.items():
        value, default = (reduce(getattr, field.split("."), c) for c in (config, recipe))
        if value != default and not used(config):
            flag = field.replace("_", "-")
            raise UserError(f"--{flag} {value}: used only with {needed}; leave it out")
    if name == OURS:
        return
    widths = {width: getattr(config.model, width) for width in _WIDTHS}
    changed = {
        "--model": config.model != replace(recipe.model, **widths),
        "--loss": config.loss != recipe.loss,
        "--learning-rate": config.learning_rate != recipe.learning_rate,
    }
    for flag in (flag for flag, differs in changed.items() if differs):
        raise UserError(
            f"{flag}: applies to MDFT, not used by --model {name}; leave it out, or see "
            f"--baseline.{name} in --help"
        )


def _own(config: TrainConfig) -> BaselineConfig:
    return getattr(config.baseline, config.system)

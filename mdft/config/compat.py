"""Fields that ``config.json`` leaves out, and fields that earlier releases did not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from mdft.config.baselines import BaselinesConfig

#: Fields added since format 1. The default of each is the behaviour before it was added.
ADDED = (
    "data.inputs",
    "data.average",
    "data.whiten",
    "data.order",
    "data.extract",
    "data.extract.clip",
    "data.extract.clap",
    "data.extract.download",
    "data.vectors",
    "data.splits",
    "data.split_seed",
    "system",
    "init",
    "patience",
    "compute",
    "compute.reproducible",
    "model.motion.arithmetic",
    "model.motion.weight_bits",
    "model.motion.value",
    "model.space",
    "model.ridge",
    "loss.softmax",
    "loss.temperature",
    "baseline.tcaf.bins",
    *(f"baseline.{f.name}.batch_size" for f in fields(BaselinesConfig)),
)


def lean(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the baselines that were not chosen, which nothing uses.

    Args:
        config: a configuration as a JSON value.
    """
    own = {name: value for name, value in config["baseline"].items() if name == config["system"]}
    return {**config, "baseline": own}


def completed(found: Any, defaults: dict[str, Any]) -> Any:
    """A configuration with the fields that :func:`lean` or an earlier release left out.

    Args:
        found: the JSON value of ``config.json``; not changed.
        defaults: the JSON value of the default configuration.

    Returns:
        ``found`` with each missing field of ``ADDED`` whose parent is present, and with the
        baselines that were not chosen.
    """
    for field in ADDED:
        found = _with(found, field.split("."), defaults)
    given = found.get("baseline", {}) if isinstance(found, dict) else None
    if not isinstance(given, dict):
        return found
    others = {name: v for name, v in defaults["baseline"].items() if name != found["system"]}
    return {**found, "baseline": {**others, **given}}


def _with(found: Any, names: Sequence[str], defaults: dict[str, Any]) -> Any:
    first, *rest = names
    if not isinstance(found, dict) or (rest and first not in found):
        return found
    value = _with(found[first], rest, defaults[first]) if rest else defaults[first]
    return found if first in found and not rest else {**found, first: value}


def of_every_release(config: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the fields of ``ADDED`` that have their defaults.

    A release that adds a field leaves it as it was, and :func:`completed` puts the fields back.

    Args:
        config: a configuration as a JSON value; not changed.
        defaults: the JSON value of the default configuration.
    """
    for field in ADDED:
        config = _without(config, field.split("."), defaults)
    return config


def _without(config: Any, names: Sequence[str], defaults: Any) -> Any:
    first, *rest = names
    if first not in config:  # left out with its parent
        return config
    if rest:
        return {**config, first: _without(config[first], rest, defaults[first])}
    if config[first] == defaults[first]:
        return {name: value for name, value in config.items() if name != first}
    return config

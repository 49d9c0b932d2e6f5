"""The settings that the result of a run depends on, and a short name for them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from mdft.config.baselines import BaselinesConfig
from mdft.config.compat import lean, of_every_release
from mdft.config.train import ComputeConfig, TrainConfig
from mdft.runs.folder import config_json

_DIGITS = 16


def result_depends_on(config: TrainConfig) -> TrainConfig:
    """The configuration with defaults for all that changes no result, so that two compare as equal.

    These are device, cache, compute but for ``reproducible`` and ``autocast``, and the
    hyperparameters of the baselines not trained.
    """
    data = replace(config.data, cache=None)
    given = config.compute
    compute = ComputeConfig(reproducible=given.reproducible, autocast=given.autocast)
    own = {name: x for name, x in vars(config.baseline).items() if name == config.system}
    baseline = replace(BaselinesConfig(), **own)
    return replace(config, device="auto", compute=compute, data=data, baseline=baseline)


def fingerprint(config: TrainConfig) -> str:
    """16 hexadecimal digits that differ where a run's settings differ, its seed included.

    They are the beginning of the SHA-256 of :func:`result_depends_on` as JSON, without the fields
    that an earlier release did not have and that have their defaults: a release that adds a field
    changes no fingerprint.

    >>> from dataclasses import replace
    >>> from mdft.config.recipes import debug
    >>> fingerprint(debug()) == fingerprint(replace(debug(), device="cpu"))
    True
    >>> fingerprint(debug()) == fingerprint(replace(debug(), seed=1))
    False
    """
    content = lean(config_json(result_depends_on(config)))
    content = of_every_release(content, config_json(TrainConfig()))
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]

"""A run's folder: ``config.json``, ``model.safetensors``, ``metrics.jsonl``, ``results.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mdft.config.compat import completed, lean
from mdft.config.train import TrainConfig
from mdft.errors import UserError, first_problem
from mdft.files import write_atomic

CONFIG, MODEL, STATE = "config.json", "model.safetensors", "trainer.safetensors"
METRICS, RESULTS = "metrics.jsonl", "results.json"

#: ``kind`` in the config.json of a run of ``mdft.motion``.
RECOGNITION = "recognition"

_CONFIG = TypeAdapter(TrainConfig)


@dataclass(frozen=True)
class Results:
    """``results.json``: the test scores of a run, as fractions.

    Attributes:
        seen: S.
        unseen: U.
        hm: HM.
        zsl: ZSL.
        beta: β, chosen on validation data in stage 1.
        epoch: epoch chosen in stage 1, counted from 0.
        seed: the run's seed.
        firing_rates: ``pathway.layer`` → spikes per neuron and step on the test clips.
        firing_spread: ``pathway.layer`` → standard deviation of that rate over its neurons.
        dead_neurons: ``pathway.layer`` → number of neurons that never fired on the test clips.
        candidates: number of candidate classes; chance level of S, U and HM is 1 / candidates.
        candidates_unseen: number of unseen candidates; chance level of ZSL is its inverse.
        seconds: wall-clock time of training.
    """

    seen: float
    unseen: float
    hm: float
    zsl: float
    beta: float
    epoch: int
    seed: int
    firing_rates: dict[str, float]
    firing_spread: dict[str, float]
    dead_neurons: dict[str, int]
    candidates: int
    candidates_unseen: int
    seconds: float


_RESULTS = TypeAdapter(Results)


def run_folder(run: Path | str) -> Path:
    """The folder of a run, given the folder or the checkpoint file in it.

    Raises:
        UserError: the path contains no trained model.
    """
    path = Path(run)
    if path.is_file() and path.name != MODEL:
        raise UserError(f"{path}: expected a run's folder or the {MODEL} in it")
    if not path.exists():
        raise UserError(
            f"{path}: no such folder, expected the folder of a finished run; "
            "make one with `python -m mdft.train`"
        )
    folder = path.parent if path.is_file() else path
    for name in (CONFIG, MODEL):
        if not (folder / name).is_file():
            raise UserError(
                f"{path}: no {name} there, expected the folder of a finished run; "
                "make one with `python -m mdft.train`"
            )
    return folder


def config_json(config: TrainConfig) -> dict[str, Any]:
    """A configuration as a JSON value, with all baselines."""
    return _CONFIG.dump_python(config, mode="json")


def write_config(folder: Path, config: TrainConfig) -> None:
    """Save a run's configuration, without the baselines that it does not use."""
    content = json.dumps(lean(config_json(config)), indent=2)
    write_atomic(folder / CONFIG, (content + "\n").encode())


def read_config(folder: Path) -> TrainConfig:
    """The configuration of a run.

    Raises:
        UserError: a field is missing, unknown or of the wrong type.
    """
    path = folder / CONFIG
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(
            f"{path}: not JSON ({error}), expected a file written by mdft.train"
        ) from error
    if isinstance(found, dict) and found.get("kind") == RECOGNITION:
        raise UserError(
            f"{path}: a network for recordings (mdft.motion), expected a run of mdft.train; "
            "python -m export.to_nir tests it"
        )
    found = completed(found, config_json(TrainConfig()))
    config = _validate(_CONFIG, json.dumps(found).encode(), path)
    # Otherwise missing fields would get today's defaults, and unknown fields would be dropped.
    where = _first_difference(found, config_json(config))
    if where:
        raise UserError(f"{path}: field {where} is missing, unknown or of another type")
    try:
        config.check()
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return config


def _validate(adapter: TypeAdapter[Any], content: bytes, path: Path) -> Any:
    try:
        return adapter.validate_json(content)
    except ValidationError as error:
        where, problem = first_problem(error)
        raise UserError(f"{path}: field {where or '(whole file)'}: {problem}") from error


def _first_difference(found: Any, expected: Any, where: str = "") -> str:
    """Dotted name of the first field in which two JSON values differ; empty if none does."""
    if not (isinstance(found, dict) and isinstance(expected, dict)):
        same = found == expected and isinstance(found, bool) == isinstance(expected, bool)
        return "" if same else where or "(whole file)"
    for name in {**expected, **found}:
        inner = f"{where}.{name}".removeprefix(".")
        if name not in found or name not in expected:
            return inner
        if deeper := _first_difference(found[name], expected[name], inner):
            return deeper
    return ""


def write_results(folder: Path, results: Results) -> None:
    """Save a run's test scores."""
    write_atomic(folder / RESULTS, (json.dumps(asdict(results), indent=2) + "\n").encode())


def contains_run(folder: Path) -> bool:
    """Whether a folder contains the state or the model of a run, finished or not."""
    return any((folder / name).exists() for name in (STATE, MODEL))


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The record of every epoch of a run.

    Raises:
        UserError: a line is not JSON.
        OSError: the file cannot be read.
    """
    path = folder / METRICS
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except ValueError as error:
        raise UserError(f"{path}: not a JSON value in each line ({error})") from error


def read_results(folder: Path) -> Results:
    """The test scores of a run.

    Raises:
        UserError: a field is missing or of the wrong type.
    """
    return _validate(_RESULTS, (folder / RESULTS).read_bytes(), folder / RESULTS)

"""A run's folder: ``config.json``, ``model.safetensors``, ``metrics.jsonl``, ``results.json``."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mdft.baselines.build import build
from mdft.baselines.interface import System
from mdft.config import TrainConfig
from mdft.config_json import completed, lean
from mdft.data.clips import load_clips
from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.files import replacing

FORMAT_VERSION = 2
READABLE = (1, 2)  # 1 has no digest
CONFIG, MODEL, STATE = "config.json", "model.safetensors", "trainer.safetensors"
METRICS, RESULTS = "metrics.jsonl", "results.json"

_CONFIG = TypeAdapter(TrainConfig)


@dataclass(frozen=True)
class Results:
    """``results.json``: the test scores of a run, as fractions.

    Attributes:
        seen: S.
        unseen: U.
        hm: HM.
        zsl: ZSL.
        beta: chosen on validation data in stage 1.
        epoch: chosen in stage 1, counted from 0.
        seed: of the run.
        firing_rates: ``pathway.layer`` → spikes per neuron and step on the test clips.
        firing_spread: ``pathway.layer`` → standard deviation of that rate over its neurons.
        dead_neurons: ``pathway.layer`` → how many of its neurons never fired on them.
        candidates: number of candidate classes; chance of S, U and HM is one over it.
        candidates_unseen: number of unseen candidates; chance of ZSL is one over it.
        seconds: wall time of training.
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


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: to a temporary name beside it, then rename."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and a JSON value to one safetensors file, atomically.

    The header holds the format's version and the digest of everything else.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {**metadata, "format_version": FORMAT_VERSION}
    header["sha256"] = _digest(contiguous, header)
    # One key: safetensors writes several in an order that changes from run to run.
    write_atomic(path, save(contiguous, metadata={"mdft": json.dumps(header)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and JSON value of a file that :func:`write_tensors` wrote.

    Raises:
        UserError: the file is damaged, changed, foreign, or of another format version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("mdft", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error}); train again") from error
    version = header.get("format_version") if isinstance(header, dict) else None
    if version not in READABLE:
        known = " or ".join(map(str, READABLE))
        raise UserError(
            f"{path}: format version {version}, expected {known}, of a file that mdft.train wrote"
        )
    digest = header.pop("sha256", None)
    if version > 1 and digest != _digest(tensors, header):
        raise UserError(f"{path}: was changed after it was written; restore it or train again")
    del header["format_version"]
    return tensors, header


def _digest(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """SHA-256 of names, types, shapes and bytes of contiguous CPU tensors, and of the header."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def run_folder(run: Path | str) -> Path:
    """The folder of a run, given the folder or the checkpoint file in it.

    Raises:
        UserError: there is no trained model there.
    """
    path = Path(run)
    if path.is_file() and path.name != MODEL:
        raise UserError(f"{path}: expected a run's folder or the {MODEL} in it")
    if not path.exists():
        raise UserError(
            f"{path}: no such folder, expected that of a finished run; "
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


def write_config(folder: Path, config: TrainConfig) -> None:
    """Save a run's configuration, without the baselines that it does not use."""
    content = json.dumps(lean(_CONFIG.dump_python(config, mode="json")), indent=2)
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
        raise UserError(f"{path}: not JSON ({error}), expected what mdft.train wrote") from error
    found = completed(found, _CONFIG.dump_python(TrainConfig(), mode="json"))
    config = _validate(_CONFIG, json.dumps(found).encode(), path)
    # Missing fields would silently become today's defaults, unknown ones be dropped.
    where = _first_difference(found, _CONFIG.dump_python(config, mode="json"))
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
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: field {where or '(whole file)'}: {first['msg']}") from error


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


def read_results(folder: Path) -> Results:
    """The test scores of a run.

    Raises:
        UserError: a field is missing or of the wrong type.
    """
    return _validate(_RESULTS, (folder / RESULTS).read_bytes(), folder / RESULTS)


def load(run: Path | str) -> System:
    """The trained model of a run, on the CPU, in eval mode; MDFT's ``.motion`` can be exported.

    Args:
        run: the run's folder or the checkpoint file in it.

    Raises:
        UserError: no finished run there, or its weights do not fit its configuration.
    """
    folder = run_folder(run)
    model = build(read_config(folder))
    tensors, _ = read_tensors(folder / MODEL)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(f"{folder / MODEL}: does not fit {CONFIG}: {error}") from error
    model.run = folder
    return model.eval()


def clips_of(run: Path | str) -> ClipSet:
    """The clips that a run was trained and tested on."""
    return load_clips(read_config(run_folder(run)).data)


def resolve_device(name: str) -> torch.device:
    """``auto`` is the first CUDA device if there is one, else the CPU.

    Raises:
        UserError: the device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name}: {reason}; expected auto, cpu or cuda") from error
    return device

"""Train a network on recordings and keep it in a run's folder; read it back."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from hardware.graph.file import read_nir
from mdft.config.recordings import FOLDER, RecognitionConfig
from mdft.data.recordings.prepared import Prepared, prepare
from mdft.errors import UserError, first_problem
from mdft.files import replacing, write_atomic
from mdft.recognition.initial import initial_graph
from mdft.recognition.layers import parse_layers
from mdft.recognition.network import SpikingGraph
from mdft.recognition.threshold import MovingThreshold
from mdft.recognition.training import Epoch, accuracy, count_spikes, train
from mdft.runs.folder import CONFIG, METRICS, MODEL, RECOGNITION, RESULTS, run_folder
from mdft.runs.tensors import read_tensors, write_tensors

#: The graph before training, whose nodes the trained weights belong to.
START = "start.nir"
#: Largest growth of the weights of a new network before they saturate; a graph's own have none.
_HEADROOM = 4.0
#: The network without ``--layers``, ``--beta`` and ``--init``.
LAYERS, BETA = "256-C", 0.9375
_CONFIG = TypeAdapter(RecognitionConfig)
_SEEN = 64  # test recordings for the firing rates


@dataclass(frozen=True)
class Results:
    """``results.json`` of a network that was trained on recordings.

    Attributes:
        accuracy: share of the test recordings that are recognised, after the last epoch.
        before: the same before the first epoch, for ``--init``; else None.
        chance: share of the most frequent class among the test recordings.
        train: number of training recordings.
        test: number of test recordings.
        firing_rates: node → spikes a neuron and step, over the first test recordings.
        left_out: recordings that could not be used, with the reason.
        parameters: number of weights and biases.
        seconds: wall-clock time of training.
    """

    accuracy: float
    before: float | None
    chance: float
    train: int
    test: int
    firing_rates: dict[str, float]
    left_out: tuple[str, ...]
    parameters: int
    seconds: float


@dataclass(frozen=True)
class Trained:
    """A trained network with its configuration.

    Attributes:
        config: the configuration of the run.
        network: the network, its classes in the order of ``classes``.
        classes: names of the classes.
    """

    config: RecognitionConfig
    network: SpikingGraph
    classes: tuple[str, ...]


def default_folder(config: RecognitionConfig) -> Path:
    """The run's folder without ``--out``: runs/ and the name of the dataset in small letters."""
    name = config.data.root.resolve().name if config.dataset == FOLDER else config.dataset
    return Path("runs") / name.lower()


def check_free(out: Path) -> None:
    """Check that no finished run is in a folder.

    Raises:
        UserError: there is one, or it is no folder.
    """
    if (out / MODEL).exists():
        raise UserError(f"{out}: a finished run is there; name another folder by --out")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: a file, expected a folder for the run")


def build(config: RecognitionConfig, prepared: Prepared) -> SpikingGraph:
    """The network before training, for the classes and the sensor of the recordings.

    Raises:
        UserError: the graph of ``--init`` cannot be read or trained, or does not fit the
            recordings; or ``--layers`` does not fit the sensor.
    """
    if config.init is None:
        layers = parse_layers(config.layers or LAYERS, len(prepared.classes))
        if config.threshold == "moving" and math.prod(prepared.shape) < 2:
            raise UserError(
                "--threshold is moving, expected fixed: a bin of these recordings has one value, "
                "whose entropy is 0"
            )
        beta = config.betas or BETA
        graph = initial_graph(layers, prepared.shape, beta=beta, seed=config.seed, dt=config.dt)
        return _network(graph, config)
    try:
        network = _network(read_nir(config.init), config)
    except UserError as error:
        text = str(error)
        name = str(config.init)
        raise UserError(text if text.startswith(name) else f"{name}: {text}") from error
    values = int(np.prod(prepared.shape))
    if network.features != values:
        raise UserError(
            f"{config.init}: its Input has {network.features} values, the recordings have "
            f"{' x '.join(map(str, prepared.shape))} = {values} a step; expected equal numbers"
        )
    if network.classes != len(prepared.classes):
        raise UserError(
            f"{config.init}: its Output has {network.classes} neurons, the recordings have "
            f"{len(prepared.classes)} classes; expected equal numbers"
        )
    return network


def _network(graph: nir.NIRGraph, config: RecognitionConfig) -> SpikingGraph:
    (beta, *_) = config.betas or (BETA,)
    return SpikingGraph(
        graph,
        arithmetic=config.arithmetic,
        bits=config.bits,
        dt=config.dt,
        alpha=config.alpha,
        headroom=_HEADROOM if config.init is None else 1.0,
        threshold=MovingThreshold(beta) if config.threshold == "moving" else None,
    )


def run(
    config: RecognitionConfig,
    out: Path,
    *,
    prepared: Prepared | None = None,
    report: Callable[[Epoch], None] | None = None,
) -> Results:
    """Train and test a network on recordings, and write the run's folder.

    The folder holds ``config.json``, ``start.nir`` (the graph before training),
    ``model.safetensors``, ``metrics.jsonl`` (a line an epoch) and ``results.json``; it is written
    after the test.

    Args:
        config: everything that the result depends on.
        out: the folder; created if missing.
        prepared: the recordings of ``config``, if they are read already.
        report: called after each epoch.

    Raises:
        UserError: an argument, the recordings or the graph are wrong; there is a finished run; or
            arithmetic ``loihi``: a current or membrane leaves 24 bits.
    """
    config.check()
    check_free(out)
    prepared = prepared or prepare(config.dataset, config.data)
    torch.manual_seed(config.seed)
    network = build(config, prepared)
    network.check_exact()
    before = _tested(network, prepared) if config.init is not None else None
    epochs: list[Epoch] = []

    def note(epoch: Epoch) -> None:
        epochs.append(epoch)
        if report is not None:
            report(epoch)

    start = time.perf_counter()
    train(network, prepared.train, config, note)
    seconds = time.perf_counter() - start
    network.check_exact()
    labels = prepared.test.labels_N
    results = Results(
        accuracy=_tested(network, prepared),
        before=before,
        chance=float(np.bincount(labels).max() / len(labels)),
        train=len(prepared.train),
        test=len(prepared.test),
        firing_rates=firing_rates(network, prepared),
        left_out=prepared.left_out,
        parameters=sum(p.numel() for p in network.parameters()),
        seconds=seconds,
    )
    _write(out, config, network, prepared, results, epochs)
    return results


def _tested(network: SpikingGraph, prepared: Prepared) -> float:
    return accuracy(count_spikes(network, prepared.test), prepared.test)


@torch.no_grad()
def firing_rates(network: SpikingGraph, prepared: Prepared) -> dict[str, float]:
    """Spikes a neuron and step of every node, over the first test recordings."""
    x_BSX = torch.from_numpy(prepared.test.counts_NSX[:_SEEN].astype(np.float32))
    return {name: float(t.spikes_BSN.mean()) for name, t in network.trace(x_BSX).items()}


def _write(
    out: Path,
    config: RecognitionConfig,
    network: SpikingGraph,
    prepared: Prepared,
    results: Results,
    epochs: list[Epoch],
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    content = {"kind": RECOGNITION, **_CONFIG.dump_python(config.absolute(), mode="json")}
    write_atomic(out / CONFIG, (json.dumps(content, indent=2) + "\n").encode())
    with replacing(out / START) as temporary:
        nir.write(temporary, network.graph)
    lines = [json.dumps(asdict(epoch)) + "\n" for epoch in epochs]
    write_atomic(out / METRICS, "".join(lines).encode())
    write_atomic(out / RESULTS, (json.dumps(asdict(results), indent=2) + "\n").encode())
    write_tensors(
        out / MODEL, network.state_dict(), {"kind": RECOGNITION, "classes": list(prepared.classes)}
    )


def is_recognition(run: Path | str) -> bool:
    """Whether a run's folder, or the checkpoint in it, is one of a network for recordings.

    Raises:
        UserError: the path contains no trained model.
    """
    try:
        found = json.loads((run_folder(run) / CONFIG).read_bytes())
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("kind") == RECOGNITION


def load(run: Path | str) -> Trained:
    """Read a network that :func:`run` has written.

    Raises:
        UserError: a file is missing, damaged or of another release.
    """
    folder = run_folder(run)
    config = _read_config(folder / CONFIG)
    tensors, metadata = read_tensors(folder / MODEL)
    if metadata.get("kind") != RECOGNITION:
        raise UserError(
            f"{folder / MODEL}: not a network for recordings, expected one; train again"
        )
    network = _network(read_nir(folder / START), config)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        text = " ".join(str(error).split())[:200]
        raise UserError(f"{folder / MODEL}: does not fit {START} ({text}); train again") from error
    return Trained(config, network, tuple(metadata["classes"]))


def _read_config(path: Path) -> RecognitionConfig:
    try:
        found: Any = json.loads(path.read_bytes())
        found.pop("kind", None)
        config = _CONFIG.validate_python(found)
    except ValidationError as error:
        where, problem = first_problem(error)
        raise UserError(f"{path}: field {where or '(whole file)'}: {problem}") from error
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path}: not JSON of a run ({error}), train again") from error
    config.check()
    return config

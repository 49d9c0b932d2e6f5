"""What the golden traces are, computed again; :mod:`tests.golden.files` says where they lie.

No trace needs a codec, a download or a benchmark: a formula or a seed makes every input.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch

import events
from events.reference import frames_to_events_reference
from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower
from hardware.graph.network import Network, Recording
from hardware.reference_float import reference_float
from mdft.config.order import OrderConfig
from mdft.config.rendered import RenderedConfig
from mdft.data.rendered.benchmark import ORDER_VERSION, RENDERER_VERSION
from mdft.data.rendered.content import content_of
from mdft.lif.grid import THRESHOLD_OFFSET
from mdft.model.motion import MotionBranch
from mdft.training.protocol import Progress
from mdft.training.trainer import Trainer
from tests.hardware.nets import grids, random_graph, random_inputs
from tests.mdft.small import float64, in_double, random_clips, small_config
from tests.mdft.small_baselines import TRAINED, golden_curve

Trace = dict[str, np.ndarray]

FEATURES, NEURONS, LAYERS = 10, 12, 3
IDEAL: dict[str, Any] = {"threshold": 0.2, "threshold_off": 0.25}
NOISY: dict[str, Any] = {
    **IDEAL,
    "refractory_us": 700,
    "noise": events.Noise(seed=7, mismatch=0.15, leak_hz=2.0, shot_hz=20.0, cutoff_hz=40.0),
}
DENSE: dict[str, Any] = {"seconds": 1, "bins_per_second": 4, "grid": 8}


def baselines() -> Trace:
    """Loss of every system over eight steps, by its name."""
    return {name: np.array(golden_curve(name)) for name in TRAINED}


def rendered() -> Trace:
    """What is drawn of the first clip of every class, and the version that the cache is named by.

    A change of the drawing changes one of these: mean red, green and blue of every frame, all
    events, mean square of the sound, and the mean square of the word vector's first half.
    """
    return _drawn(RenderedConfig(seconds=1, size=32), RENDERER_VERSION)


def order() -> Trace:
    """The same of the benchmark of order."""
    return _drawn(OrderConfig(seconds=1, size=32), ORDER_VERSION)


def _drawn(config: RenderedConfig, version: int) -> Trace:
    found: dict[str, list[Any]] = {"version": [float(version)]}
    content = content_of(config)
    words_CW = content.words_CW
    for i, kind in enumerate(content.classes):
        clip = content.render(i, 0)
        counts = events.frames_to_bins(
            events.rgb_to_luma(clip.frames),
            clip.times_us,
            seconds=config.seconds,
            bins_per_second=config.bins_per_second,
            threshold=config.event_threshold,
        )
        found[kind.name] = [
            *clip.frames.mean((1, 2)).ravel().tolist(),
            float(counts.sum(dtype=np.int64)),
            float(np.square(clip.sound, dtype=np.float64).mean()),
            float(np.square(words_CW[i, :150], dtype=np.float64).mean()),
        ]
    return {name: np.array(values) for name, values in found.items()}


def losses() -> Trace:
    """Every loss term of every epoch of a run in float64, ``<stage>.<term>``, dropout included.

    Stage 2 is told its number of epochs: which epoch validates best is a count of clips, and
    another rounding may choose another.
    """
    config, clips = small_config(epochs=4), in_double(random_clips())
    found: dict[str, list[float]] = {}
    for start in (None, Progress(stage=1, best_epoch=3)):
        with tempfile.TemporaryDirectory() as name, float64():
            trainer = Trainer(config, clips, Path(name), lambda record: None)
            if start is None:
                trainer.choose()
            else:
                trainer.run(start=start)
            lines = (Path(name) / "metrics.jsonl").read_text().splitlines()
        for record in map(json.loads, lines):
            for term, value in record["loss"].items():
                found.setdefault(f"{record['stage']}.{term}", []).append(value)
    return {name: np.array(curve) for name, curve in found.items()}


def network() -> nir.NIRGraph:
    """Three layers of 12 neurons that fire, with the threshold of a motion branch."""
    graph = random_graph(np.random.default_rng(11), FEATURES, NEURONS, LAYERS)
    for node in graph.nodes.values():
        if isinstance(node, nir.LIF):
            node.v_threshold = np.full(NEURONS, 1 + THRESHOLD_OFFSET, np.float32)
    return graph


def inputs() -> dict[str, np.ndarray]:
    """Two samples of eight steps; float32 holds every membrane of so few exactly."""
    return random_inputs(np.random.default_rng(12), FEATURES, batch=2, steps=8)


def recorded(recording: Recording) -> Trace:
    """A backend's recording by the names of ``probe.npz``; membranes where it gives them."""
    spikes = {f"spikes.{name}": x.astype(np.uint8) for name, x in recording.spikes.items()}
    return spikes | {f"membrane.{name}": x for name, x in recording.membranes.items()}


def simulators(graph: nir.NIRGraph) -> Trace:
    """The inputs ``in.*``, and what both references record: ``float.*`` and ``int.*``."""
    driven, lowered = inputs(), lower(graph)
    found = {
        "float": recorded(reference_float(lowered, driven)),
        "int": recorded(reference_int(quantise(lowered, grids()), driven)),
    }
    both = {f"{kind}.{name}": x for kind, trace in found.items() for name, x in trace.items()}
    return {f"in.{name}": x for name, x in driven.items()} | both


def torch_trace(lowered: Network, driven: dict[str, np.ndarray]) -> Trace:
    """What PyTorch's module with the graph's weights records, float32."""
    branch = MotionBranch(FEATURES, NEURONS, LAYERS)
    with torch.no_grad():
        for index, p in enumerate(lowered.populations):
            weight_NF = next(s.weight for s in p.synapses if s.source != "threshold_current")
            branch.linear(index).weight.copy_(torch.from_numpy(weight_NF))
            branch.linear(index).bias.copy_(torch.from_numpy(p.bias))
        x_BSF, current_BS1 = (torch.from_numpy(x) for x in driven.values())
        layers = branch.trace(x_BSF, threshold_current=current_BS1)
    found: Trace = {}
    for i, (spikes_BSN, membrane_BSN) in enumerate(layers, start=1):
        found[f"spikes.lif_{i}"] = spikes_BSN.numpy().astype(np.uint8)
        found[f"membrane.lif_{i}"] = membrane_BSN.numpy()
    return found


def clip() -> tuple[np.ndarray, np.ndarray]:
    """Six frames of 12×18 luma and their times in µs, by a formula of whole numbers.

    A grating that speeds up before a background that brightens, at uneven times.
    """
    f, y, x = np.meshgrid(np.arange(6), np.arange(12), np.arange(18), indexing="ij")
    frames = 30 + (7 * x + 13 * y + 5 * f * f) % 61 * (1 + f % 2) + 6 * f
    return frames.astype(np.uint8), 40_000 * np.arange(6) + 1_700 * (np.arange(6) ** 2 % 5)


def clip_events() -> Trace:
    """Events of the clip, ideal and noisy, by the readable reference; E_v by counting them."""
    frames, times = clip()
    found = {
        name: frames_to_events_reference(frames, times, **sensor)
        for name, sensor in (("ideal", IDEAL), ("noisy", NOISY))
    }
    return {**found, "dense": events.pool(found["ideal"], (18, 12, 2), **DENSE)}

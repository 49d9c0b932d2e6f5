"""Other event simulators on the package index: eventcv, evlib, snnTorch.

v2e, esim_py and Metavision's simulator are not on it (checked on 2026-11-22).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Peer:
    """A simulator on one clip: the function to time, and its number of events."""

    work: Callable[[], Any]
    count: Callable[[], int]


def _snntorch(frames: np.ndarray, times: np.ndarray) -> Peer:
    """Run snnTorch's delta on the log frames: dense spikes of differences, without memory."""
    import torch
    from snntorch import spikegen

    def work() -> torch.Tensor:
        log = torch.from_numpy(frames).float().clamp(min=1).log()
        return spikegen.delta(log, threshold=0.2, padding=True, off_spike=True)

    return Peer(work, lambda: int(work().abs().sum()))


def eventcv(frames: np.ndarray, times: np.ndarray, threshold: float = 0.2) -> Peer:
    """Run eventcv's simulator with its noise off and no subdivision of the intervals.

    Raises:
        ImportError: it is not installed.
    """
    module = importlib.import_module("eventcv")
    fps = 1e6 * (len(times) - 1) / float(times[-1] - times[0])
    ideal = {"sigma_thres": 0.0, "leak_rate_hz": 0.0, "shot_noise_rate_hz": 0.0, "cutoff_hz": 0.0}

    def work() -> Any:
        return module.simulate(
            frames, fps=fps, pos_thres=threshold, neg_thres=threshold, refractory_us=0,
            upsample="off", **ideal,
        )  # fmt: skip

    return Peer(work, lambda: len(work()))


def _evlib(frames: np.ndarray, times: np.ndarray) -> Peer:
    """Run evlib's ESIM (torch), frame by frame."""
    simulation = importlib.import_module("evlib.simulation")

    def work() -> int:
        config = simulation.ESIMConfig(
            positive_threshold=0.2, negative_threshold=0.2, refractory_period_ms=0.0, device="cpu"
        )
        simulator = simulation.ESIMSimulator(config)
        return sum(
            len(simulator.process_frame(frame, int(time))[0])
            for frame, time in zip(frames, times, strict=True)
        )

    return Peer(work, work)


def peers(frames: np.ndarray, times: np.ndarray) -> tuple[dict[str, Peer], dict[str, str]]:
    """Return the simulators that run here, and the reasons why the others do not."""
    makers = {"snnTorch delta": _snntorch, "eventcv": eventcv, "evlib": _evlib}
    here: dict[str, Peer] = {}
    absent: dict[str, str] = dict.fromkeys(
        ("v2e", "esim_py", "Metavision"), "not in the package index"
    )
    for name, maker in makers.items():
        try:
            here[name] = maker(frames, times)
            here[name].count()
        except Exception as error:
            here.pop(name, None)
            absent[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    sys.stdout.flush()
    return here, absent

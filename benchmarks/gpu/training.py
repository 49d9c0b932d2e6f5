"""Training steps and a whole epoch of MDFT, with the recipe of UCF-GZSL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.floor import again
from benchmarks.gpu.results import Row
from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.trial import attempt, peak, reset_peak
from benchmarks.processor_time import minima, timed
from benchmarks.synthetic import random_clips
from benchmarks.training import configured, counted_steps, epoch_seconds, steps_of
from mdft.config.recipes import ucf
from mdft.config.train import ComputeConfig
from mdft.data.dataset import ClipSet
from mdft.systems.build import OURS


def steps(sizes: Sizes, record: Callable[[Row], None]) -> None:
    """Record an epoch, then a step over its products, of each batch size."""
    clips = random_clips(sizes.shape)
    for batch in sizes.batches:
        record(epoch(sizes, clips, batch))
    for batch in sizes.batches:
        row, failed = attempt(f"step, B {batch}", partial(_step, sizes, clips, batch))
        record({"measured": "step", "B": batch, **(row or {}), **failed})


def epoch(sizes: Sizes, clips: ClipSet, batch: int, **compute: Any) -> Row:
    """A row of one epoch, measured.

    Args:
        sizes: the device and the clips' shape.
        clips: the data set.
        batch: the clips per step.
        compute: fields of :class:`mdft.config.train.ComputeConfig`.
    """
    config = configured(OURS, sizes.shape, batch, sizes.device)
    config = replace(config, compute=ComputeConfig(**compute))
    reset_peak(sizes)
    found, failed = attempt(f"epoch, B {batch}", partial(epoch_seconds, config, clips))
    row: Row = {"measured": "epoch", "B": batch}
    if found is None:
        return row | failed
    number, (seconds, _) = steps_of(clips, batch), found
    row |= {
        "steps": number,
        "seconds": seconds,
        "ms a step": 1e3 * seconds / number,
        "samples/s": batch * number / seconds,
        f"{ucf().epochs} epochs, s": ucf().epochs * seconds,
        "peak, MiB": peak(sizes),
    }
    return row


def _step(sizes: Sizes, clips: ClipSet, batch: int) -> Row:
    config = configured(OURS, sizes.shape, batch, sizes.device)
    with counted_steps(config, clips) as (step, counts):
        works = {"step": timed(step, sizes.device), "products": timed(again(counts), sizes.device)}
        found = minima(works, rounds=sizes.rounds)
    return {
        "ms a step": 1e3 * found["step"],
        "samples/s": batch / found["step"],
        "products, ms": 1e3 * found["products"],
        "step / products": found["step"] / found["products"],
    }

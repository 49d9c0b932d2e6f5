"""An epoch of MDFT with each option of ``--compute.*``, and in TF32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import torch

from benchmarks.gpu.floors import PRECISIONS
from benchmarks.gpu.results import Row
from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.training import epoch
from benchmarks.synthetic import random_clips


def autocast(sizes: Sizes, record: Callable[[Row], None]) -> None:
    """Record an epoch in float32, in TF32, and under bfloat16 autocast (not in a dry run)."""
    clips, batch = random_clips(sizes.shape), sizes.batches[0]
    for name, setting in PRECISIONS.items():
        torch.set_float32_matmul_precision(setting)
        record({"precision": name, **epoch(sizes, clips, batch)})
    torch.set_float32_matmul_precision("highest")
    if sizes.dry:  # mdft.train refuses it on a CPU
        record({"precision": "bfloat16", "note": "not in a dry run"})
    else:
        record({"precision": "bfloat16", **epoch(sizes, clips, batch, autocast=True)})


def compiled(sizes: Sizes, record: Callable[[Row], None]) -> None:
    """Record an epoch with each mode of ``torch.compile``; a dry run compiles nothing.

    Its first step, which compiles, is not counted; a later recompilation is.
    """
    modes = "no", "default", "reduce-overhead"
    if not sizes.dry:
        _options(sizes, record, "compile", modes, {})
        return
    with mock.patch.object(torch, "compile", lambda work, **_: work):  # minutes on a CPU
        note: Row = {"note": "torch.compile is off in a dry run"}
        _options(sizes, record, "compile", modes, note)


def feeds(sizes: Sizes, record: Callable[[Row], None]) -> None:
    """Record an epoch with all clips on the device, and with clips read ahead."""
    _options(sizes, record, "feed", ("device", "stream"), {})


def _options(
    sizes: Sizes, record: Callable[[Row], None], field: str, values: tuple[Any, ...], note: Row
) -> None:
    clips, batch = random_clips(sizes.shape), sizes.batches[0]
    for value in values:
        record({field: value, **epoch(sizes, clips, batch, **{field: value}), **note})

"""Time works side by side; one that does not fit into the memory is left out with its reason."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from benchmarks.gpu.process import reason_of
from benchmarks.gpu.results import REASON, Row
from benchmarks.gpu.sizes import Sizes
from benchmarks.timing import Work, medians

Found = TypeVar("Found")


def attempt(what: str, work: Callable[[], Found]) -> tuple[Found | None, Row]:
    """Return what a work returns and an empty row, or None and a row with the reason.

    Whatever a library raises is recorded, most of all a lack of memory: other rows follow.

    Args:
        what: the name of the work in the reason.
        work: the function to call.
    """
    try:
        return work(), {}
    except Exception as error:
        row: Row = {REASON: f"{what}: {reason_of(error)}"}
    gc.collect()  # what the frames of the error held
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return None, row


def timed(works: Mapping[str, Work], sizes: Sizes) -> tuple[dict[str, float], Row]:
    """Return the median seconds of each work, and a row with the reason of what does not run.

    Each runs twice before: kernels are compiled and memory is reserved then.

    Args:
        works: name → the function to time.
        sizes: the device and the number of rounds.
    """
    fine, reasons = dict[str, Work](), list[str]()
    for name, work in works.items():
        for _ in range(2):
            _, row = attempt(name, work)
        if row:
            reasons.append(str(row[REASON]))
        else:
            fine[name] = work
    seconds = medians(fine, rounds=sizes.rounds, device=sizes.device)
    return seconds, {REASON: "; ".join(reasons)} if reasons else {}


def reset_peak(sizes: Sizes) -> None:
    """Begin a new peak of the GPU's memory."""
    if sizes.device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak(sizes: Sizes) -> float | None:
    """The most MiB of the GPU that tensors took since :func:`reset_peak`; None on a CPU."""
    return torch.cuda.max_memory_allocated() / 2**20 if sizes.device == "cuda" else None


def milliseconds(seconds: Mapping[str, float], name: str) -> float | None:
    """The milliseconds of a work, None if it did not run."""
    return 1e3 * seconds[name] if name in seconds else None


def ratio(above: float | None, below: float | None) -> float | None:
    """``above / below``, None if either is unknown."""
    return None if above is None or below is None else above / below

"""The motion branch over its floors, and other libraries' neurons over the motion branch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.gpu.floors import PRECISIONS
from benchmarks.gpu.results import REASON, Row
from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.trial import attempt, milliseconds, peak, ratio, reset_peak, timed
from benchmarks.motion_branch import PRODUCTS, TRAFFIC, example, floors_and_ours, training_step
from benchmarks.snn_peers import SNNTorch, SpikingJelly, spikingjelly_backend
from mdft.lif.fused import supports
from mdft.model.motion import MotionBranch

BRANCH = "motion branch"


def _settings(sizes: Sizes) -> Iterator[Row]:
    """Each precision and batch size, the precision set."""
    for precision, setting in PRECISIONS.items():
        torch.set_float32_matmul_precision(setting)
        for batch in sizes.batches:
            yield {"precision": precision, "B": batch, "T": sizes.steps, "N": sizes.width}


def motion(sizes: Sizes, record: Callable[[Row], None]) -> None:
    """Record a training step of the branch, its products and its traffic."""
    for row in _settings(sizes):
        record(row | _motion(sizes, int(str(row["B"]))))


def _motion(sizes: Sizes, batch: int) -> Row:
    with torch.device(sizes.device):
        given, failed = attempt("example", partial(example, batch, sizes.steps, sizes.width))
        if given is None:
            return failed
        works = floors_and_ours(*given)
        seconds, reasons = timed(works, sizes)
        reset_peak(sizes)
        attempt(BRANCH, works[BRANCH])
        kernel = supports(given[1], given[0].spike)
    found = {name: milliseconds(seconds, name) for name in (BRANCH, PRODUCTS, TRAFFIC)}
    floors = [value for name, value in found.items() if name != BRANCH and value is not None]
    row: Row = {
        "kernel": "fused" if kernel else "loop",
        "branch, ms": found[BRANCH],
        "products, ms": found[PRODUCTS],
        "traffic, ms": found[TRAFFIC],
        "branch / larger floor": ratio(found[BRANCH], max(floors) if len(floors) == 2 else None),
        "plain loop, ms": milliseconds(seconds, "plain loop"),
        "peak, MiB": peak(sizes),
    }
    return row | reasons


def peers(sizes: Sizes, record: Callable[[Row], None]) -> None:
    """Record steps of snnTorch and SpikingJelly over that of the branch, at a constant threshold.

    All have the weights of the branch; how many of their spikes differ from its is counted.
    """
    for row in _settings(sizes):
        batch = int(str(row["B"]))
        for library, make in (("snnTorch", SNNTorch), ("SpikingJelly", _spikingjelly(sizes))):
            found, failed = attempt(library, partial(_peer, sizes, batch, library, make))
            record({**row, "library": library, **(found or {}), **failed})


def _spikingjelly(sizes: Sizes) -> Callable[[MotionBranch], nn.Module]:
    """Its fastest backend on the device."""

    def make(branch: MotionBranch) -> nn.Module:
        backend = spikingjelly_backend(sizes.device)
        if backend is None:
            raise ModuleNotFoundError("it is not installed")
        return SpikingJelly(branch, backend)

    return make


def _peer(sizes: Sizes, batch: int, library: str, make: Callable[[MotionBranch], nn.Module]) -> Row:
    with torch.device(sizes.device):
        branch, x_BSF, grad_BSN = example(batch, sizes.steps, sizes.width)
        peer = make(branch)
        with torch.no_grad():
            differ = int((branch(x_BSF) != peer(x_BSF)).sum())
        forwards: dict[str, Callable[[], Tensor]] = {
            BRANCH: lambda: branch(x_BSF),
            library: lambda: peer(x_BSF),
        }
        works = {name: training_step(forward, grad_BSN) for name, forward in forwards.items()}
        seconds, reasons = timed(works, sizes)
    theirs, ours = (milliseconds(seconds, name) for name in (library, BRANCH))
    backend = peer.neurons[0].backend if isinstance(peer, SpikingJelly) else ""
    row: Row = {
        "backend": backend,
        "ms": theirs,
        "branch, ms": ours,
        "theirs / branch": ratio(theirs, ours),
        "spikes that differ": differ,
    }
    if sizes.device == "cuda" and backend not in ("", "triton"):
        text = f"{library}: it has no Triton neuron here; its backend {backend} was measured"
        reasons[REASON] = "; ".join(filter(None, (text, str(reasons.get(REASON) or ""))))
    return row | reasons

"""What the device is, and its two ceilings: the speed of a copy and of a product."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

import torch

from benchmarks.gpu.results import Row
from benchmarks.gpu.sizes import Sizes
from benchmarks.timing import medians

#: Work of a timed round, so that the time of a launch is small in it.
_REPEATED = 5
#: Name in the tables → the setting of torch: TF32 rounds the factors to 11 bits.
PRECISIONS = {"float32": "highest", "TF32": "high"}


def device(sizes: Sizes, record: Callable[[Row], None]) -> None:
    """Record what the device is, and the versions.

    Raises:
        RuntimeError: torch finds no CUDA device.
    """
    row: Row = {"date": datetime.now(timezone.utc).strftime("%Y-%m-%d")}
    if sizes.device == "cuda":
        torch.cuda.init()
        found = torch.cuda.get_device_properties(0)
        row |= {
            "name": found.name,
            "compute capability": f"{found.major}.{found.minor}",
            "multiprocessors": found.multi_processor_count,
            "memory, GiB": found.total_memory / 2**30,
            "free, GiB": torch.cuda.mem_get_info()[0] / 2**30,
            "devices": torch.cuda.device_count(),
            "CUDA": torch.version.cuda,
        }
    else:
        row |= {"name": f"{platform.machine()} (dry run)"}
    row |= {"python": platform.python_version(), "torch": str(torch.__version__)}
    row |= {name: _version(name) for name in ("triton", "snntorch", "spikingjelly")}
    record({**row, "cores": os.cpu_count(), "load": os.getloadavg()[0]})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def ceilings(sizes: Sizes, record: Callable[[Row], None]) -> None:
    """Record the GB/s of a copy, read and written, and the TFLOP/s of a square product."""
    record({"ceiling": "copy", "size": f"{sizes.copied} float32", "GB/s": _copied(sizes) / 1e9})
    n = sizes.product
    products = {**{name: torch.float32 for name in PRECISIONS}, "bfloat16": torch.bfloat16}
    for name, dtype in products.items():
        torch.set_float32_matmul_precision(PRECISIONS.get(name, "highest"))
        factor, out = (torch.ones(n, n, device=sizes.device, dtype=dtype) for _ in range(2))
        taken = _each(sizes, lambda a=factor, c=out: torch.mm(a, a, out=c))
        rate = 2 * n**3 / taken / 1e12
        record({"ceiling": f"product, {name}", "size": f"{n} × {n}", "TFLOP/s": rate})


def _copied(sizes: Sizes) -> float:
    source = torch.ones(sizes.copied, device=sizes.device)
    target = torch.empty_like(source)
    moved = 2 * source.element_size() * source.numel()
    return moved / _each(sizes, lambda: target.copy_(source))


def _each(sizes: Sizes, work: Callable[[], object]) -> float:
    """Median seconds of one of several repetitions without a pause."""

    def repeated() -> None:
        for _ in range(_REPEATED):
            work()

    found = medians({"": repeated}, rounds=sizes.rounds, warm_up=2, device=sizes.device)
    return found[""] / _REPEATED

"""Start under torchrun: join the other processes, and report an error only once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from datetime import timedelta

#: Timeout of a collective: the others may wait hours while the first process renders clips. A
#: process that dies is detected at once, by torchrun and by its closed sockets.
_TIMEOUT = timedelta(days=1)
_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@contextmanager
def joined() -> Iterator[None]:
    """Join the process group of torchrun; do nothing without torchrun or with one process.

    Gloo transfers CPU tensors, NCCL those of a GPU; each process uses the GPU of its local rank.
    Only the first process prints to stdout. Only the first process that fails raises its error;
    the others, whose error is the same or a consequence, exit with status 2.
    """
    if any(name not in os.environ for name in _TORCHRUN) or os.environ["WORLD_SIZE"] == "1":
        yield
        return
    # Imported here: --help and a mistyped flag need no torch.
    import torch
    import torch.distributed as dist
    from torch.distributed import PrefixStore  # pyright: ignore[reportPrivateImportUsage]
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://", timeout=_TIMEOUT))
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        # torchrun keeps its store over restarts, including addresses of processes that died
        # (pytorch issue 135712). Restart counts of several machines may differ.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = PrefixStore(f"attempt_{attempt}", store)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local < torch.cuda.device_count():
        torch.cuda.set_device(local)
    dist.init_process_group(store=store, rank=rank, world_size=size, timeout=_TIMEOUT)
    with ExitStack() as stack:
        if rank > 0:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(redirect_stdout(nowhere))
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            if _first_to_fail(store.add, dist.DistError):
                raise
            raise SystemExit(2) from error
    dist.destroy_process_group()


def _first_to_fail(add: Callable[[str, int], int], gone: type[Exception]) -> bool:
    """Whether this process is the first to fail; each failing process calls it once.

    Args:
        add: method of the shared store that adds to a number and returns the sum.
        gone: the exception of ``add`` if the process that hosts the store has ended.
    """
    try:
        return add("failed", 1) == 1
    except gone:
        return False

"""Starting under torchrun: joining the other processes, and saying what is wrong once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from datetime import timedelta

#: Of a collective: the first process may draw clips for hours while the others wait for it. One
#: that dies is noticed at once, by torchrun and by its closed sockets.
_TIMEOUT = timedelta(days=1)
_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@contextmanager
def joined() -> Iterator[None]:
    """Be one of the processes that torchrun has started; nothing without it, or if it is alone.

    Gloo carries tensors of the CPU, NCCL those of a GPU; each process has the GPU of its local
    rank. Only the first one has a stdout. Of the processes that fail one raises its error, the
    first to fail; the others, whose error is the same or follows from it, exit with status 2.
    """
    if any(name not in os.environ for name in _TORCHRUN) or os.environ["WORLD_SIZE"] == "1":
        yield
        return
    # Imported here: a process alone reads its arguments, and answers --help, without torch.
    import torch
    import torch.distributed as dist
    from torch.distributed import PrefixStore  # pyright: ignore[reportPrivateImportUsage]
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://", timeout=_TIMEOUT))
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        # torchrun keeps its store over restarts, with the addresses of the dead in it (pytorch
        # issue 135712); several machines have no count of restarts in common.
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
    """Whether no other process has failed before this one; asked once by each that fails.

    Args:
        add: of the store that the processes share: adds to a number there and returns the sum.
        gone: what ``add`` raises if the process that held the store is gone.
    """
    try:
        return add("failed", 1) == 1
    except gone:
        return False

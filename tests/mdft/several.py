"""Processes that train together, as torchrun starts them but without its seconds of start-up.

``python -m tests.mdft.several FOLDER`` is one of them that torchrun itself has started.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from mdft import train as command
from mdft.cli import run_main
from mdft.config.train import TrainConfig
from mdft.data.stages import STAGES
from mdft.distributed.joint_layers import join_rows
from mdft.distributed.launch import joined
from mdft.distributed.world import gather, joint_mean, of_all, total, world
from mdft.errors import UserError
from mdft.systems.build import build
from mdft.training.batches import TrainingBatches
from mdft.training.feed import feed_of
from mdft.training.step import shared_loss
from mdft.training.trainer import Trainer
from tests.mdft.small import double, float64, in_double, random_clips, small_config

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.mdft.several", "torch._dynamo"])

#: No batch, and no chunk of validation clips, is divisible by two or three.
CONFIG = small_config(batch_size=25)


class Outcome(NamedTuple):
    """Of each process, by rank: what it returned, its exit status; and all that was said."""

    found: list[Any]
    status: list[int | None]
    said: str


def together(folder: Path, size: int, work: Callable[..., Any], *arguments: Any) -> Outcome:
    """``work(*arguments)`` in each of ``size`` processes; ``folder`` is for their stderr."""
    errors = folder / "stderr"
    errors.write_text("")
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # as torchrun has one
    pipes, processes = [_CONTEXT.Pipe(duplex=False) for _ in range(size)], []
    for rank, (_, theirs) in enumerate(pipes):
        environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size}
        environment |= {"MASTER_PORT": store.port, "TORCHELASTIC_RESTART_COUNT": 0}
        given = (environment, errors, theirs, work, arguments)
        processes.append(_CONTEXT.Process(target=_be, args=given))
        processes[-1].start()
        theirs.close()
    found = [_received(ours) for ours, _ in pipes]
    for process in processes:
        process.join()
    return Outcome(found, [process.exitcode for process in processes], errors.read_text())


def _received(pipe: Connection) -> Any:
    try:
        return pickle.loads(pipe.recv_bytes())
    except EOFError:
        return None


def _be(
    environment: dict[str, int], errors: Path, pipe: Connection, work: Callable, arguments: tuple
) -> None:
    os.dup2(os.open(errors, os.O_WRONLY | os.O_APPEND), 2)
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    os.environ |= {name: str(value) for name, value in environment.items()}

    def main() -> int:
        with nullcontext() if work is run_command else joined():
            # Not pipe.send: torch would share the tensors with a process that is gone.
            pipe.send_bytes(pickle.dumps(work(*arguments)))
        return 0

    run_main(main)


def train(
    config: TrainConfig, folder: Path, resume: bool = False, stop_after: int | None = None
) -> int:
    """Train in float64 on clips of unequal length, ending as by Ctrl-C after so many epochs.

    Returns:
        How many epochs were reported to this process.
    """
    reported = 0

    def report(record: dict) -> None:
        nonlocal reported
        reported += "loss" in record
        if reported == stop_after:
            raise KeyboardInterrupt

    with float64():
        Trainer(config, in_double(random_clips(ragged=True)), folder, report).run(resume=resume)
    return reported


def gradients(*configs: TrainConfig) -> list[list[tuple[dict, dict, dict]]]:
    """Of each configuration: loss terms, gradients and buffers of two steps in float64."""
    return [_gradients(config) for config in configs]


def _gradients(config: TrainConfig) -> list[tuple[dict, dict, dict]]:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    clips = random_clips(ragged=True)
    feed = feed_of(clips, torch.device("cpu"))
    batches = TrainingBatches(clips, feed, STAGES[0], config.batch_size, generator)
    system = build(config)
    system.calibrate(batches.whole())
    loss_of, found = shared_loss(system.double().train()), []
    for _, batch in islice(batches.epoch(negatives=True), 2):
        words_CW = batch.words_CW.double()
        batch = dataclasses.replace(batch, clips=double(batch.clips), words_CW=words_CW)
        terms = loss_of(batch).terms
        system.zero_grad()
        terms["total"].backward()
        slopes = {
            name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
            for name, p in system.named_parameters()
        }
        buffers = {name: value.clone() for name, value in system.named_buffers()}
        found.append(({name: term.detach() for name, term in terms.items()}, slopes, buffers))
    return found


def layers(x_MD: torch.Tensor, starts: list[int]) -> dict[str, torch.Tensor]:
    """Batch normalisation and dropout of this process's rows, and their gradients.

    Args:
        x_MD: rows of all processes.
        starts: where the rows of each process begin, and the end.
    """
    here = world()
    net = nn.Sequential(nn.BatchNorm1d(x_MD.shape[1]), nn.Dropout(0.4)).double()
    if here.size > 1:
        join_rows(net)
    torch.manual_seed(3)
    rows = slice(starts[here.rank], starts[here.rank + 1]) if here.size > 1 else slice(None)
    x_RD = x_MD[rows].clone().requires_grad_()
    y_RD = net(x_RD)
    (y_RD * torch.arange(y_RD.numel()).view_as(y_RD).sin()).sum().backward()
    found = {"y": y_RD.detach(), "dx": x_RD.grad, **dict(net.named_buffers())}
    return {name: value for name, value in found.items() if value is not None}


def exchanged(x_RX: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What :func:`gather` and :func:`joint_mean` return and their gradients, of 5 rows of ours."""
    here = world()
    mine = x_RX[here.rows(5)].clone().requires_grad_()
    (mean,) = joint_mean([mine.mean()], torch.tensor(len(mine)))
    all_RX = gather(mine, 5)
    (mean + (all_RX * x_RX).sum()).backward()
    assert mine.grad is not None
    return all_RX.detach(), mean.detach(), mine.grad


def fail_in(rank: int) -> None:
    """A mistake that one process alone finds, while the others wait for it."""
    if world().rank == rank:
        raise UserError(f"clip.h5: process {rank} cannot read it")
    total(torch.ones(1))


def run_command(*arguments: str) -> int:
    """``python -m mdft.train`` with these arguments."""
    sys.argv = ["mdft.train", *arguments]
    return command.main()


def die_once(folder: Path) -> None:
    """Train with a process that is killed after the first epoch, the first time."""
    attempt, epochs = os.environ["TORCHELASTIC_RESTART_COUNT"], folder / "epochs"
    pids = of_all(os.getpid())

    def report(record: dict) -> None:
        if "loss" in record:
            with epochs.open("a") as file:
                file.write(f"{attempt}: {record['stage']} {record['epoch']}\n")
            if attempt == "0":
                os.kill(pids[1], signal.SIGKILL)

    (folder / "run").mkdir(exist_ok=True)
    with float64():
        clips = in_double(random_clips(ragged=True))
        Trainer(CONFIG, clips, folder / "run", report).run(resume=True)


if __name__ == "__main__":
    with joined():
        die_once(Path(sys.argv[1]))

"""``python -m benchmarks.training``: whole training steps, samples per second, over their floor.

A step is that of the trainer: draw clips, batch them, forward, loss, backward, Adam, and its checks
and counts. Its floor is a repetition of its matrix products alone, forward and backward, those of
spikes as dense ones. Clips are random, of the shape of UCF-GZSL. Our systems are compared and, with
a path to a checkout, the authors' code of TCaF, AVMST and AVCA in the same run, with our sizes of
the same system:

    python -m benchmarks.training --tcaf TCAF-GZSL --avmst ICME23_AVMST --avca AVCA-GZSL

All candidates run in turn; the time is the least processor time of a step, wall time on CUDA.
"""

from __future__ import annotations

import math
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch
import tyro
from rich.console import Console

from benchmarks.authors_step import Authors, Settings
from benchmarks.checkouts import CHECKOUTS, checked
from benchmarks.figures import write_figures
from benchmarks.floor import Product, Products, again, multiplications
from benchmarks.processor_time import Timed, minima, timed
from benchmarks.stepping import Stop, parameters, train, training
from benchmarks.synthetic import SOURCE, Shape, random_clips
from benchmarks.training_table import Row, ratios, table, whole_run
from mdft.config.baselines import SystemName
from mdft.config.data import DataConfig
from mdft.config.recipes import ucf
from mdft.config.train import ComputeConfig, TrainConfig
from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.lif import sparse
from mdft.systems.build import OURS, TITLES


@dataclass(frozen=True)
class Options:
    """The settings of the benchmark."""

    quick: bool = False
    """Use few small clips and one small batch."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where."""
    batches: tuple[int, ...] = (64, 256)
    """Clips per step."""
    seconds: int = 10
    """Seconds T of every clip."""
    bins: int = 1
    """Event bins per second K of MDFT; 1 as with feature events."""
    systems: tuple[SystemName, ...] = get_args(SystemName)
    """Our systems to measure."""
    rounds: int = 5
    """Counted steps of each system."""
    threads: int = 1
    """Threads of torch in each process."""
    epoch: bool = False
    """Also measure a whole epoch of MDFT."""
    tcaf: Path | None = None
    """A checkout of the authors' code."""
    avmst: Path | None = None
    """A checkout of the authors' code."""
    avca: Path | None = None
    """A checkout of the authors' code."""
    python: str = sys.executable
    """Interpreter for the authors' code, with the packages that it requires."""
    figures: Path | None = None
    """Also write the ratios to this JSON file, for ``python -m benchmarks``."""

    @property
    def shape(self) -> Shape:
        """The shape of the clips."""
        given = Shape(seconds=self.seconds, bins=self.bins)
        return replace(given, clips=400, test=150, seconds=3, width=32) if self.quick else given

    def checkouts(self) -> list[tuple[SystemName, Path]]:
        """The systems and folders of the given checkouts.

        Raises:
            UserError: a folder is not a checkout of its system.
        """
        paths: dict[SystemName, Path | None]
        paths = {"tcaf": self.tcaf, "avmst": self.avmst, "avca": self.avca}
        return [(system, checked(system, path)) for system, path in paths.items() if path]


def configured(system: SystemName, shape: Shape, batch: int, device: str) -> TrainConfig:
    """Return the recipe of UCF-GZSL for a system, with the widths of these clips.

    All clips are on the device: a prefetching thread would run during another system's turn.

    Args:
        system: one of our systems.
        shape: the shape of the clips.
        batch: the number of clips per step.
        device: cpu or cuda.
    """
    recipe, width = ucf(), shape.width
    features = {"audio_features": width, "visual_features": width, "words": shape.words}
    return replace(
        recipe,
        system=system,
        model=replace(recipe.model, dim=width, **features),
        data=DataConfig(source=SOURCE),
        compute=ComputeConfig(feed="device"),
        batch_size=batch,
        device=device,
    )


def measure(options: Options, clips: ClipSet, batch: int) -> list[Row]:
    """Measure every system at one batch size: ours, with their floors, and the authors'.

    Args:
        options: the settings.
        clips: clips of ``options.shape``.
        batch: the number of clips per step.

    Raises:
        UserError: the authors' code does not run.
    """
    works: dict[str, Timed] = {}
    numbers: dict[str, int] = {}
    products: dict[str, int] = {}
    with ExitStack() as stack:
        for system, checkout in options.checkouts():
            child = stack.enter_context(_authors(options, batch, system, checkout))
            name = f"{TITLES[system]}, authors'"
            works |= _works(name, child)
            numbers |= dict.fromkeys((name, f"{name} loop"), child.parameters)
        for system in options.systems:
            name, config = TITLES[system], configured(system, options.shape, batch, options.device)
            step, counts = stack.enter_context(counted_steps(config, clips))
            works[name] = timed(step, options.device)
            works[_floor(name)] = timed(again(counts), options.device)
            numbers[name] = parameters(config)
            products[name] = multiplications(counts)
        least = minima(works, rounds=options.rounds)
    return [
        Row(name, number, least[name], least.get(_floor(name)), products.get(name))
        for name, number in numbers.items()
    ]


@contextmanager
def counted_steps(
    config: TrainConfig, clips: ClipSet
) -> Iterator[tuple[Callable[[], None], Counter[Product]]]:
    """Give a function that runs the trainer's next step, and the products of one step.

    Args:
        config: the configuration of the training.
        clips: the data set.
    """
    steps = training(config, clips)
    try:
        steps.step()  # includes the initialisation
        recorded = Products()
        with dense_spikes():
            steps.step(recorded)
        yield steps.step, recorded.counts
    finally:
        steps.close()


@contextmanager
def dense_spikes() -> Iterator[None]:
    """Multiply spikes as dense matrices, so that the floor counts these products too."""
    densest, sparse.DENSEST = sparse.DENSEST, 0.0
    try:
        yield
    finally:
        sparse.DENSEST = densest


def _floor(name: str) -> str:
    return f"floor of {name}"


def _authors(options: Options, batch: int, system: str, checkout: Path) -> Authors:
    shape, hyper = options.shape, asdict(getattr(ucf().baseline, system))
    classes = round(shape.classes * 42 / 51)
    sizes = batch, shape.seconds, shape.width, shape.words, classes
    given = Settings(system, str(checkout), *sizes, hyper, options.threads, options.device)
    return Authors(given, options.python)


def _works(name: str, child: Authors) -> dict[str, Timed]:
    """Return one step of the authors' code, timed alone and with the rest of their loop."""
    seconds: dict[str, float] = {}

    def step() -> float:
        seconds.update(child.step())
        return seconds["step"]

    return {name: step, f"{name} loop": lambda: seconds["loop"]}


def measured_epoch(options: Options, clips: ClipSet, batch: int) -> str:
    """Measure one epoch of MDFT on all clips, and say what it took."""
    config = configured(OURS, options.shape, batch, options.device)
    number, (clock, processor) = steps_of(clips, batch), epoch_seconds(config, clips)
    took = f"{clock:.1f} s by the clock, {processor:.1f} s of the processor"
    return f"B {batch}, one epoch measured, {number} steps: {took}"


def steps_of(clips: ClipSet, batch: int) -> int:
    """Return the number of steps of an epoch of stage 2."""
    return math.ceil(len(clips.splits["stage_2_train"]) / batch)


def epoch_seconds(config: TrainConfig, clips: ClipSet) -> tuple[float, float]:
    """Return the seconds of one epoch by the clock and of the processor, with its saving.

    It is counted from the end of the first step, which includes the initialisation, to the end of
    the first step of the second epoch. It runs in this thread, not in another one as the steps
    above: with two teams OpenMP would have more threads than cores, and suspend them between its
    loops.

    Args:
        config: the configuration, with two epochs or more.
        clips: the data set.
    """
    number, marks = steps_of(clips, config.batch_size), list[tuple[float, float]]()

    def after_step() -> None:
        marks.append((time.perf_counter(), time.process_time()))
        if len(marks) > number:
            raise Stop

    with suppress(Stop):
        train(config, clips, after_step)
    clock, processor = (last - first for first, last in zip(marks[0], marks[-1], strict=True))
    return clock, processor


def main(options: Options) -> None:
    """Print the tables."""
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no CUDA device, expected cpu")
    options.checkouts()
    torch.set_num_threads(options.threads)
    shape, console = options.shape, Console(width=None if sys.stdout.isatty() else 160)
    clips = random_clips(shape)
    where = torch.cuda.get_device_name() if options.device == "cuda" else platform.machine()
    what = f"T {shape.seconds}, K {shape.bins}, width {shape.width}, {options.threads} threads"
    absent = [system for system in CHECKOUTS if getattr(options, system) is None]
    figures: dict[str, float] = {}
    for batch in (32,) if options.quick else options.batches:
        rows = measure(options, clips, batch)
        figures |= ratios(rows, f"B {batch}")
        title = f"training step, B {batch}, {what}, {where}, torch {torch.__version__}"
        console.print(table(title, batch, rows, absent))
        for row in (row for row in rows if row.name == TITLES[OURS]):
            console.print(whole_run(shape, batch, row.seconds))
        if options.epoch:
            console.print(measured_epoch(options, clips, batch))
    write_figures(options.figures, figures)


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None

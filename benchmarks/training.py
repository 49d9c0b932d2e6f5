"""``python -m benchmarks.training``: whole training steps, samples a second, over their floor.

A step is the trainer's own: draw clips, batch them, forward, loss, backward, Adam, and its checks
and counts. Its floor is its matrix products alone, forward and backward, done again. Clips are
random, of the shape of UCF-GZSL. Compared are our systems and, with a path to a checkout, the
authors' code of TCaF, AVMST and AVCA in the same run, with our sizes of the same system:

    python -m benchmarks.training --tcaf TCAF-GZSL --avmst ICME23_AVMST --avca AVCA-GZSL

Everything runs in turn; least processor time of a step, or of the clock on CUDA.
"""

from __future__ import annotations

import math
import platform
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch
import tyro
from rich.console import Console

from benchmarks.authors import CHECKOUTS, Authors, Settings, UserError, checked
from benchmarks.floor import Products, again, multiplications
from benchmarks.processor_time import Timed, minima, timed
from benchmarks.stepping import Stop, parameters, train, training
from benchmarks.synthetic import SOURCE, Shape, random_clips
from benchmarks.training_table import Row, table, whole_run
from mdft.config.baselines import SystemName
from mdft.config.data import DataConfig
from mdft.config.recipes import ucf
from mdft.config.train import ComputeConfig, TrainConfig
from mdft.data.dataset import ClipSet
from mdft.systems.build import OURS, TITLES


@dataclass(frozen=True)
class Options:
    """What is measured."""

    quick: bool = False
    """Few small clips, one small batch."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where."""
    batches: tuple[int, ...] = (64, 256)
    """Clips a step."""
    seconds: int = 10
    """T of every clip."""
    bins: int = 1
    """K of MDFT; 1 as with feature events."""
    systems: tuple[SystemName, ...] = get_args(SystemName)
    """Which of ours."""
    rounds: int = 5
    """Counted steps of each."""
    threads: int = 1
    """Of torch, in each process."""
    epoch: bool = False
    """Measure a whole epoch of MDFT, too."""
    tcaf: Path | None = None
    """A checkout of the authors' code."""
    avmst: Path | None = None
    """A checkout of the authors' code."""
    avca: Path | None = None
    """A checkout of the authors' code."""
    python: str = sys.executable
    """Interpreter for the authors' code: one that has what their environments ask for."""

    @property
    def shape(self) -> Shape:
        """Of the clips."""
        given = Shape(seconds=self.seconds, bins=self.bins)
        return replace(given, clips=400, test=150, seconds=3, width=32) if self.quick else given

    def checkouts(self) -> list[tuple[SystemName, Path]]:
        """System and folder of the authors' code that is given.

        Raises:
            UserError: a folder is no checkout of it.
        """
        paths: dict[SystemName, Path | None]
        paths = {"tcaf": self.tcaf, "avmst": self.avmst, "avca": self.avca}
        return [(system, checked(system, path)) for system, path in paths.items() if path]


def configured(system: SystemName, shape: Shape, batch: int, device: str) -> TrainConfig:
    """The recipe of UCF-GZSL for a system, with the widths of these clips.

    All clips are on the device: a thread that reads ahead would read in another system's turn.

    Args:
        system: of ours.
        shape: of the clips.
        batch: clips a step.
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
    """Every system at one batch size: ours, with their floors, and the authors'.

    Args:
        options: which.
        clips: of ``options.shape``.
        batch: clips a step.

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
            steps = training(config, clips)
            stack.callback(steps.close)
            steps.step()  # with all that is before it
            recorded = Products()
            steps.step(recorded)
            floor = again(recorded.counts)
            works[name] = timed(steps.step, options.device)
            works[_floor(name)] = timed(floor, options.device)
            numbers[name] = parameters(config)
            products[name] = multiplications(recorded.counts)
        least = minima(works, rounds=options.rounds)
    return [
        Row(name, number, least[name], least.get(_floor(name)), products.get(name))
        for name, number in numbers.items()
    ]


def _floor(name: str) -> str:
    return f"floor of {name}"


def _authors(options: Options, batch: int, system: str, checkout: Path) -> Authors:
    shape, hyper = options.shape, asdict(getattr(ucf().baseline, system))
    classes = round(shape.classes * 42 / 51)
    sizes = batch, shape.seconds, shape.width, shape.words, classes
    given = Settings(system, str(checkout), *sizes, hyper, options.threads, options.device)
    return Authors(given, options.python)


def _works(name: str, child: Authors) -> dict[str, Timed]:
    """One step of the authors', seen twice: alone, and with what their loop adds to it."""
    seconds: dict[str, float] = {}

    def step() -> float:
        seconds.update(child.step())
        return seconds["step"]

    return {name: step, f"{name} loop": lambda: seconds["loop"]}


def measured_epoch(options: Options, clips: ClipSet, batch: int) -> str:
    """One epoch of MDFT on all clips, after a step that is not counted.

    On this thread, not on one of its own as the steps above: OpenMP would see two teams, more
    threads than cores, and put them to sleep between its loops.
    """
    config = configured(OURS, options.shape, batch, options.device)
    number, marks = math.ceil(options.shape.clips / batch), list[tuple[float, float]]()

    def after_step() -> None:
        marks.append((time.perf_counter(), time.process_time()))
        if len(marks) > number:
            raise Stop

    with suppress(Stop):
        train(config, clips, after_step)
    clock, processor = (last - first for first, last in zip(marks[0], marks[-1], strict=True))
    took = f"{clock:.1f} s by the clock, {processor:.1f} s of the processor"
    return f"B {batch}, one epoch measured, {number} steps: {took}"


def main(options: Options) -> None:
    """Print the tables."""
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no CUDA device, expected cpu here")
    options.checkouts()
    torch.set_num_threads(options.threads)
    shape, console = options.shape, Console(width=None if sys.stdout.isatty() else 160)
    clips = random_clips(shape)
    where = torch.cuda.get_device_name() if options.device == "cuda" else platform.machine()
    what = f"T {shape.seconds}, K {shape.bins}, width {shape.width}, {options.threads} threads"
    absent = [system for system in CHECKOUTS if getattr(options, system) is None]
    for batch in (32,) if options.quick else options.batches:
        rows = measure(options, clips, batch)
        title = f"training step, B {batch}, {what}, {where}, torch {torch.__version__}"
        console.print(table(title, batch, rows, absent))
        for row in (row for row in rows if row.name == TITLES[OURS]):
            console.print(whole_run(shape, batch, row.seconds))
        if options.epoch:
            console.print(measured_epoch(options, clips, batch))


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None

"""``python -m mdft.motion DATASET``: train a spiking network on an event camera's recordings."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from mdft.cli import parse, run_main
from mdft.config.recordings import RecognitionConfig

if TYPE_CHECKING:
    from rich.console import Console

    from mdft.data.recordings.prepared import Prepared


@dataclass(frozen=True)
class Command(RecognitionConfig):
    """Train a spiking network on the recordings of an event camera, exact in Loihi's arithmetic.

    Writes config.json, start.nir, model.safetensors, metrics.jsonl and results.json; export the
    network with `python -m export.to_nir RUN`. Exit status: 0 done, 1 done but recordings were
    left out, 2 wrong usage.
    """

    out: Path | None = None
    """Run folder; default: runs/ and the name of the dataset."""


def config_of(command: Command) -> RecognitionConfig:
    """The configuration of the run, without the run's folder."""
    names = [f.name for f in fields(RecognitionConfig)]
    return RecognitionConfig(**{name: getattr(command, name) for name in names})


def show_recordings(prepared: Prepared, console: Console) -> None:
    """Print how many recordings there are, remarks, and each one that is left out."""
    polarities, height, width = prepared.shape
    bins = prepared.train.counts_NSX.shape[1]
    console.print(
        f"{len(prepared.train):,} training and {len(prepared.test):,} test recordings of "
        f"{len(prepared.classes)} classes, {bins} bins of {polarities} x {height} x {width}",
        highlight=False,
    )
    for note in prepared.notes:
        console.print(note, highlight=False, markup=False)
    for line in prepared.left_out:
        console.print(f"left out: {line}", highlight=False, markup=False, soft_wrap=True)


def main() -> int:
    """Run the command; return the exit status."""
    command = parse(Command, "python -m mdft.motion")
    config = config_of(command)
    config.check()
    # Imported here, so that --help and a mistyped flag do not import torch.
    from rich.console import Console

    from mdft.data.recordings.prepared import prepare
    from mdft.recognition.run import check_free, default_folder, run

    out = command.out or default_folder(config)
    check_free(out)
    console = Console(width=None if sys.stdout.isatty() else 120)
    prepared = prepare(config.dataset, config.data)
    show_recordings(prepared, console)
    results = run(
        config,
        out,
        prepared=prepared,
        report=lambda e: console.print(
            f"epoch {e.epoch + 1} of {config.epochs}: loss {e.loss:.3f}, {e.accuracy:.1%} of the "
            f"training recordings, {e.seconds:.1f} s",
            highlight=False,
        ),
    )
    if results.before is not None:
        console.print(f"before training {results.before:.1%} of the test", highlight=False)
    console.print(
        f"{results.accuracy:.1%} of {results.test:,} test recordings "
        f"(chance {results.chance:.1%}), {config.bits} bits, arithmetic {config.arithmetic}",
        highlight=False,
    )
    console.print(f"written to {out}", highlight=False, markup=False, soft_wrap=True)
    return int(bool(results.left_out))


if __name__ == "__main__":
    run_main(main)

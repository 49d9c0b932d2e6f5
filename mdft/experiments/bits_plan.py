"""The runs that measure the effect of weight bits: float runs, and runs fine-tuned from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mdft.config.train import TrainConfig
from mdft.errors import UserError, require
from mdft.experiments.ablations import changed
from mdft.experiments.sweep import Row, is_finished, plan
from mdft.experiments.worker import Job
from mdft.lif.grid import FEWEST_BITS, MOST_BITS

#: The float runs, and the control: float runs fine-tuned in float for as many epochs.
FLOAT, CONTROL = "float", "float_tuned"


def row_name(bits: int) -> str:
    """Name of the row with ``bits`` weight bits in Loihi's arithmetic."""
    return f"loihi_{bits}"


@dataclass(frozen=True)
class Tuning:
    """Settings of the fine-tuning.

    Attributes:
        bits: numbers of weight bits, one row each.
        epochs: number of fine-tuning epochs.
        learning_rate: learning rate of fine-tuning.
    """

    bits: Sequence[int]
    epochs: int
    learning_rate: float

    def check(self) -> None:
        """Raise a UserError for numbers of bits out of range or given twice."""
        right = all(FEWEST_BITS <= b <= MOST_BITS for b in self.bits)
        once = 0 < len(set(self.bits)) == len(self.bits)
        expected = f"some of {MOST_BITS} to {FEWEST_BITS}, none twice"
        require(right and once, "--bits", tuple(self.bits), expected)


def float_jobs(
    config: TrainConfig, seeds: Sequence[int], out: Path, runs: Path | None = None
) -> list[Job]:
    """The float runs, one per seed.

    Args:
        config: their configuration.
        seeds: the seeds, without duplicates.
        out: folder to train them in, as ``out/float/seed<k>``.
        runs: folder of finished runs to use instead, as ``runs/seed<k>``.

    Raises:
        UserError: the configuration is not float with 8 bits, or one of ``runs`` is unfinished or
            has another configuration.
    """
    motion = config.model.motion
    right = motion.enabled and motion.network == "snn" and motion.arithmetic == "float"
    require(
        right and motion.weight_bits == MOST_BITS and config.system == "mdft",
        "the recipe",
        f"{config.system} with {motion.arithmetic} and {motion.weight_bits} bits",
        "mdft with a spiking motion branch, arithmetic float and 8 bits, to fine-tune from",
    )
    jobs = plan([Row(FLOAT, config)], seeds, out)
    if runs is None:
        return jobs
    jobs = [replace(job, folder=runs / job.folder.name) for job in jobs]
    for job in jobs:
        if not is_finished(job):
            raise UserError(f"--runs {runs}: no finished run in {job.folder}")
    return jobs


def tuned_jobs(floats: Sequence[Job], tuning: Tuning, out: Path) -> list[Job]:
    """The fine-tuning runs of every float run: in float as the control, and in integers.

    Args:
        floats: the jobs of :func:`float_jobs`.
        tuning: the settings.
        out: folder of the runs, as ``out/<row>/seed<k>``.
    """
    tuning.check()
    start = {job.config.seed: job.folder.resolve() for job in floats}
    rate = {"epochs": tuning.epochs, "learning_rate": tuning.learning_rate}
    config = changed(floats[0].config, rate)
    arithmetic, bits = "model.motion.arithmetic", "model.motion.weight_bits"
    rows = [Row(CONTROL, config)]
    for b in tuning.bits:
        rows.append(Row(row_name(b), changed(config, {arithmetic: "loihi", bits: b})))
    return [
        replace(job, config=replace(job.config, init=start[job.config.seed]))
        for job in plan(rows, list(start), out)
    ]

"""`python -m hardware.silicon GRAPH CHIP.csv [OTHER.csv …]`: one neuron recorded on a chip."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from hardware.backends import BACKENDS
from hardware.fixed_point.integers import IntegerNetwork, IntegerPopulation, IntegerSynapses
from hardware.fixed_point.quantise import input_grids, input_peaks, quantise
from hardware.graph.network import DT, Network, Recording
from mdft.cli import exit_status, parse
from mdft.errors import UserError

LATEST = 2  # steps by which a recording may be late
MOST_STEPS = 1_000_000
CLOSE = 1e-3  # of the largest membrane; float membranes further apart are counted


@dataclass(frozen=True)
class ChipConstants:
    """The neuron's integers on the chip: trunc(4096·dt/τ), 16000·r·dt/τ and 16000·threshold."""

    decay: int = 163
    """Of 4096: the part of the membrane that leaks in a step."""
    weight: int = 640
    """What a spike adds to the membrane; a multiple of 64."""
    threshold: int = 1600
    """The neuron spikes above it; a multiple of 64."""


@dataclass(frozen=True)
class SiliconConfig:
    """Compare recordings of one neuron, on a chip and in other simulators, with our backends.

    The first .csv is the chip's. A line of a recording is a step: input spike, membrane after the
    reset, output spike. All recordings must have the same input.
    Exit status: 0 the integer formula, reference_int and, if it is installed, Lava give the chip's
    spikes and its membranes but for the steps of a spike; 1 they do not, 2 wrong usage.
    """

    graph: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="GRAPH")]
    """The .nir file: one Input of width 1, one LIF."""
    chip: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CHIP.csv")]
    """The recording of the chip."""
    others: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="OTHER.csv")]
    """Recordings of other platforms."""
    dt: float = DT
    """Seconds per step."""
    constants: ChipConstants = field(default_factory=ChipConstants)


@dataclass(frozen=True)
class Trace:
    """One neuron's steps: input spikes, membranes after the reset, output spikes; each (S,)."""

    name: str
    x: np.ndarray
    v: np.ndarray
    z: np.ndarray


@dataclass(frozen=True)
class Difference:
    """What differs between a recording and a simulation that is made `late` steps late.

    Attributes:
        spikes: the number of spikes that differ.
        membranes: the number of membranes that differ (integers), or differ by more than 1/1000 of
            the largest.
        first: the earliest step at which either differs, or None.
        values: (recorded, simulated) membranes at `first`, in the recording's units.
        at_spikes: how many of `membranes` lie at a step where both spike.
    """

    recording: str
    simulation: str
    late: int
    steps: int
    spikes: int
    membranes: int
    first: int | None
    values: tuple[float, float] | None
    at_spikes: int

    @property
    def equal(self) -> bool:
        """Whether all spikes are equal, and all membranes but those in the steps of a spike."""
        return not self.spikes and self.membranes == self.at_spikes


def read_trace(path: Path) -> Trace:
    """Read a recording: a line for each step, with input spike, membrane and output spike.

    Raises:
        UserError: the file is not that; the message names it.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file, expected a .csv recording")
    if not path.stat().st_size:
        raise UserError(f"{path}: is empty, expected three numbers a line")
    try:
        values = np.loadtxt(path, delimiter=",", ndmin=2, max_rows=MOST_STEPS + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}), expected a .csv") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}; expected three numbers a line") from error
    if values.ndim != 2 or values.shape[1] != 3 or not 0 < len(values) <= MOST_STEPS:
        raise UserError(
            f"{path}: found shape {values.shape}, expected 1 to {MOST_STEPS} lines of three "
            "numbers: input spike, membrane, output spike"
        )
    x, v, z = values.T
    if not np.isfinite(values).all() or not np.isin(values[:, [0, 2]], (0, 1)).all():
        raise UserError(f"{path}: expected finite numbers, and spikes that are 0 or 1")
    return Trace(path.stem, x, v, z)


def formula(x: np.ndarray, c: ChipConstants) -> Trace:
    """The integer LIF in plain Python: v = (v·(4096 − decay) >> 12) + weight·x.

    >>> import numpy as np
    >>> found = formula(np.ones(4), ChipConstants())
    >>> found.v.tolist(), found.z.tolist()
    ([640, 1254, 0, 640], [0, 0, 1, 0])
    """
    v, membranes, spikes = 0, [], []
    for spike in x:
        v = (v * (4096 - c.decay) >> 12) + c.weight * int(spike)
        fired = v > c.threshold
        v = 0 if fired else v
        membranes.append(v)
        spikes.append(int(fired))
    return Trace("formula", x, np.array(membranes), np.array(spikes))


def chip_network(network: Network, c: ChipConstants) -> IntegerNetwork:
    """The neuron with the chip's integers instead of those that `quantise` rounds to.

    Raises:
        UserError: a constant is out of range.
    """
    if not 0 <= c.decay < 4096 or min(c.weight, c.threshold) < 64:
        raise UserError(
            f"--constants: found {c}, expected a decay of 0 to 4095 and positive multiples of 64"
        )
    if c.weight % 64 or c.threshold % 64 or c.weight > 127 * 64:
        raise UserError(f"--constants: found {c}, expected multiples of 64, a weight up to 8128")
    (p,), (source,) = network.populations, network.inputs
    ours = quantise(network, {source: 1.0})
    weight = np.array([[c.weight // 64]])
    neuron = IntegerPopulation(
        p.name,
        (IntegerSynapses(source, weight, 0, False),),
        np.zeros(1, np.int64),
        0,
        c.decay,
        c.threshold // 64,
        ours.populations[0].unit,
    )
    return IntegerNetwork(network, (neuron,), ours.input_grids, ())


def check_neuron(network: Network) -> None:
    """Check that the graph is one LIF behind one input, as `formula` computes it.

    Raises:
        UserError: it is not.
    """
    sizes = list(network.inputs.values()), [p.size for p in network.populations]
    if sizes != ([1], [1]) or not network.populations[0].fires:
        raise UserError(f"GRAPH: found inputs and populations of {sizes}, expected one LIF")
    (p,), (source,) = network.populations, network.inputs
    parts = {
        "a synaptic current": p.current is not None,
        "a bias": p.bias.any(),
        "v_leak": p.v_leak.any(),
        "v_reset": p.v_reset.any(),
        "connections other than one from the input without a delay": [
            (s.source, s.delay) for s in p.synapses
        ]
        != [(source, 0)],
    }
    found = [name for name, present in parts.items() if present]
    if found:
        raise UserError(f"GRAPH: {p.name} has {', '.join(found)}, expected a LIF of none of these")


def as_trace(name: str, x: np.ndarray, recording: Recording) -> Trace:
    """The only population of a recording, with its membrane after a reset to 0."""
    ((population, z),) = recording.spikes.items()
    v = recording.membranes[population][0, :, 0].copy()
    v[z[0, :, 0] > 0] = 0
    return Trace(name, x, v, z[0, :, 0])


def shifted(values: np.ndarray, late: int) -> np.ndarray:
    """The values `late` steps later, after zeros."""
    return np.concatenate([np.zeros(late, values.dtype), values])[: len(values)]


def difference(recorded: Trace, simulated: Trace, exact: bool) -> Difference:
    """Compare at the delay, 0 to 2 steps, at which the fewest spikes and membranes differ.

    Without `exact` the simulated membranes are first scaled to the recording's units, by the
    ratio of the sums of both: tools store a membrane in different units.
    """
    choices = [_difference(recorded, simulated, late, exact) for late in range(LATEST + 1)]
    return min(choices, key=lambda d: (d.spikes, d.membranes, d.late))


def _difference(recorded: Trace, simulated: Trace, late: int, exact: bool) -> Difference:
    v, z = shifted(simulated.v, late).astype(float), shifted(simulated.z, late)
    if not exact and v.any():
        v = v * (recorded.v.sum() / v.sum())
    bound = 0.0 if exact else CLOSE * np.abs(recorded.v).max()
    spikes = z != recorded.z
    membranes = np.abs(v - recorded.v) > bound
    wrong = np.flatnonzero(spikes | membranes)
    first = int(wrong[0]) if len(wrong) else None
    return Difference(
        recorded.name,
        simulated.name,
        late,
        len(z),
        int(spikes.sum()),
        int(membranes.sum()),
        first,
        None if first is None else (float(recorded.v[first]), float(v[first])),
        int((membranes & (z == 1) & (recorded.z == 1)).sum()),
    )


@dataclass(frozen=True)
class Findings:
    """Comparisons with the chip's integers, and those of every recording with our backends.

    `skipped` has a line for each backend that could not run.
    """

    chip: tuple[Difference, ...]
    others: tuple[Difference, ...]
    skipped: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether a comparison in the chip's integers is not equal."""
        return not all(d.equal for d in self.chip)


def investigate(config: SiliconConfig) -> Findings:
    """Run the graph in the formula and in our backends; compare with all recordings.

    Raises:
        UserError: a file is not as expected, or the recordings have different inputs.
    """
    from hardware.graph.graph import read_network  # nir is slow to import

    recordings = [read_trace(path) for path in (config.chip, *config.others)]
    chip = recordings[0]
    for trace in recordings[1:]:
        if not np.array_equal(trace.x, chip.x):
            raise UserError(f"{trace.name}: its input differs from that of {chip.name}")
    network = read_network(config.graph, config.dt)
    check_neuron(network)
    inputs = {next(iter(network.inputs)): chip.x[None, :, None]}
    integers = chip_network(network, config.constants)
    ours = quantise(network, input_grids(inputs), input_peaks(inputs))
    same, others, skipped = [difference(chip, formula(chip.x, config.constants), True)], [], []
    for backend in BACKENDS.values():
        if backend.name == "netx":  # it runs Lava's fixed point once more, from a file
            continue
        try:
            if backend.fixed:
                trace = as_trace(backend.name, chip.x, backend.run(integers, inputs, "inline"))
                same.append(difference(chip, trace, True))
            found = backend.run(ours if backend.fixed else network, inputs, "inline")
        except UserError as error:
            skipped.append(f"{backend.name}: {error}")
            continue
        trace = as_trace(backend.name, chip.x, found)
        others += [difference(recorded, trace, False) for recorded in recordings]
    return Findings(tuple(same), tuple(others), tuple(skipped))


def show(found: Findings, console: Console) -> None:
    """Print both tables, and what they show."""
    for title, rows in (
        ("The chip, and its integers in our backends", found.chip),
        ("Every recording, and the graph as our backends round it", found.others),
    ):
        table = Table(title=title)
        for name in ("recording", "simulation", "late", "spikes", "membranes", "first", "v there"):
            table.add_column(name, justify="left" if name[:3] in ("rec", "sim") else "right")
        for d in rows:
            values = "" if d.values is None else f"{d.values[0]:.4g}, ours {d.values[1]:.4g}"
            first = "" if d.first is None else str(d.first)
            counts = (f"{d.late}", f"{d.spikes} of {d.steps:,}", f"{d.membranes}", first, values)
            table.add_row(d.recording, d.simulation, *counts)
        console.print(table)
    for line in found.skipped:
        console.print(f"skipped: {line}", highlight=False, markup=False)
    late = found.chip[0]
    console.print(
        f"{late.spikes} of {late.steps:,} spikes and {late.membranes} membranes of the chip differ "
        f"from its integers, {late.at_spikes} of these in a step with a spike. This shows one "
        "neuron's leak, threshold and reset under one input. It shows nothing of negative "
        "values, biases, currents with memory, graded spikes, several layers or overflows.",
        highlight=False,
    )


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit status."""

    def work() -> int:
        config = parse(SiliconConfig, "python -m hardware.silicon", args)
        found = investigate(config)
        show(found, Console(width=None if sys.stdout.isatty() else 120))
        return int(found.failed)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())

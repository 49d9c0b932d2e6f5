"""The result of a hybrid test, as a table and as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hardware.compare import LayerComparison

SCORES = {"seen": "S", "unseen": "U", "hm": "HM", "zsl": "ZSL"}


@dataclass(frozen=True)
class HybridResult:
    """A run, tested in PyTorch and with a simulator on the same clips.

    Attributes:
        backend: the backend of the motion branch.
        runtime: the runtime of Lava; None for other backends.
        arithmetic: the arithmetic of the training, float or loihi.
        clips: the number of clips tested.
        available: the number of test clips.
        classes: the number of candidates, the classes of the tested clips.
        seed: the seed of the choice of clips; None with all clips.
        torch: score → value with the motion branch in PyTorch.
        hybrid: score → value with it in the simulator.
        reclassified: the number of clips with another predicted class than in PyTorch.
        layers: ``pathway.layer`` → comparison of PyTorch's and the simulator's spikes without
            padding; ``first`` counts clips in the order of the test.
        first_clips: ``pathway.layer`` → name of the first clip with a differing spike.
        required: whether spikes and scores must be equal.
        milliseconds: the simulator's wall time per clip, all pathways, including compilation.
        milliseconds_torch: the same for PyTorch's motion branch.
        steps: the number of steps of the longest clip.
        notes: remarks about rounding in the graph.
    """

    backend: str
    runtime: str | None
    arithmetic: str
    clips: int
    available: int
    classes: int
    seed: int | None
    torch: dict[str, float]
    hybrid: dict[str, float]
    reclassified: int
    layers: dict[str, LayerComparison]
    first_clips: dict[str, str]
    required: bool
    milliseconds: float
    milliseconds_torch: float
    steps: int
    notes: tuple[str, ...]

    @property
    def compared(self) -> int:
        """The number of spikes compared."""
        return sum(layer.compared for layer in self.layers.values())

    @property
    def differing(self) -> int:
        """The number of spikes that differ."""
        return sum(layer.differing for layer in self.layers.values())

    @property
    def failed(self) -> bool:
        """Whether a spike or a score differs that must be equal."""
        return self.required and bool(self.differing or self.torch != self.hybrid)


def scores_table(result: HybridResult) -> Table:
    """Return a table of S, U, HM and ZSL of both, and their difference in points."""
    table = Table(title="Zero-shot test, mean per-class recall in %", title_justify="left")
    table.add_column("score", style="bold")
    for heading in ("PyTorch", f"motion in {_where(result)}", "difference"):
        table.add_column(heading, justify="right")
    for name, short in SCORES.items():
        a, b = 100 * result.torch[name], 100 * result.hybrid[name]
        table.add_row(short, f"{a:.2f}", f"{b:.2f}", f"{b - a:+.2f}" if b != a else "0")
    return table


def layers_table(result: HybridResult) -> Table:
    """Return a table of the spikes of each layer that differ, and the first difference."""
    table = Table(title="Spikes, PyTorch's against the simulator's", title_justify="left")
    for heading in ("layer", "compared", "firing", "differing", "F1", "first difference"):
        left = heading in ("layer", "first difference")
        table.add_column(
            heading, justify="left" if left else "right", style="bold" * (heading == "layer")
        )
    for name, layer in result.layers.items():
        where = ""
        if layer.first is not None:
            _, step, neuron = layer.first
            where = f"clip {escape(result.first_clips[name])}, step {step}, neuron {neuron}"
            where += f", membrane − threshold {layer.distance:+.3g}"
        numbers = (f"{layer.compared:,}", f"{layer.rate:.1%}", f"{layer.differing:,}")
        table.add_row(name, *numbers, f"{layer.f1:.4f}", where)
    return table


def show(result: HybridResult, console: Console) -> None:
    """Print both tables with a description."""
    of = f"all {result.available} test clips"
    if result.seed is not None:
        of = (
            f"{result.clips} of {result.available} test clips, equally many of each class as far "
            f"as possible, seed {result.seed}"
        )
    console.print(f"{of}; the {result.classes} classes of these clips are the candidates")
    console.print(scores_table(result), layers_table(result))
    allowed = f"; trained with {result.arithmetic} arithmetic they may in {result.backend}"
    differing = f"{result.differing:,} of {result.compared:,} spikes differ"
    console.print(
        f"{differing}{'' if result.required else allowed}\n"
        f"{result.reclassified} of {result.clips} clips are called another class\n"
        f"{result.milliseconds:.2f} ms a clip in {_where(result)}, {result.milliseconds_torch:.2f} "
        f"in PyTorch: motion branches of up to {result.steps} steps",
        highlight=False,
    )
    for note in result.notes:
        console.print(f"note: {note}", highlight=False, markup=False)


def _where(result: HybridResult) -> str:
    return f"{result.backend} ({result.runtime})" if result.runtime else result.backend

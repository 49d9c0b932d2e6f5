"""The outcome of a run: what was compared, as a table and as JSON."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hardware.compare import LayerComparison
from mdft.errors import UserError


@dataclass(frozen=True)
class Result:
    """Outcome of a run.

    Attributes:
        runtime: of Lava, inline or process; None for the references.
        graph_sha256: hexadecimal SHA-256 of the .nir file.
        probe_sha256: of the probe.
        must: comparisons that have to be free of differences, by what they compare with.
        shown: comparisons that are only reported.
        notes: what was rounded, wrapped or clipped.
    """

    backend: str
    runtime: str | None
    pathway: str
    graph_sha256: str
    probe_sha256: str
    samples: int
    steps: int
    must: dict[str, list[LayerComparison]]
    shown: dict[str, list[LayerComparison]]
    notes: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether a spike or a membrane differs that must not."""
        layers = [layer for group in self.must.values() for layer in group]
        return any(layer.differing or layer.membranes_differing for layer in layers)


def show(result: Result, console: Console) -> None:
    """Print the headline, a table for each comparison, and what was rounded or wrapped."""
    runtime = f" ({result.runtime})" if result.runtime else ""
    for group, required in ((result.must, True), (result.shown, False)):
        for other, layers in group.items():
            table = Table(
                title=f"{result.pathway}: {result.backend}{runtime} against {other}, "
                f"{result.samples} samples × {result.steps} steps"
            )
            for heading in (
                "layer",
                "spikes compared",
                "firing",
                "differing",
                "F1",
                "membrane − threshold at the first",
            ):
                table.add_column(heading, justify="left" if heading == "layer" else "right")
            for layer in layers:
                table.add_row(
                    layer.layer,
                    f"{layer.compared:,}",
                    "graded" if layer.graded else f"{layer.rate:.1%}",
                    f"{layer.differing:,}",
                    f"{layer.f1:.4f}",
                    _where(layer),
                )
            console.print(table)
            console.print(headline(layers, other, required), highlight=False)
    for note in result.notes:
        console.print(f"note: {note}", highlight=False)


def headline(layers: list[LayerComparison], other: str, required: bool) -> str:
    """Such as "0 of 393,216 spikes differ from the probe"."""
    differing = sum(layer.differing for layer in layers)
    total = sum(layer.compared for layer in layers)
    what = "values" if any(layer.graded for layer in layers) else "spikes"
    text = f"{differing:,} of {total:,} {what} differ from {other}"
    membranes = [x.membranes_differing for x in layers if x.membranes_differing is not None]
    if membranes:
        text += f", and {sum(membranes):,} of as many membranes"
    if required:
        return text
    return f"{text} ({differing / total:.3%}; not required to equal it)"


def _where(layer: LayerComparison) -> str:
    if layer.first is None:
        return ""
    sample, step, neuron = layer.first
    distance = "" if layer.distance is None else f"{layer.distance:+.3g} at "
    return f"{distance}sample {sample}, step {step}, neuron {neuron}"


def write_json(result: Result, path: Path) -> None:
    """Write the result, whole or not at all."""
    write_whole(path, json.dumps(asdict(result) | {"failed": result.failed}, indent=2))


def check_target(flag: str, target: Path | None) -> None:
    """Check, before any work, that a file can be written; None is no file.

    Raises:
        UserError: naming the flag: a folder, or in a folder that is missing.
    """
    if target is not None and (target.is_dir() or not target.parent.is_dir()):
        raise UserError(f"{flag} is {target}, expected a file in a folder that exists")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a text (UTF-8) or bytes beside the target first: nothing half-written stays."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

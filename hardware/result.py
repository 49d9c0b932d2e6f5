"""The result of a run: its comparisons as a table and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hardware.compare import LayerComparison
from mdft.errors import UserError


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        runtime: the runtime of Lava, inline or process; None for the references.
        graph_sha256: the hexadecimal SHA-256 of the .nir file.
        probe_sha256: the hexadecimal SHA-256 of the probe.
        must: the comparisons that are required to be equal, by reference.
        reported: the comparisons that may differ and are only reported, by reference.
        notes: remarks about rounded, wrapped or clipped values.
    """

    backend: str
    runtime: str | None
    pathway: str
    graph_sha256: str
    probe_sha256: str
    samples: int
    steps: int
    must: dict[str, list[LayerComparison]]
    reported: dict[str, list[LayerComparison]]
    notes: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether a spike or a membrane differs that must be equal."""
        layers = [layer for group in self.must.values() for layer in group]
        return any(layer.differing or layer.membranes_differing for layer in layers)


def show(result: Result, console: Console) -> None:
    """Print a table and a headline for each comparison, and the notes."""
    runtime = f" ({result.runtime})" if result.runtime else ""
    for group, required in ((result.must, True), (result.reported, False)):
        for other, layers in group.items():
            title = (
                f"{result.pathway}: {result.backend}{runtime} against {other}, "
                f"{result.samples} samples × {result.steps} steps"
            )
            console.print(title, highlight=False, markup=False, soft_wrap=True)
            table = Table()
            for heading in ("layer", "spikes compared", "firing", "differing", "F1"):
                table.add_column(heading, justify="left" if heading == "layer" else "right")
            differ = any(layer.first is not None for layer in layers)
            if differ:
                table.add_column("first difference: membrane − threshold", justify="right")
            for layer in layers:
                cells = (
                    escape(layer.layer),
                    f"{layer.compared:,}",
                    "graded" if layer.graded else f"{layer.rate:.1%}",
                    f"{layer.differing:,}",
                    f"{layer.f1:.4f}",
                )
                table.add_row(*cells, *([_where(layer)] if differ else []))
            console.print(table)
            console.print(headline(layers, other, required), highlight=False)
    for note in result.notes:
        console.print(f"note: {note}", highlight=False, markup=False)


def headline(layers: list[LayerComparison], other: str, required: bool) -> str:
    """Return a line such as "0 of 393,216 spikes differ from the probe"."""
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


def json_fields(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields by their names in JSON files: `reported` is "shown" there.

    Files of earlier releases have that key, and `export.agreement` reads them.
    """
    return {"shown" if k == "reported" else k: v for k, v in asdict(value).items()}


def write_json(result: Result, path: Path) -> None:
    """Write the result atomically."""
    write_whole(path, json.dumps(json_fields(result) | {"failed": result.failed}, indent=2))


def check_targets(targets: Mapping[str, Path | None], sources: Mapping[str, Path]) -> None:
    """Check that files can be written, and that none is another one or a file that is read.

    Args:
        targets: the file of each argument; None means that no file is written.
        sources: the files that are read, by argument.

    Raises:
        UserError: a target is a folder, its folder does not exist, or two files are the same.
    """
    taken = {path.resolve(): argument for argument, path in sources.items()}
    for argument, target in targets.items():
        if target is None:
            continue
        if target.is_dir() or not target.parent.is_dir():
            raise UserError(f"{argument} is {target}, expected a file in a folder that exists")
        other = taken.setdefault(target.resolve(), argument)
        if other != argument:
            raise UserError(f"{argument} is {target}, which is also {other}; give another name")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a text (UTF-8) or bytes atomically, through a temporary file beside the target."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

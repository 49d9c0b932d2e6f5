"""`python -m export.to_nir RUN`: a trained motion branch as NIR graphs and a probe."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from export.files import npz_bytes
from export.graph import CURRENT, EVENTS, OUTPUT, input_grids, to_graph, write_graph
from export.parity import run_file
from export.probe import pick_samples, probe_arrays
from hardware.compare import LayerComparison, compare
from hardware.graph import DT
from hardware.manifest import MANIFEST, PROBE, sha256
from mdft.errors import UserError, run_main
from mdft.motion import MotionBranch
from mdft.neuron import GRID, GRID_MAX
from mdft.runs import clips_of, load, run_folder, write_atomic

FORMAT_VERSION = 1
PARITY = "parity_level_0.json"


@dataclass(frozen=True)
class ExportConfig:
    """Export the motion branch of a trained run.

    Writes motion_audio.nir, motion_visual.nir, probe.npz and manifest.json, runs each graph from
    its file with nirtorch and snnTorch on the probe, and prints and writes (parity_level_0.json)
    the spikes that differ.
    Exit status: 0 none differ, 1 some do, 2 wrong use.
    """

    run: tyro.conf.Positional[Path]
    """The run's folder, or the checkpoint file in it."""
    out: Path | None = None
    """Folder for the files; by default the run's own."""
    samples: int = 8
    """Test clips in the probe, half of unseen classes."""


def export_branches(
    branches: dict[str, MotionBranch],
    inputs: dict[str, tuple[torch.Tensor, torch.Tensor]],
    out: Path,
) -> dict[str, list[LayerComparison]]:
    """Write graphs, probe and manifest, compare at level 0 and write that comparison.

    Args:
        branches: pathway → motion branch.
        inputs: pathway → (x (B,S,F), threshold current (B,S,1) or (B,S,N)).
        out: folder, made if missing.

    Returns:
        pathway → comparison of every layer: PyTorch against the file.
    """
    out.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    for pathway, branch in branches.items():
        x_BSF, current_BS1 = inputs[pathway]
        graph = to_graph(branch, per_neuron=current_BS1.shape[-1] > 1)
        write_graph(graph, graph_path(out, pathway))
        arrays |= probe_arrays(pathway, branch, x_BSF, current_BS1)
    write_atomic(out / PROBE, npz_bytes(arrays))
    widths = {p: {EVENTS: x.shape[-1], CURRENT: b.shape[-1]} for p, (x, b) in inputs.items()}
    about = manifest(branches, widths, out)
    write_json(out / MANIFEST, about)
    parity = {
        pathway: level_0(pathway, arrays, graph_path(out, pathway), branch.v_threshold)
        for pathway, branch in branches.items()
    }
    report = {pathway: [asdict(layer) for layer in layers] for pathway, layers in parity.items()}
    write_json(out / PARITY, {"sha256": about["sha256"], "pathways": report})
    return parity


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole, keys sorted."""
    write_atomic(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def graph_path(out: Path, pathway: str) -> Path:
    """Where a pathway's graph lies."""
    return out / f"motion_{pathway}.nir"


@torch.no_grad()
def manifest(
    branches: dict[str, MotionBranch], widths: dict[str, dict[str, int]], out: Path
) -> dict:
    """What a reader needs beside the files: SHA-256, dt, comparison, inputs, grids."""
    files = [PROBE, *(graph_path(out, p).name for p in branches)]
    pathways = {}
    for pathway, branch in branches.items():
        grids = input_grids(branch)
        layers = {
            f"lif_{i}": {
                "weight_grid": GRID,
                "weight_limit": GRID_MAX * GRID,
                "weight_max": float(weight_NF.abs().max()),
                "bias_max": float(bias_N.abs().max()),
                "beta": branch.beta,
                "v_threshold": branch.v_threshold,
                "neurons": branch.neurons,
            }
            for i, (weight_NF, bias_N) in enumerate(branch.grid_parameters(), start=1)
        }
        pathways[pathway] = {
            "graph": graph_path(out, pathway).name,
            "inputs": {n: {"width": w, "grid": grids[n]} for n, w in widths[pathway].items()},
            "output": OUTPUT,
            "layers": layers,
        }
    return {
        "format_version": FORMAT_VERSION,
        "form": "inputs",
        "dt": DT,
        "comparison": ">",
        "reset": "to zero in the step of the spike",
        "sha256": {f: sha256(out / f) for f in files},
        "pathways": pathways,
    }


def level_0(
    pathway: str, arrays: dict[str, np.ndarray], path: Path, v_threshold: float
) -> list[LayerComparison]:
    """The probe's spikes against those of the file in nirtorch and snnTorch."""
    prefix = f"{pathway}.in."
    inputs = {
        k.removeprefix(prefix): torch.from_numpy(x)
        for k, x in arrays.items()
        if k.startswith(prefix)
    }
    found = run_file(path, inputs)
    # The output node repeats the last layer: comparing it too would count those spikes twice.
    return [
        compare(
            name,
            arrays[f"{pathway}.spikes.{name}"],
            spikes.numpy(),
            arrays[f"{pathway}.membrane.{name}"] - v_threshold,
        )
        for name, spikes in found.items()
        if name != OUTPUT
    ]


def show(parity: dict[str, list[LayerComparison]], out: Path, console: Console) -> None:
    """Print the parity table, the headline and the files."""
    table = Table(title="Level 0: PyTorch and the file in nirtorch with snnTorch")
    for heading in ("pathway", "layer", "spikes compared", "firing", "differing"):
        table.add_column(heading, justify="left" if heading in ("pathway", "layer") else "right")
    for pathway, layers in parity.items():
        for x in layers:
            table.add_row(pathway, x.layer, f"{x.compared:,}", f"{x.rate:.1%}", f"{x.differing:,}")
    console.print(table)
    flat = [x for layers in parity.values() for x in layers]
    differing, compared = sum(x.differing for x in flat), sum(x.compared for x in flat)
    console.print(f"{differing:,} of {compared:,} spikes differ", highlight=False)
    names = [graph_path(out, p).name for p in parity]
    print(f"wrote {', '.join([*names, PROBE, MANIFEST, PARITY])} in {out}")


def export_run(config: ExportConfig) -> tuple[dict[str, list[LayerComparison]], Path]:
    """Load a run, take real test clips, export.

    Raises:
        UserError: the run has no spiking network, or not so many test clips.
    """
    model = load(config.run)
    if not model.spiking:
        raise UserError(
            f"{config.run}: trained without a spiking network, expected --model.motion.enabled "
            "and --model.motion.network snn"
        )
    clips = clips_of(config.run)
    with torch.no_grad():
        inputs = model.motion_inputs(clips.batch(pick_samples(clips, config.samples)))
    out = run_folder(config.run) if config.out is None else config.out
    tensors = {p: (x.x_BSD, x.current_BS1) for p, x in inputs.items()}
    return export_branches({p: model.branch(p) for p in inputs}, tensors, out), out


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = tyro.cli(ExportConfig, args=args, prog="python -m export.to_nir")
    parity, out = export_run(config)
    show(parity, out, Console(width=None if sys.stdout.isatty() else 120))
    return int(any(x.differing for layers in parity.values() for x in layers))


if __name__ == "__main__":
    run_main(main)

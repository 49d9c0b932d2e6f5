"""Networks for recordings: accuracy over seeds, operations a recording, export in the integers.

``python -m benchmarks.recordings DIR OUT`` trains, for each of ``NETWORKS``, both arithmetics, a
fixed and a moving threshold and five seeds, a network on the N-MNIST in DIR (Tonic's folder
``NMNIST`` in it), exports it, runs the test in the reference simulator, and prints a table. Runs
that are in OUT already are kept.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from export.recordings import export_recordings
from mdft.config.recordings import RecognitionConfig, RecordingsConfig, Threshold
from mdft.data.recordings.prepared import prepare
from mdft.files import write_atomic
from mdft.lif.grid import Arithmetic
from mdft.recognition.run import run

NETWORKS = {"dense": "256-C", "convolutional": "16c5s2-p2-32c3-p2-128-C"}
ARITHMETICS: tuple[Arithmetic, ...] = ("float", "loihi")
THRESHOLDS: tuple[Threshold, ...] = ("fixed", "moving")
SEEDS = range(5)
SAMPLES = 20  # recordings of the probe, over which operations are counted


@dataclass(frozen=True)
class Row:
    """One trained network.

    Attributes:
        accuracy: over the test recordings, in PyTorch.
        exported: the same of the written graph in the reference simulator.
        differing: recordings for which a spike count differs between the two.
        additions: additions a recording.
        multiplications: multiplications a recording, of event counts with weights.
        seconds: of an epoch, median.
    """

    accuracy: float
    exported: float
    differing: int
    additions: float
    multiplications: float
    seconds: float


def trained(
    root: Path, out: Path, name: str, arithmetic: Arithmetic, threshold: Threshold, seed: int
) -> Row:
    """Train, export and test one network, unless its folder in `out` holds the result."""
    folder = out / f"{name}-{arithmetic}-{threshold}-{seed}"
    kept = folder / "row.json"
    if kept.is_file():
        return Row(**json.loads(kept.read_bytes()))
    data = RecordingsConfig(root=root, transform=("shift=2",))
    config = RecognitionConfig(
        "NMNIST",
        data,
        layers=NETWORKS[name],
        arithmetic=arithmetic,
        threshold=threshold,
        seed=seed,
    )
    seconds: list[float] = []
    prepared = prepare("NMNIST", data)
    run(config, folder, prepared=prepared, report=lambda e: seconds.append(e.seconds))
    tested = export_recordings(folder, folder, SAMPLES)
    row = Row(
        tested.trained,
        tested.exported,
        tested.differing,
        tested.cost.total("effective_acs"),
        tested.cost.total("effective_macs"),
        float(np.median(seconds)),
    )
    write_atomic(kept, json.dumps(asdict(row)).encode())
    print(folder.name, row, flush=True)
    return row


def table(rows: dict[tuple[str, str, str], list[Row]]) -> str:
    """The rows as Markdown: mean ± standard deviation over the seeds."""
    lines = [
        "| network | arithmetic | threshold | test accuracy | in the reference simulator | "
        "recordings that differ | additions | multiplications |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for (name, arithmetic, threshold), found in rows.items():
        accuracy = 100 * np.array([row.accuracy for row in found])
        exported = 100 * np.mean([row.exported for row in found])
        lines.append(
            f"| {name} `{NETWORKS[name]}` | {arithmetic} | {threshold} | "
            f"{accuracy.mean():.1f} ± "
            f"{accuracy.std(ddof=1):.1f} % | {exported:.1f} % | "
            f"{sum(row.differing for row in found)} | "
            f"{np.mean([row.additions for row in found]):,.0f} | "
            f"{np.mean([row.multiplications for row in found]):,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    root, out = map(Path, sys.argv[1:3])
    torch.set_num_threads(1)
    rows = {
        (name, arithmetic, threshold): [
            trained(root, out, name, arithmetic, threshold, seed) for seed in SEEDS
        ]
        for name in NETWORKS
        for arithmetic in ARITHMETICS
        for threshold in THRESHOLDS
    }
    print(table(rows))


if __name__ == "__main__":
    main()

"""Write recorded spikes and membranes as .npz and .csv files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from hardware.graph.network import Recording
from hardware.result import write_whole
from mdft.errors import UserError

COLUMNS = ("sample", "step", "layer", "neuron")


def check_folder(folder: Path, json: Path | None = None) -> None:
    """Check that a folder of traces can be written.

    Args:
        folder: the folder.
        json: the file of --json, if one is written.

    Raises:
        UserError: it is a file, or the folder that contains it does not exist.
    """
    if json is not None and json.resolve() == folder.resolve():
        raise UserError(f"--traces is {folder}, which is also --json; give another name")
    if not folder.is_dir() and (folder.exists() or not folder.parent.is_dir()):
        raise UserError(f"--traces is {folder}, expected a folder, or a new one in one that exists")


def write_traces(recording: Recording, folder: Path, backend: str, pathway: str) -> list[Path]:
    """Write one run as .npz and as .csv, each atomically.

    traces_<backend>_<pathway>.npz has, for each layer, `spikes.<layer>` (B, S, N) uint8 and, where
    the backend recorded them, `membrane.<layer>` (B, S, N), before the reset. Times `unit.<layer>`
    and plus `offset.<layer>` (N,) it is v in the graph's units; for floating point these are 1 and
    0. The .csv has a line for each spike: sample, step and neuron count from 0, lines are sorted by
    (sample, step), and layers within a step are in topological order.

    Returns:
        The two files.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"traces_{backend}_{pathway}.npz"
    arrays = {f"spikes.{name}": x for name, x in recording.spikes.items()}
    for name, x in recording.membranes.items():
        offset_N = recording.offsets.get(name, np.zeros(x.shape[2]))
        arrays |= {f"membrane.{name}": x, f"unit.{name}": np.array(recording.units[name])}
        arrays |= {f"offset.{name}": offset_N}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_whole(path, buffer.getvalue())
    write_whole(path.with_suffix(".csv"), _spikes_csv(recording))
    return [path, path.with_suffix(".csv")]


def _spikes_csv(recording: Recording) -> str:
    names = list(recording.spikes)
    # (spikes, 4) with the layer's number as the third column, for the sort.
    found = [np.argwhere(x) for x in recording.spikes.values()]
    rows = np.concatenate(
        [np.insert(at, 2, layer, axis=1) for layer, at in enumerate(found)]
        or [np.empty((0, 4), int)]
    )
    rows = rows[np.lexsort(rows.T[::-1])]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((b, t, names[layer], n) for b, t, layer, n in rows.tolist())
    return text.getvalue()

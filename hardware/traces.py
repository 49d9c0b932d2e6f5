"""Recorded spikes and membranes as files that need no code of ours to read."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from hardware.graph.network import Recording
from hardware.result import write_whole
from mdft.errors import UserError

COLUMNS = ("sample", "step", "layer", "neuron")


def check_folder(folder: Path) -> None:
    """Refuse what cannot become a folder of traces, before the work.

    Raises:
        UserError: a file, or a folder in one that does not exist.
    """
    if not folder.is_dir() and (folder.exists() or not folder.parent.is_dir()):
        raise UserError(f"--traces is {folder}, expected a folder, or a new one in one that exists")


def write_traces(recording: Recording, folder: Path, backend: str, pathway: str) -> list[Path]:
    """Write one run as .npz and as .csv; neither is ever half-written.

    traces_<backend>_<pathway>.npz has, for each layer, `spikes.<layer>` (B, S, N) uint8 and, where
    the backend recorded them, `membrane.<layer>` (B, S, N), before the reset, in units of
    `unit.<layer>` in the graph's own (1 for floating point). The .csv has a line for each spike:
    sample, step and neuron count from 0, the lines rise in (sample, step), the layers within a
    step are in topological order.

    Returns:
        the two files.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"traces_{backend}_{pathway}.npz"
    arrays = {f"spikes.{name}": x for name, x in recording.spikes.items()}
    for name, x in recording.membranes.items():
        arrays |= {f"membrane.{name}": x, f"unit.{name}": np.array(recording.units[name])}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_whole(path, buffer.getvalue())
    write_whole(path.with_suffix(".csv"), _spikes_csv(recording))
    return [path, path.with_suffix(".csv")]


def _spikes_csv(recording: Recording) -> str:
    names = list(recording.spikes)
    # (spikes, 4) with the layer's number third: it sorts as the columns do.
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

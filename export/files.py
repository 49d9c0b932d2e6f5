"""The files of an export: their names, what they can hold, and how they are written."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np

from mdft.files import write_atomic

#: Of a graph: events and threshold current are two Inputs, or one for every NIR reader.
Form = Literal["inputs", "chain"]
#: Of the LIF's r: tau/dt, or one.
RConvention = Literal["unit-gain", "one"]

PARITY = "parity_level_0.json"

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip entry can hold


def npz_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """A compressed .npz with fixed dates: equal arrays, equal bytes (np.savez stamps the time)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            item = io.BytesIO()
            np.lib.format.write_array(item, np.asarray(array, order="C"), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            info.external_attr = 0o644 << 16
            archive.writestr(info, item.getvalue(), zipfile.ZIP_DEFLATED, 6)
    return buffer.getvalue()


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole, keys sorted."""
    write_atomic(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def graph_path(out: Path, pathway: str) -> Path:
    """Where a pathway's graph lies."""
    return out / f"motion_{pathway}.nir"

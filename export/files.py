"""The files of an export: names, types and writing."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np

from mdft.files import write_atomic

#: Form of a graph: events and threshold current are two Inputs, or one for every NIR reader.
Form = Literal["inputs", "chain"]
#: Convention of the LIF's r: tau/dt, or one.
RConvention = Literal["unit-gain", "one"]

PARITY = "parity_level_0.json"

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip entry can hold


def npz_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """Return a compressed .npz with fixed dates, unlike np.savez: equal arrays give equal bytes."""
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
    """Write a JSON file atomically, with sorted keys."""
    write_atomic(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def graph_path(out: Path, pathway: str) -> Path:
    """Return the path of a pathway's graph."""
    return out / f"motion_{pathway}.nir"

"""Write pickles of arrays that every version of NumPy can read.

A pickle of NumPy 2 names the module ``numpy._core.multiarray``, which NumPy before 1.26 does not
have; the published trainers run on 1.20. Every version knows the old name, ``numpy.core``.
"""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

#: The last protocol without frames, whose stored lengths a rename would invalidate.
_PROTOCOL = 3
_NEW, _OLD = b"cnumpy._core.", b"cnumpy.core."


def dumps(content: Any) -> bytes:
    """Pickle lists, dicts, strings, numbers and arrays under the old names."""
    data = pickle.dumps(content, protocol=_PROTOCOL)
    out, done = bytearray(), 0
    for code, name, position in pickletools.genops(data):
        if code.name == "GLOBAL" and str(name).startswith("numpy._core."):
            assert position is not None and data.startswith(_NEW, position)
            out += data[done:position] + _OLD
            done = position + len(_NEW)
    return bytes(out + data[done:])


def write_pickle(path: Path, content: Any) -> None:
    """Write the pickle that :func:`dumps` returns."""
    path.write_bytes(dumps(content))


def write_object_npy(path: Path, content: Any) -> None:
    """Write an object as ``.npy``, to be read by ``numpy.load(path, allow_pickle=True).item()``."""
    with path.open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(dumps(np.array(content, dtype=object)))

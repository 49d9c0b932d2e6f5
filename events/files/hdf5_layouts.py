"""HDF5 event files of other tools: v2e, DSEC and Prophesee's Metavision.

=========== ============================================== ====================================
tool        data set                                       time
=========== ============================================== ====================================
v2e         ``events`` (n, 4), integers: t, x, y, p        µs
DSEC        ``events/x``, ``y``, ``t``, ``p`` (n,)         µs after the scalar ``t_offset``
Metavision  ``CD/events`` (n,), records of x, y, p, t      µs
Tonic       ``events`` (n,), records of x, y, t, p         µs
=========== ============================================== ====================================

p is 1 for ON and 0 (or −1) for OFF. Only Metavision declares the sensor's size, in the attribute
``geometry`` or in ``width`` and ``height``, of the file or of the data set. Compressed data need a
filter: HDF5 has gzip, szip and LZF; hdf5plugin has Blosc, Zstandard, LZ4 and others, but not
Prophesee's ECF.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from events.files.columns import Found, build_events, check_expansion
from mdft.errors import UserError, printable, reason

_ECF = 0x8ECF
_BUILT_IN = 256  # HDF5 itself has the filters below
_FIELDS = ("x", "y", "t", "p")
_EXPECTED = (
    "expected 'events' of v2e (n, 4) or with fields x, y, t, p, 'events/x', 'y', 't', 'p' as in "
    "DSEC, or Prophesee's 'CD/events'"
)


def stored_dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return a data set of a file, or None if there is none of that name.

    Raises:
        UserError: it is not stored in the file itself: a link or external storage could read
            another file's bytes.
    """
    group: h5py.Group = file
    *folders, last = name.split("/")
    for part in folders:
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            return None
        found = group[part]
        if not isinstance(found, h5py.Group):
            return None
        group = found
    link = group.get(last, getlink=True)
    if link is None:
        return None
    dataset = group[last] if isinstance(link, h5py.HardLink) else None
    if isinstance(dataset, h5py.Group):
        return None
    if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
        raise UserError(f"{path}: no dataset {name!r} stored in the file itself, expected one")
    return dataset


def read_layout(path: Path) -> Found:
    """Read an HDF5 file of another tool; order is not checked here.

    Raises:
        UserError: the file cannot be read; the message has the file and the reason.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(path, file)
    except UserError:
        raise
    except Exception as error:  # h5py raises many types for damaged files
        raise UserError(f"{path}: not a readable HDF5 file ({reason(error)})") from error


def _read(path: Path, file: h5py.File) -> Found:
    table = stored_dataset(path, file, "events")
    records = stored_dataset(path, file, "CD/events")
    columns = {name: stored_dataset(path, file, f"events/{name}") for name in _FIELDS}
    found = table if table is not None else records
    if found is not None and found.ndim == 1 and set(_FIELDS) <= set(found.dtype.names or ()):
        data = _values(path, [found])[0]
        return _build(path, *(data[name] for name in _FIELDS)), _geometry(path, found, file)
    if table is not None and table.ndim == 2 and table.shape[1] == 4 and table.dtype.kind in "iu":
        t, x, y, p = _values(path, [table])[0].T
        return _build(path, x, y, t, p), None
    sets = [dataset for dataset in columns.values() if dataset is not None]
    if len(sets) == 4 and all(dataset.ndim == 1 for dataset in sets):
        x, y, t, p = _values(path, sets)
        offset = stored_dataset(path, file, "t_offset")
        if offset is not None:
            if offset.size != 1 or offset.dtype.kind not in "iu":
                raise UserError(
                    f"{path}: t_offset is {offset.dtype} {offset.shape}, expected one integer, µs"
                )
            t = t.astype(np.int64) + int(np.asarray(offset[()]).item())
        return _build(path, x, y, t, p), None
    names = ", ".join(printable(name) for name in list(file)[:6]) or "nothing"
    shape = f"; 'events' is {printable(table.dtype)} {table.shape}" if table is not None else ""
    raise UserError(f"{path}: an HDF5 file with {names}{shape}; {_EXPECTED}")


def _build(path: Path, x: NDArray, y: NDArray, t: NDArray, p: NDArray) -> NDArray[np.void]:
    for name, values in zip(_FIELDS, (x, y, t, p), strict=True):
        if values.dtype.kind not in ("iub" if name == "p" else "iu"):
            raise UserError(
                f"{path}: {name} is {values.dtype}, expected integers" + (", µs" * (name == "t"))
            )
    return build_events(path, x, y, t, p)


def _values(path: Path, datasets: list[h5py.Dataset]) -> list[NDArray]:
    """Return the values of data sets, whose filters and sizes are checked first."""
    for dataset in datasets:
        _check_filters(path, dataset)
    check_expansion(path, sum(dataset.nbytes for dataset in datasets), path.stat().st_size)
    return [np.asarray(dataset[:]) for dataset in datasets]


def _check_filters(path: Path, dataset: h5py.Dataset) -> None:
    settings = dataset.id.get_create_plist()
    for i in range(settings.get_nfilters()):
        code, _, _, name = settings.get_filter(i)
        if code >= _BUILT_IN and not h5py.h5z.filter_avail(code):
            import hdf5plugin  # noqa: F401  registers its filters; needed for few files

        if h5py.h5z.filter_avail(code):
            continue
        if code == _ECF:
            raise UserError(
                f"{path}: compressed with Prophesee's ECF codec, which is not installed; set "
                "HDF5_PLUGIN_PATH to a folder with the plugin of github.com/prophesee-ai/hdf5_ecf, "
                "or convert the file with metavision_file_to_dat"
            )
        label = printable(name.decode("latin-1")) or "without a name"
        raise UserError(
            f"{path}: compressed with the HDF5 filter {code} ({label}), which is not installed; "
            "repack the file with gzip (h5repack -f GZIP=1)"
        )


def _geometry(path: Path, *places: h5py.Dataset | h5py.File) -> tuple[int, int] | None:
    """Return the size that Metavision writes, in attributes of the places, or None without them.

    Raises:
        UserError: there is a size that cannot be read.
    """
    found = {
        name: _text(place.attrs[name])
        for name in ("geometry", "width", "height")
        for place in places
        if name in place.attrs
    }
    if not found:
        return None
    sides = "x".join(found.get(name, "?") for name in ("width", "height"))
    text = found.get("geometry", sides)
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise UserError(
            f"{path}: its attributes declare a sensor of {printable(text)!r}, expected geometry as "
            "1280x720, or width and height; correct or delete them"
        )
    return int(match[1]), int(match[2])


def _text(attribute: Any) -> str:
    """The value of an attribute, which tools write as text, bytes, integer or float."""
    values = np.asarray(attribute)
    value = values.item() if values.size == 1 else attribute
    if isinstance(value, bytes):
        return value.decode("latin-1").strip()
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).strip()

"""Readers of feature files: averaged features (HDF5) and features per second (pickle)."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from mdft.data.files.clip_features import ClassFeatures, checked
from mdft.data.files.unpickle import load
from mdft.errors import UserError

#: A dataset that declares more bytes than this may be compressed at most so many times.
_LARGE, _MOST_COMPRESSED = 1 << 26, 100
#: Filters built into HDF5; any other would load a plugin.
_FILTERS = {
    h5py.h5z.FILTER_DEFLATE,
    h5py.h5z.FILTER_SHUFFLE,
    h5py.h5z.FILTER_FLETCHER32,
    h5py.h5z.FILTER_SZIP,
    h5py.h5z.FILTER_NBIT,
    h5py.h5z.FILTER_SCALEOFFSET,
    h5py.h5z.FILTER_LZF,
}


def read_averaged(path: Path) -> ClassFeatures:
    """Read averaged features: one HDF5 file per class, ``data`` (n, D) and ``video_urls`` (n,).

    The average over a clip becomes one second, (1, D).

    Raises:
        UserError: the file is not HDF5, has links or external data, declares more data than it
            stores, or the features are not as expected; the message names file and clip.
        OSError: the file cannot be read.
    """
    if not h5py.is_hdf5(path):
        raise UserError(f"{path}: not an HDF5 file, or its beginning is missing")
    try:
        with h5py.File(path, "r") as file:
            data = _dataset(path, file, "data", 2, "fiu")
            names = _dataset(path, file, "video_urls", 1, "SO")
            if len(data) != len(names):
                raise UserError(f"{path}: data has {len(data)} rows, video_urls {len(names)}")
            features_ND, urls = data[()], names[()]
    except UserError:
        raise
    except Exception as error:  # h5py raises many types of exception for damaged files
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: damaged or truncated ({reason})") from error
    return checked(path, urls, list(np.asarray(features_ND)[:, None]))


def _dataset(path: Path, file: h5py.File, name: str, axes: int, kinds: str) -> h5py.Dataset:
    """A dataset whose data is in this file and as large as it declares."""
    link = file.get(name, getlink=True)
    if link is None:
        found = ", ".join(sorted(file)[:8]) or "nothing"
        raise UserError(f"{path}: no dataset {name!r}, found {found}")
    if not isinstance(link, h5py.HardLink):
        raise UserError(f"{path}: {name!r} is a {type(link).__name__}, expected data in the file")
    item = file[name]
    if not isinstance(item, h5py.Dataset):
        raise UserError(f"{path}: {name!r} is a {type(item).__name__}, expected a dataset")
    if item.is_virtual or item.external:
        raise UserError(f"{path}: {name!r} keeps its data in another file, expected it in here")
    if item.ndim != axes or item.dtype.kind not in kinds:
        raise UserError(
            f"{path}: {name!r} is {item.dtype} {item.shape}, expected {axes} axes of "
            f"{'numbers' if axes == 2 else 'strings'}"
        )
    _check_size(path, item, name)
    return item


def _check_size(path: Path, item: h5py.Dataset, name: str) -> None:
    """Refuse filters that need a plugin, and decompression bombs."""
    plist = item.id.get_create_plist()
    filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
    if filters - _FILTERS:
        raise UserError(f"{path}: {name!r} needs filter {min(filters - _FILTERS)}, expected gzip")
    stored, declared = item.id.get_storage_size(), item.size * item.dtype.itemsize
    if declared > _LARGE and declared > _MOST_COMPRESSED * stored:
        raise UserError(
            f"{path}: {name!r} declares {item.shape}, {declared} bytes, and holds {stored}"
        )


#: Limit on the total size of the arrays relative to the file, whose list may repeat one array.
_MOST_REPEATED = 4


def read_seconds(path: Path) -> ClassFeatures:
    """Read features per second: one pickle per class, ``features`` a list of (T_i, D).

    One vector (D,) for a clip, as ClipClap writes, is one second. ``video_names`` has the clip
    names; ``fps`` is not used.

    Raises:
        UserError: the file is not such a pickle, has other objects than arrays and names, or the
            features are not as expected; the message names file and clip.
        OSError: the file cannot be read.
    """
    found = load(path)
    keys = ("features", "video_names")
    if not isinstance(found, dict) or any(key not in found for key in keys):
        what = (
            ", ".join(map(str, list(found)[:8]))
            if isinstance(found, dict)
            else type(found).__name__
        )
        raise UserError(f"{path}: found {what}, expected a dict of features and video_names")
    features, names = (found[key] for key in keys)
    if isinstance(features, np.ndarray):
        features = list(features)
    if not isinstance(features, list):
        raise UserError(f"{path}: features is {type(features).__name__}, expected a list")
    size = sum(4 * f.size for f in features if isinstance(f, np.ndarray))
    limit = _MOST_REPEATED * path.stat().st_size
    if size > limit:
        raise UserError(f"{path}: its features come to {size} bytes, expected at most {limit}")
    return checked(path, names, features)

"""Keeps a ClipSet on disk under a fingerprint of what it was made from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.files import replacing

_ARRAYS = ("audio_NTD", "visual_NTD", "events_NTKD", "seconds_N", "labels_N", "words_CW")


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Where rendered data is kept.

    ``cache_dir`` if given, else ``$MDFT_CACHE``, else ``$XDG_CACHE_HOME/mdft``, else
    ``~/.cache/mdft``.
    """
    if cache_dir is not None:
        return Path(cache_dir)
    if os.environ.get("MDFT_CACHE"):
        return Path(os.environ["MDFT_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mdft"


def fingerprint(description: Mapping[str, object]) -> str:
    """SHA-256 of a description, as 64 hex digits; independent of the order of its keys."""
    text = json.dumps(description, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_files(paths: Iterable[Path]) -> str:
    """SHA-256 of the names and contents of files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {path.stat().st_size} ".encode() + path.read_bytes())
    return digest.hexdigest()


def save(clips: ClipSet, path: Path) -> None:
    """Write a ClipSet as safetensors, complete or not at all.

    Raises:
        OSError: the folder cannot be made or written.
    """
    arrays = {name: getattr(clips, name) for name in _ARRAYS}
    arrays |= {f"splits.{name}": indices for name, indices in clips.splits.items()}
    text = json.dumps({"names": list(clips.names), "classes": list(clips.classes)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        save_file(arrays, temporary, {"text": text, "sha256": _checksum(arrays, text)})


def read(path: Path) -> ClipSet:
    """Read a ClipSet back.

    Raises:
        UserError: the file is not what ``save`` wrote.
        FileNotFoundError: there is no such file.
    """
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path}: not a safetensors file ({error})") from error
    text = metadata.get("text", "")
    if metadata.get("sha256") != _checksum(arrays, text):
        raise UserError(f"{path}: contents differ from their checksum")
    stems = json.loads(text)
    prefix = "splits."
    splits = {n[len(prefix) :]: a for n, a in arrays.items() if n.startswith(prefix)}
    return ClipSet(**{n: arrays[n] for n in _ARRAYS}, **stems, splits=splits)


def _checksum(arrays: Mapping[str, np.ndarray], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()

"""Store a ClipSet on disk, with a fingerprint of its inputs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from mdft.data import store
from mdft.data.dataset import ClipSet
from mdft.data.scale import Scale
from mdft.distributed import reproducible
from mdft.errors import UserError

_ARRAYS = ("events_MKD", "offsets_N1", "labels_N", "words_CW")
_SPLIT, _SCALE = "splits.", "scale."


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder of the data cache.

    ``cache_dir`` if given, else ``$MDFT_CACHE``, else ``$XDG_CACHE_HOME/mdft``, else
    ``~/.cache/mdft``; its subfolder ``reproducible`` while `mdft.distributed.reproducible` is on.
    """
    if cache_dir is not None:
        folder = Path(cache_dir)
    elif os.environ.get("MDFT_CACHE"):
        folder = Path(os.environ["MDFT_CACHE"])
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mdft"
    # Features computed by other kernels differ in their last bits.
    return folder / "reproducible" if reproducible.active() else folder


def fingerprint(description: Mapping[str, object]) -> str:
    """SHA-256 of a description, as 64 hex digits; independent of the order of its keys."""
    text = json.dumps(description, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def stamps_of(folder: Path, paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Path, size and modification time of every file under a folder: what a cache depends on.

    Args:
        folder: the folder; its own links are resolved, so that two folders never have equal paths.
        paths: paths in it; those that are no files, such as broken links, are passed over.
    """
    root, found = folder.resolve(), []
    for path in sorted(path for path in paths if path.is_file()):
        stat = path.stat()
        found.append((str(root / path.relative_to(folder)), stat.st_size, stat.st_mtime_ns))
    return found


def save(clips: ClipSet, path: Path) -> None:
    """Write a ClipSet that is in memory; the file is written completely or not at all.

    Raises:
        OSError: the folder cannot be created or written.
    """
    with store.create(path) as file:
        write_features(file, [(clips.audio_MD, clips.visual_MD)])
        file.write("events_MKD", [clips.events_MKD])
        write_rest(file, clips)


def write_features(
    file: store.Writer, chunks: Iterable[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Append float32 (m, D_a) audio and (m, D_v) visual features, chunk by chunk.

    Both are stored side by side in one tensor, so that a clip is contiguous on disk, and M need not
    be known in advance.

    Returns:
        audio (M, D_a) and visual (M, D_v), as memory maps.
    """
    width = 0

    def rows() -> Iterable[np.ndarray]:
        nonlocal width
        for audio_MD, visual_MD in chunks:
            width = audio_MD.shape[1]
            yield np.concatenate([audio_MD, visual_MD], axis=1, dtype=np.float32)

    features_MD = file.write("features_MD", rows())
    file.metadata["audio_width"] = str(width)
    return features_MD[:, :width], features_MD[:, width:]


def write_rest(file: store.Writer, clips: ClipSet) -> None:
    """Append the small parts: everything of a ClipSet except its features and events."""
    for name in _ARRAYS[1:]:
        file.write(name, [getattr(clips, name)])
    for name, indices in clips.splits.items():
        file.write(_SPLIT + name, [indices])
    for modality, scale in clips.scales.items():
        file.write(_SCALE + modality, [scale.rows_XD])
    text = json.dumps({n: list(getattr(clips, n)) for n in ("names", "classes", "notes")})
    file.write("text", [np.frombuffer(text.encode(), np.uint8)])


def read(path: Path) -> tuple[ClipSet, dict[str, str]]:
    """Read a ClipSet, its large arrays as memory maps, and the file's metadata.

    Raises:
        UserError: the file was not written by this module, or is damaged.
        FileNotFoundError: the file does not exist.
    """
    arrays, metadata = store.read(path)
    try:
        text = json.loads(arrays.pop("text").tobytes())
        width, features_MD = int(metadata["audio_width"]), arrays["features_MD"]
        clips = ClipSet(
            audio_MD=features_MD[:, :width],
            visual_MD=features_MD[:, width:],
            **{name: arrays[name] for name in _ARRAYS},
            splits={k[len(_SPLIT) :]: v for k, v in arrays.items() if k.startswith(_SPLIT)},
            scales={k[len(_SCALE) :]: Scale.of_rows(v) for k, v in arrays.items() if _SCALE in k},
            **text,
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: not a cache of this release ({error})") from error
    return clips, metadata

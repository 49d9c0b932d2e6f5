"""Write extracted clips as a benchmark that ``mdft.train`` reads.

The layout is TCaF's (docs/data.md), with E_v beside the audio and visual features:
``features/clips/events/STAGE/CLASS.pkl`` has ``features`` (T, K·512) uint8 in sixteenths.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mdft.data.cache import fingerprint
from mdft.data.files.manifest import FORMAT_VERSION, MANIFEST
from mdft.data.files.portable import write_object_npy, write_pickle
from mdft.data.files.splits import PARTS
from mdft.data.video.folder import ClipJob, read_job
from mdft.files import replacing

SET = "clips"
LAYOUTS = "layouts"
_FOLDERS = ("class-split", "features")
_KINDS = {"audio": "audio_TD", "video": "visual_TD", "events": "events_TKD"}


def write_layout(
    jobs: Sequence[ClipJob],
    parts: Mapping[str, Sequence[str]],
    words: Mapping[str, np.ndarray],
    out: Path,
    described: Mapping[str, Any],
    *,
    apart: bool = False,
) -> Path:
    """Write ``class-split/``, ``features/`` and ``features.json`` into OUT, unless up to date.

    Args:
        jobs: the extracted clips.
        parts: key of ``PARTS`` → names of clips.
        words: class → its word vector.
        out: folder that also holds the clips' files; locked by this process.
        described: settings of the extraction, and the origin of the word vectors.
        apart: write into a subfolder of OUT that is named by the content, so that no other layout
            is overwritten.

    Returns:
        The folder of the layout.

    Raises:
        UserError: a clip's file is damaged.
        OSError: the disk is full.
    """
    content = {
        "format_version": FORMAT_VERSION,
        **described,
        "content": _digest(jobs, parts, words),
    }
    if apart:
        out = out / LAYOUTS / fingerprint(content)[:32]
    manifest, text = out / MANIFEST, json.dumps(content, indent=2) + "\n"
    there = all((out / name).is_dir() for name in _FOLDERS)
    if there and manifest.is_file() and manifest.read_bytes() == text.encode():
        return out
    manifest.unlink(missing_ok=True)
    by_name = {job.name: job for job in jobs}
    new = out / ".layout.tmp"
    shutil.rmtree(new, ignore_errors=True)
    try:
        _write_lists(by_name, parts, new / "class-split")
        _write_features(by_name, parts, new / "features" / SET)
        vectors = new / "features" / SET / "text"
        vectors.mkdir(parents=True)
        write_object_npy(vectors / "word_embeddings_own_normed.npy", dict(words))
        for name in _FOLDERS:
            shutil.rmtree(out / name, ignore_errors=True)
            os.replace(new / name, out / name)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    with replacing(manifest) as temporary:
        temporary.write_bytes(text.encode())
    return out


def _digest(
    jobs: Sequence[ClipJob], parts: Mapping[str, Sequence[str]], words: Mapping[str, np.ndarray]
) -> str:
    """SHA-256 of the layout's inputs; the clips' files enter by size and modification time."""
    status = {job.name: job.out.stat() for job in jobs}
    vectors = {
        name: hashlib.sha256(np.ascontiguousarray(v).tobytes()).hexdigest()
        for name, v in words.items()
    }
    return fingerprint(
        {
            "files": {name: [s.st_size, s.st_mtime_ns] for name, s in status.items()},
            "parts": {part: list(names) for part, names in parts.items()},
            "words": vectors,
        }
    )


def _write_lists(
    jobs: Mapping[str, ClipJob], parts: Mapping[str, Sequence[str]], folder: Path
) -> None:
    (folder / "main_split").mkdir(parents=True)
    labels = {part: sorted({jobs[n].label for n in names}) for part, names in parts.items()}
    classes = sorted({label for found in labels.values() for label in found})
    _write_lines(folder / "all_class.txt", classes)
    for part, stem in PARTS.items():
        _write_lines(folder / "main_split" / f"{stem}.txt", labels[part])
    names_csv = folder / "own_w2v_class_names.csv"
    with names_csv.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("original", "manual"), *((n, n) for n in classes)])


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_features(
    jobs: Mapping[str, ClipJob], parts: Mapping[str, Sequence[str]], folder: Path
) -> None:
    """One pickle per class, part and kind; at most one class of one part is in memory."""
    for part, stem in PARTS.items():
        for kind in _KINDS:
            (folder / kind / stem).mkdir(parents=True)
        for label in sorted({jobs[name].label for name in parts[part]}):
            names = [name for name in parts[part] if jobs[name].label == label]
            clips = [read_job(jobs[name]) for name in names]
            for kind, attribute in _KINDS.items():
                values = [getattr(clip, attribute) for clip in clips]
                content = {
                    "features": [v.reshape(len(v), -1) for v in values],
                    "video_names": names,
                    "fps": [clip.fps for clip in clips],
                }
                write_pickle(folder / kind / stem / f"{label}.pkl", content)

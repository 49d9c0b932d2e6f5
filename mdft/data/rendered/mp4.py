"""Write rendered clips as MP4 with sound: those of a class, or the whole benchmark."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mdft.config.rendered import RenderedConfig
from mdft.data.files.splits import PARTS
from mdft.data.progress import progress_bar
from mdft.data.rendered.content import content_of
from mdft.errors import UserError, closest
from mdft.files import replacing

if TYPE_CHECKING:
    from av.container import OutputContainer

#: Names in the folder of :func:`export_clips`.
CLIPS, SPLITS, WORDS = "clips", "splits.csv", "words.npz"
_BLOCK = 1024  # AAC codes blocks of 1024 samples


def export_mp4(
    config: RenderedConfig,
    class_name: str,
    out_dir: str | os.PathLike[str],
    clips: tuple[int, ...] = (0,),
) -> list[Path]:
    """Write clips of a class as MP4 with sound, enlarged four times.

    Args:
        config: parameters of the benchmark.
        class_name: one of its classes.
        out_dir: folder, created if missing; files are named ``CLASS_NNN.mp4``.
        clips: indices of the clips within the class.

    Raises:
        UserError: there is no such class or clip.
        OSError: the folder cannot be written.
    """
    config.check()
    content = content_of(config)
    names = [c.name for c in content.classes]
    if class_name not in names:
        raise UserError(
            f"class {class_name!r}: none of the {len(names)} that --list names"
            f"{closest(class_name, names)}"
        )
    last = config.counts.clips_per_class - 1
    if wrong := [j for j in clips if not 0 <= j <= last]:
        raise UserError(f"clip {wrong[0]}: expected 0 to {last}")
    class_id, folder = names.index(class_name), Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for j in clips:
        clip = content.render(class_id, j)
        paths.append(folder / f"{class_name}_{j:03d}.mp4")
        write_clip(paths[-1], clip.frames[:-1], clip.sound, config.fps, config.sample_rate)
    return paths


def write_clip(
    path: Path, frames: np.ndarray, sound: np.ndarray, fps: int, rate: int, zoom: int = 4
) -> None:
    """Write an MP4 file with H.264 and AAC, completely or not at all.

    Args:
        path: the .mp4 file to write.
        frames: (F, H, W, 3) uint8 RGB, enlarged ``zoom`` times by repeating pixels.
        sound: (n,) float32 mono in [−1, 1].
        fps: frames per second.
        rate: audio samples per second.
        zoom: scale factor; ``zoom · H`` and ``zoom · W`` must be even.

    Raises:
        OSError: the file cannot be written.
    """
    import av  # to load the benchmark does not need it

    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as file:
        _write(file, frames, sound, fps, rate, zoom)


def _write(
    file: OutputContainer,
    frames: np.ndarray,
    sound: np.ndarray,
    fps: int,
    rate: int,
    zoom: int,
) -> None:
    import av

    video = file.add_stream("libx264", rate=fps, options={"crf": "16"})
    video.height, video.width = (zoom * side for side in frames.shape[1:3])
    video.pix_fmt = "yuv420p"
    audio = file.add_stream("aac", rate=rate, layout="mono")
    audio.bit_rate = 64_000
    for image in frames:
        large = np.ascontiguousarray(image.repeat(zoom, axis=0).repeat(zoom, axis=1))
        file.mux(video.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
    file.mux(video.encode(None))
    for start in range(0, len(sound), _BLOCK):
        block = np.ascontiguousarray(sound[None, start : start + _BLOCK], dtype=np.float32)
        heard = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        heard.sample_rate, heard.pts, heard.time_base = rate, start, Fraction(1, rate)
        file.mux(audio.encode(heard))
    file.mux(audio.encode(None))


def export_clips(config: RenderedConfig, folder: Path) -> int:
    """Write every clip of a benchmark as MP4 with sound, its splits and its word vectors.

    FOLDER/clips/CLASS/CLASS_NNN.mp4; FOLDER/splits.csv with columns clip and part, the benchmark's
    own splits; FOLDER/words.npz, the classes' word vectors.
    ``python -m mdft.train folder --data.root FOLDER/clips --data.splits FOLDER/splits.csv
    --data.vectors FOLDER/words.npz`` trains on them as on the benchmark itself, apart from the loss
    of the codecs.

    Args:
        config: parameters of the benchmark.
        folder: created if missing.

    Returns:
        The number of clips.

    Raises:
        UserError: a count is out of its range.
        OSError: the folder cannot be written.
    """
    content = content_of(config)
    count = config.counts.clips_per_class
    with progress_bar(True) as bar:
        paths: list[Path] = []
        for kind in bar.track(content.classes, description="writing clips"):
            paths += export_mp4(config, kind.name, folder / CLIPS / kind.name, tuple(range(count)))
    rows: list[Sequence[object]] = [("clip", "part")]
    for part in PARTS:
        rows += [
            (paths[i].relative_to(folder / CLIPS).as_posix(), part) for i in content.splits[part]
        ]
    with (folder / SPLITS).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    names = np.array([c.name for c in content.classes])
    np.savez(folder / WORDS, words=names, vectors=content.words_CW)
    return len(paths)

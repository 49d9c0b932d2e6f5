"""``python -m mdft.gallery CLIPS --classes names.txt --out page.html``: a page of labelled clips.

Every clip of a folder is labelled without training, and shown with a frame, its events, its sound,
and the best labels of sound, frames and both. A repeated call reads only new clips.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from mdft.cli import parse, run_main
from mdft.config.features import LIGHT, FeatureConfig
from mdft.errors import UserError


@dataclass(frozen=True)
class Command:
    """Label the clips of a folder without training, and write one HTML page about them.

    Attributes:
        clips: folder of video files; a subfolder whose name is a class name holds clips of it.
        classes: file of candidate class names, one per line.
        out: HTML page to write.
        labels: CSV file with the columns clip (path in the folder) and label; default: the
            subfolders.
        prompt: texts with {} in place of the name, such as "a video of {}".
        vectors: light: file of word vectors (word2vec, GloVe, npz), in place of MiniLM.
        features: feature networks and event camera; the backbone is light or clip-clap.
        jobs: number of clips processed at a time; -1: one per CPU core.
        engine: loky (processes), threading, sequential, or dask://HOST:PORT for a dask cluster
            whose workers can read the same folders.
        work: folder for what was read of the clips; default: a folder in the cache.
    """

    clips: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CLIPS")]
    classes: Path
    out: Path
    labels: Path | None = None
    prompt: tuple[str, ...] = ("{}",)
    vectors: Path | None = None
    features: Annotated[FeatureConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: FeatureConfig(backbone=LIGHT)
    )
    jobs: int = -1
    engine: str = "loky"
    work: Path | None = None


def main(command: Command) -> int:
    """Run the command; return 0, or 1 if a clip could not be read."""
    if command.out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {command.out}: expected a name in .html")
    if not command.out.parent.is_dir():
        raise UserError(f"--out {command.out}: no folder {command.out.parent}")
    if not command.clips.is_dir():
        raise UserError(f"{command.clips}: no such folder, expected one with video files")
    # Imported here: --help and a mistyped flag need no torch.
    from mdft.data.files.splits import read_lines
    from mdft.inference.gallery import read_entry
    from mdft.inference.gallery_page import MODALITIES, right, write_gallery
    from mdft.inference.gallery_plan import plan
    from mdft.inference.reading import read_all
    from mdft.inference.zero_shot import zero_shot

    names = read_lines(command.classes)
    command.features.check()
    planned = plan(command.clips, command.features, names, command.labels, command.work)
    reading = planned.reading
    labeller = zero_shot(command.features, names, command.prompt, command.vectors)
    for note in (*reading.notes, *labeller.notes):
        print(note)
    failed = read_all(reading, command.engine, command.jobs)
    done = [job for job in reading.jobs if job.name not in failed]
    if not done:
        raise UserError(
            f"{command.clips}: none of its {len(reading.jobs)} clips could be read; the first: "
            f"{next(iter(failed.values()))}"
        )
    entries = [read_entry(job, labeller, planned.truths.get(job.name)) for job in done]
    messages = [f"skipped: {message}" for message in failed.values()]
    write_gallery(command.out, command.clips.resolve().name, names, entries, messages)
    for message in messages:
        print(message)
    for modality in MODALITIES:
        first, of = right(entries, modality, 1)
        if of:
            print(
                f"{modality}: {first} of {of} right, {right(entries, modality, 5)[0]} in the top 5"
            )
    print(f"{len(entries)} clips in {command.out}")
    return 1 if failed else 0


if __name__ == "__main__":
    run_main(lambda: main(parse(Command, "python -m mdft.gallery")))

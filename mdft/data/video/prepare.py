"""Convert a folder of class-named subfolders of clips into a benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from events.folder import notes_of
from mdft.config.features import FeatureConfig
from mdft.data.files.words import check_distinct
from mdft.data.video.backbones import make_backbone
from mdft.data.video.class_words import class_vectors, words_name
from mdft.data.video.folder import LOG, extract_folder, plan
from mdft.data.video.layout import write_layout
from mdft.data.video.parts import class_of, draw_parts, read_parts
from mdft.errors import UserError
from mdft.files import only_writer


@dataclass(frozen=True)
class Prepared:
    """Result of :func:`prepare`.

    Attributes:
        root: folder of the benchmark.
        clips: names of the clips in the benchmark.
        classes: their classes, sorted.
        failed: messages of the clips that could not be read.
        notes: notes for the user, one line each.
    """

    root: Path
    clips: Sequence[str]
    classes: Sequence[str]
    failed: Sequence[str]
    notes: Sequence[str]


def prepare(
    folder: Path,
    out: Path,
    config: FeatureConfig,
    *,
    splits: Path | None = None,
    split_seed: int = 0,
    vectors: Path | None = None,
    engine: str = "loky",
    workers: int = -1,
    progress: bool = True,
    strict: bool = False,
    apart: bool = False,
    wait: bool = False,
) -> Prepared:
    """Make OUT the benchmark of FOLDER; clips that are extracted already are not repeated.

    Args:
        folder: folder of class-named subfolders of clips.
        out: folder of the benchmark, created if it is missing.
        config: settings of the extraction.
        splits: csv file with the part of every clip; None: a random split by ``split_seed``.
        split_seed: see :func:`mdft.data.video.parts.draw_parts`.
        vectors: file of word vectors; None: those of the backbone's text encoder, or, if it has
            none, :func:`mdft.data.video.names.hashed_vector`.
        engine: parallel engine, as in ``python -m events.convert``.
        workers: number of parallel workers; −1 is one per core.
        progress: show a progress bar, if stderr is a terminal.
        strict: refuse a clip of which any frame is lost or damaged.
        apart: write the benchmark into a subfolder of OUT of its own, so that benchmarks of other
            splits and word vectors, which share the extracted clips, stay as they are.
        wait: wait for another process that writes to OUT, instead of refusing.

    Raises:
        UserError: the folder, the splits or the words are not as expected, or no clip can be
            read. Single clips that cannot be read are listed in the result.
    """
    config.check()
    jobs, listed = plan(folder, out, config, strict=strict)
    # Check weights, splits and words before the first clip is extracted. Classes of which every
    # clip fails later are still included here.
    backbone = make_backbone(config)
    note = backbone.note
    names = [job.name for job in jobs]
    _parts(names, names, splits, split_seed)
    labels = sorted({job.label for job in jobs})
    vectors_CW, word_notes = class_vectors(labels, vectors, backbone)
    notes = [*([note] if note else []), *word_notes, *listed]
    check_distinct(str(folder), labels, vectors_CW)
    out.mkdir(parents=True, exist_ok=True)
    with only_writer(out, wait=wait):
        outcomes = extract_folder(jobs, out, engine=engine, workers=workers, progress=progress)
        failed = {o.job.name: o.error for o in outcomes if o.error}
        done = [job for job in jobs if job.name not in failed]
        if not done:
            raise UserError(f"{folder}: none of its {len(jobs)} clips could be read")
        parts = _parts([job.name for job in done], names, splits, split_seed)
        taking_part = {name for used in parts.values() for name in used}
        if unused := [job for job in done if job.name not in taking_part]:
            notes.append(
                f"note: {len(unused)} of {len(jobs)} clips have no row in {splits} and are not "
                f"used, such as {unused[0].name!r}"
            )
        done = [job for job in done if job.name in taking_part]
        words = dict(zip(labels, vectors_CW, strict=True))
        classes = sorted({job.label for job in done})
        described = {
            "features": config.described(),
            "words": words_name(vectors, backbone),
        }
        words_of = {name: words[name] for name in classes}
        root = write_layout(done, parts, words_of, out, described, apart=apart)
    if noted := notes_of([job for job in jobs if job.name not in failed], out, LOG):
        text, count = Counter(remark for remarks in noted for remark in remarks).most_common(1)[0]
        notes.append(
            f"note: {len(noted)} of {len(jobs)} clips have notes in {out / LOG}, {count} of them: "
            f"{text}"
        )
    if failed:
        notes.append(f"note: {len(failed)} of {len(jobs)} clips could not be read")
    return Prepared(
        root,
        [job.name for job in done],
        classes,
        list(failed.values()),
        notes,
    )


def _parts(
    clips: Sequence[str], all_clips: Sequence[str], splits: Path | None, seed: int
) -> dict[str, list[str]]:
    if splits is not None:
        return read_parts(splits, clips, all_clips)
    by_class: dict[str, list[str]] = {}
    for name in clips:
        by_class.setdefault(class_of(name), []).append(name)
    return draw_parts(by_class, seed)

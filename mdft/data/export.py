"""Write a rendered benchmark as AVCA's or TCaF's files, or as video files.

    python -m mdft.data.export OUT --format avca|tcaf|mp4 [--seed S] [--recipe NAME]

``mdft/data/rendered/mp4.py`` describes the format mp4. For the other two, OUT is the
``--root_dir`` of AVCA's and TCaF's trainers. These support named data sets only, so the files have
the names of UCF: run the trainers with ``--dataset_name UCF``. Features are not standardised.
The events are written too: as E_v of MDFT (tcaf), and as wider visual features for the others.
``README.txt`` in OUT has the command lines.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import h5py
import numpy as np
import tyro

from mdft.cli import parse, run_main
from mdft.config.recipes import RECIPES
from mdft.data.files.portable import write_object_npy, write_pickle
from mdft.errors import UserError, require

if TYPE_CHECKING:
    from mdft.data.dataset import ClipSet

Format = Literal["avca", "tcaf"]

#: Our split → their stage, which names a folder and two lists.
STAGES = {
    "stage_1_train": "stage_1_train",
    "val_seen": "stage_1_val_seen",
    "val_unseen": "stage_1_val_unseen",
    "stage_2_train": "stage_2_train",
    "test_seen": "stage_2_test_seen",
    "test_unseen": "stage_2_test_unseen",
}
#: Format → folder of the features, ``feature_extraction_method`` in their published settings.
FEATURES: dict[Format, str] = {"avca": "main_features", "tcaf": "main_features_non_averaged"}
CLASS_NAMES, WORDS = "ucf_w2v_class_names.csv", "word_embeddings_ucf_normed.npy"
#: Width of a clip name in an h5 file, in bytes.
_NAME_BYTES = 80

#: Format → folder of the second set of features, with E_v beside the visual features.
WITH_EVENTS: dict[Format, str] = {
    "avca": "main_features_and_events",
    "tcaf": "main_features_non_averaged_and_events",
}

_README = """\
The embedded benchmark of mdft, rendered from one seed, in the files of {name}.
It is named as UCF is because the trainers know no other names; it is not UCF.

{commands}
AVCA and TCaF keep what they read in avgzsl_benchmark*datasets/UCF/_features_processed under
the folder they are started in, and never look whether it is stale: remove it before training
on another data set of this name.
"""
_COMMANDS: dict[Format, str] = {
    "tcaf": """\
{features}: audio and visual features of each second, and in events/ the
event bins of the pixels, which only mdft reads.
{wide}: a row for each event bin, with the audio features
of its second, and the visual features of its second beside the bin in events per pixel.

mdft, with the events in events/:
  python -m mdft.train {recipe} --data.source files --data.root OUT \\
    --data.features {features} --data.events pixel
mdft on the features alone:
  python -m mdft.train features --data.root OUT --data.features {features}
A baseline, on the features alone, or on features and events:
  python -m mdft.train {recipe} --data.source files --data.root OUT \\
    --data.features {features} --data.events pixel \\
    --model tcaf --inputs features
  python -m mdft.train {recipe} --data.source files --data.root OUT \\
    --data.features {wide} --data.events feature \\
    --model.visual-features {width} --model tcaf
The scores are those of python -m mdft.train {recipe} in memory with the same --model and with
--inputs features or features+events; after --seed S here, with --data.rendered.seed S there.
With --baseline.tcaf.bins {bins} a token of TCaF is a second with its bins, as in mdft.compare, and
not one bin.
The recipes ucf, vggsound and activitynet do not read events/ unless told --data.events pixel.

TCaF, in a checkout of TCAF-GZSL:
  python main.py --cfg config/best/best_main/best_ucf.yaml --root_dir OUT --dataset_name UCF \\
    --feature_extraction_method {features} --log_dir LOGS --run all
  python main.py --cfg config/best/best_main/best_ucf.yaml --root_dir OUT --dataset_name UCF \\
    --feature_extraction_method {wide} \\
    --input_size_video {width} --log_dir LOGS --run all
From a checkout of mdft, both stages and the test, on a CPU too:
  python -m benchmarks.authors tcaf CHECKOUT OUT
""",
    "avca": """\
{features}: the mean audio and visual features of each clip.
{wide}: the mean event bin, in events per pixel, beside the mean visual features.

mdft on the averaged features, which nothing moves in (--format tcaf has features over time):
  python -m mdft.train features --data.root OUT --data.features {features}
A baseline:
  python -m mdft.train {recipe} --data.source files --data.root OUT \\
    --data.features {features} --data.events feature --model avca
  python -m mdft.train {recipe} --data.source files --data.root OUT \\
    --data.features {wide} --data.events feature \\
    --model.visual-features {width} --model avca
The scores differ from those in memory, since means are divided by the deviation of the means, and
seconds by that of the seconds. The files of --format tcaf give the scores in memory.

AVCA, in a checkout of AVCA-GZSL, with the other flags of its run_scripts/UCF-GZSL/avca.sh:
  python main.py --root_dir OUT --dataset_name UCF --zero_shot_split main_split --AVCA \\
    --feature_extraction_method {features} --input_size_audio 512 --input_size_video 512
  python main.py --root_dir OUT --dataset_name UCF --zero_shot_split main_split --AVCA \\
    --feature_extraction_method {wide} --input_size_audio 512 \\
    --input_size_video {width}
From a checkout of mdft, both stages and the test, on a CPU too:
  python -m benchmarks.authors avca CHECKOUT OUT
""",
}


def export(clips: ClipSet, out: Path, layout: Format, fps: int, recipe: str = "embedded") -> None:
    """Write a benchmark in one of the two layouts, completely or not at all.

    There are two sets of features: ``FEATURES``, and ``WITH_EVENTS``, whose visual features have
    E_v beside them (:func:`mdft.data.standardise.with_events_as_features`), in events per pixel.

    avca: one h5 file per class, modality and stage: ``data`` (n,D) float32, the mean over the
    seconds of each clip, and ``video_urls`` (n,) bytes. tcaf: one pickle each, ``{"features":
    [(T_i,D) float32], "video_names": [str], "fps": [int]}``. Audio and video files have the same
    clips in the same order. tcaf: the first set also has ``events``, pickles with the bins of each
    clip, (T_i, K·512) uint8 in sixteenths; a clip of the second set has T_i·K rows.

    Their samplers hang on a training class with a single clip.

    Args:
        clips: clips with raw features; ``stage_2_train`` must be the union of stage 1's splits.
        out: folder to create; it may exist if it is empty.
        layout: ``avca`` or ``tcaf``.
        fps: frames per second of the videos, stored in the pickles.
        recipe: recipe of these clips, for the commands in ``README.txt``.

    Raises:
        UserError: ``out`` is not empty, or a name or a split does not fit the layout.
    """
    from mdft.data.standardise import with_events_as_features  # imports torch, see main

    _check(clips)
    with _new_folder(out) as folder:
        _write_lists(clips, folder / "class-split")
        wide = with_events_as_features(clips)
        audio, video = _Rows(clips, clips.audio_MD), _Rows(clips, clips.visual_MD)
        joined = _Rows(wide, wide.visual_MD)
        narrow, both = (folder / "features" / names[layout] for names in (FEATURES, WITH_EVENTS))
        if layout == "avca":
            _write_set(narrow, _write_h5, audio=audio, video=video)
            _write_set(both, _write_h5, audio=audio, video=joined)
        else:
            write = partial(_write_pickle, fps=fps)
            bins_MD = clips.events_MKD.reshape(len(clips.events_MKD), -1)
            events = _Rows(clips, bins_MD)
            _write_set(narrow, write, audio=audio, video=video, events=events)
            _write_set(both, write, audio=_Rows(wide, wide.audio_MD), video=joined)
        text = _readme(layout, recipe, wide.visual_MD.shape[1], clips.events_MKD.shape[1])
        (folder / "README.txt").write_text(text)


def _readme(layout: Format, recipe: str, width: int, bins: int) -> str:
    names = {"features": FEATURES[layout], "wide": WITH_EVENTS[layout]}
    commands = _COMMANDS[layout].format(recipe=recipe, width=width, bins=bins, **names)
    return _README.format(name=layout.upper(), commands=commands)


def manual_name(name: str) -> str:
    """A class name as words, the key of its vector: ``spotted star spins hum``."""
    return re.sub("[-_]", " ", name)


def _by_class(clips: ClipSet, split: str) -> Iterator[tuple[str, np.ndarray]]:
    """Name of each class of a split, and its clips, both sorted."""
    indices = np.sort(clips.splits[split])
    for c in clips.classes_of(split):
        yield clips.classes[int(c)], indices[clips.labels_N[indices] == c]


@dataclass(frozen=True)
class _Rows:
    """The rows of one modality of all clips.

    Attributes:
        clips: the clips, whose offsets are those of the rows.
        values_MD: (M, D) features or event bins.
    """

    clips: ClipSet
    values_MD: np.ndarray

    def of(self, index: int) -> np.ndarray:
        """(T,D) rows of one clip: bytes as they are, all else float32."""
        start, stop = self.clips.offsets_N1[index : index + 2]
        dtype = np.uint8 if self.values_MD.dtype == np.uint8 else np.float32
        return np.ascontiguousarray(self.values_MD[start:stop], dtype=dtype)


def _write_set(
    folder: Path, write: Callable[[Path, _Rows, np.ndarray], None], **kinds: _Rows
) -> None:
    """Write a set of features: word vectors, and a file per kind, stage and class."""
    for kind, rows in kinds.items():
        for split, stage in STAGES.items():
            where = folder / kind / stage
            where.mkdir(parents=True)
            for name, indices in _by_class(rows.clips, split):
                write(where / name, rows, indices)
    _write_words(next(iter(kinds.values())).clips, folder / "text")


def _write_h5(stem: Path, rows: _Rows, indices: np.ndarray) -> None:
    means = [rows.of(i).mean(axis=0, dtype=np.float64) for i in indices]
    with h5py.File(stem.with_name(f"{stem.name}.h5"), "w") as file:
        file.create_dataset("data", data=np.stack(means).astype(np.float32))
        names = [rows.clips.names[int(i)].encode() for i in indices]
        file.create_dataset("video_urls", data=np.array(names, dtype=f"S{_NAME_BYTES}"))


def _write_pickle(stem: Path, rows: _Rows, indices: np.ndarray, fps: int) -> None:
    content = {
        "features": [rows.of(i) for i in indices],
        "video_names": [rows.clips.names[int(i)] for i in indices],
        "fps": [fps] * len(indices),
    }
    write_pickle(stem.with_name(f"{stem.name}.pkl"), content)


def _write_words(clips: ClipSet, folder: Path) -> None:
    pairs = zip(clips.classes, clips.words_CW, strict=True)
    words = {manual_name(name): np.array(word_W, dtype=np.float32) for name, word_W in pairs}
    folder.mkdir(parents=True)
    write_object_npy(folder / WORDS, words)


def _write_lists(clips: ClipSet, folder: Path) -> None:
    (folder / "main_split").mkdir(parents=True)
    _write_lines(folder / "all_class.txt", clips.classes)
    pairs = [(name, manual_name(name)) for name in clips.classes]
    _write_csv(folder / CLASS_NAMES, [("original", "manual"), *pairs])
    for split, stage in STAGES.items():
        rows: list[Sequence[object]] = [("filename", "label", "label_code")]
        for name, indices in _by_class(clips, split):
            rows += [(clips.names[int(i)], name, int(clips.labels_N[i])) for i in indices]
        _write_csv(folder / "main_split" / f"{stage}.csv", rows)
        names = [clips.classes[int(c)] for c in clips.classes_of(split)]
        _write_lines(folder / "main_split" / f"{stage}.txt", names)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _check(clips: ClipSet) -> None:
    """Raise a UserError if their loaders would misread the written files."""
    require(not clips.scales, "clips", "standardised", "raw features")
    for split in STAGES:
        require(len(clips.splits[split]) > 0, split, "empty", "at least one clip")
    first = [clips.splits[s] for s in ("stage_1_train", "val_seen", "val_unseen")]
    same = np.array_equal(np.sort(np.concatenate(first)), np.sort(clips.splits["stage_2_train"]))
    require(same, "stage_2_train", "other clips", "those of stage_1_train, val_seen, val_unseen")
    for name in clips.classes:
        plain = name == name.strip() and name.isprintable() and not set(name) & set("/\\")
        require(plain and bool(name), "class name", name, "printable, fit to name a file")
    lower = {name.lower() for name in clips.classes}
    require(len(lower) == len(clips.classes), "class names", "equal but for case", "distinct ones")
    # Their loaders assign to class i the i-th vector in the order of the manual names.
    words = [manual_name(name) for name in clips.classes]
    require(words == sorted(set(words)), "class names", "in another order as words", "the same")
    for name in clips.names:
        fits = len(name.encode()) <= _NAME_BYTES
        require(fits, "clip name", name, f"at most {_NAME_BYTES} bytes")


def _check_free(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out}: exists already; name a new folder, or empty this one")


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder that is renamed to ``out`` at the end, or removed after an error."""
    _check_free(out)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@dataclass(frozen=True)
class Command:
    """Write a rendered benchmark as AVCA's or TCaF's files, or as video files.

    Attributes:
        out: folder to create; the --root_dir of their trainers.
        format: avca: one averaged vector per clip in h5 files; tcaf: one vector per second in
            pickles; mp4: video files with sound.
        seed: seed of the benchmark.
        recipe: embedded: the benchmark of python -m mdft.train; order: the benchmark of order;
            debug: a small one.
    """

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    format: Literal["avca", "tcaf", "mp4"]
    seed: int = 0
    recipe: Literal["embedded", "order", "debug"] = "embedded"


def main(command: Command) -> int:
    """The command line; 0 when the folder is written."""
    _check_free(command.out)  # before minutes of rendering
    # Imported here: --help and a mistyped flag are answered without torch.
    from mdft.data.rendered import benchmark as rendered
    from mdft.data.rendered.mp4 import export_clips

    config = replace(RECIPES[command.recipe]().data.drawn, seed=command.seed)
    if command.format == "mp4":
        with _new_folder(command.out) as folder:
            count = export_clips(config, folder)
        print(f"{count} clips in {command.out}")
        return 0
    clips = rendered.load(config)
    export(clips, command.out, command.format, config.fps, command.recipe)
    print(f"{len(clips)} clips of {len(clips.classes)} classes in {command.out}; see README.txt")
    return 0


if __name__ == "__main__":
    run_main(lambda: main(parse(Command, "python -m mdft.data.export")))

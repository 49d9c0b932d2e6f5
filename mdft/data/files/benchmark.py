"""Load a benchmark from feature files: read once, class by class, then memory-mapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from mdft.config.data import DataConfig
from mdft.data import cache, store
from mdft.data.dataset import ClipSet, Provenance, offsets_of
from mdft.data.feature_bins import feature_bins
from mdft.data.files.join import Joined, join
from mdft.data.files.layout import READERS, ClassFiles, Layout, find
from mdft.data.files.manifest import read_manifest
from mdft.data.files.pixel_bins import pixel_bins
from mdft.data.files.splits import PARTS
from mdft.data.files.words import read_words
from mdft.data.progress import progress_bar
from mdft.data.standardise import standardised
from mdft.errors import UserError

#: Part of the cache key. Increment it if a change of the readers changes the clips.
READER_VERSION = 3
AVERAGED_NOTE = (
    "averaged features: every clip is one vector, so E_v is 0 and carries no motion; features per "
    "second do; on averaged ones MDFT is better without its motion branch, "
    "--model.motion.no-enabled"
)
UNREAD_EVENTS = (
    "note: the event bins in events/ are not read, E_v is computed from the visual features; "
    "--data.events pixel reads them"
)


def load(config: DataConfig, progress: bool = True) -> ClipSet:
    """Load the clips of a benchmark, from the cache if possible.

    Features and events are memory maps of one cache file. The word vectors are not cached, so that
    both alignments share that file.

    Args:
        config: a configuration whose ``source`` is files.
        progress: show a progress bar while files are read, if stderr is a terminal.

    Raises:
        UserError: a file is missing or not as expected, or the cache cannot be written.
        OSError: a file cannot be read, or the disk is full.
    """
    assert config.root is not None, "config.check() comes first"
    layout = find(config.root, config.split, config.features, config.events == "pixel")
    words_CW, notes = read_words(
        layout.vectors, layout.names_csv, layout.splits.classes, config.text_alignment
    )
    path, fingerprint = cache_path(config, layout), layout.fingerprint()
    clips = _cached(path, fingerprint) or _read(config, layout, path, fingerprint, progress)
    one_vector = bool((np.diff(clips.offsets_N1) == 1).all()) and config.events == "feature"
    averaged = layout.suffix == ".h5" or one_vector
    if averaged:
        notes.append(AVERAGED_NOTE)
    if config.events == "feature" and (layout.features / "events").is_dir():
        notes.append(UNREAD_EVENTS)
    if layout.others:
        notes.append(
            f"note: {len(layout.others)} feature files of classes outside {config.split} are not "
            f"read, such as {layout.others[0].relative_to(layout.features)}"
        )
    return replace(
        clips,
        words_CW=words_CW,
        notes=notes,
        averaged=averaged,
        provenance=_provenance(config.root),
    )


def _provenance(root: Path) -> Provenance:
    """The provenance in the folder's ``features.json``, which ``mdft.features`` writes."""
    manifest = read_manifest(root)
    if manifest is None:
        return Provenance("files", words="its feature files")
    return Provenance("files", manifest["features"], words=manifest["words"])


def cache_path(config: DataConfig, layout: Layout) -> Path:
    """The cache file of a benchmark; its name depends on the folder and the settings."""
    settings = {
        "version": READER_VERSION,
        "root": str(layout.root.resolve()),
        "features": layout.features.name,
        "split": config.split,
        "max_seconds": config.max_seconds,
        "lengths": config.lengths,
        "events": config.events,
        "feature_threshold": config.feature_threshold,
    }
    name = f"files-{layout.root.resolve().name}-{cache.fingerprint(settings)[:32]}.safetensors"
    return cache.cache_folder(config.cache) / name


def _cached(path: Path, fingerprint: str) -> ClipSet | None:
    if not path.exists():
        return None
    try:
        clips, metadata = cache.read(path)
        if metadata.get("fingerprint") == fingerprint:
            return clips
        reason = f"{path}: the feature files have changed since"
    except UserError as error:
        reason = str(error)
    console = Console(stderr=True)
    text = f"{reason}: reading them again"
    console.print(text, soft_wrap=True, highlight=False, markup=False)
    return None


@dataclass
class _Index:
    """Index of the clips read so far."""

    parts: dict[str, list[int]] = field(default_factory=lambda: {part: [] for part in PARTS})
    seconds: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    where: dict[str, Path] = field(default_factory=dict)
    read: list[tuple[ClassFiles, Sequence[str], Sequence[int]]] = field(default_factory=list)

    def add(self, files: ClassFiles, clips: Joined) -> None:
        for name in clips.names:
            if name in self.where:
                raise UserError(f"{files.audio}: clip {name!r} is in {self.where[name]} too")
            self.parts[files.part].append(len(self.where))
            self.where[name] = files.audio
        self.seconds += clips.seconds
        self.labels += [files.label] * len(clips.names)
        self.read.append((files, clips.names, clips.whole_seconds))


def _read(
    config: DataConfig, layout: Layout, path: Path, fingerprint: str, progress: bool
) -> ClipSet:
    index = _Index()
    with store.create(path) as file:
        file.metadata["fingerprint"] = fingerprint
        chunks = _chunks(config, layout, index, progress)
        audio_MD, visual_MD = cache.write_features(file, chunks)
        offsets = offsets_of(np.array(index.seconds))
        events_MKD = file.write(
            "events_MKD",
            feature_bins(visual_MD, offsets, config.feature_threshold)
            if config.events == "feature"
            else pixel_bins(index.read, config.max_seconds),
        )
        splits = {part: np.array(clips, dtype=np.int64) for part, clips in index.parts.items()}
        train = ("stage_1_train", "val_seen", "val_unseen")
        splits["stage_2_train"] = np.concatenate([splits[part] for part in train])
        clips = ClipSet(
            audio_MD=audio_MD,
            visual_MD=visual_MD,
            events_MKD=events_MKD,
            offsets_N1=offsets,
            labels_N=np.array(index.labels, dtype=np.int64),
            names=list(index.where),
            classes=layout.splits.classes,
            words_CW=np.zeros((0, 0), np.float32),
            splits=splits,
        )
        cache.write_rest(file, standardised(clips))
    return cache.read(path)[0]


def _chunks(
    config: DataConfig, layout: Layout, index: _Index, progress: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the features of one class and part after another."""
    read = READERS[layout.suffix]
    widths: Mapping[Path, int] = {}
    with progress_bar(progress) as bar:
        for files in bar.track(layout.files, description="reading features"):
            clips = join(read(files.audio), read(files.visual), config.lengths, config.max_seconds)
            widths = widths or clips.widths
            clips.check_widths(widths)
            index.add(files, clips)
            yield clips.audio_MD, clips.visual_MD

"""The rendered benchmarks: clips with sound, their events, features and words.

They need no download and no GPU: all data is a function of one seed. Classes of the embedded
benchmark are combinations of an object, a motion and a sound; those of the benchmark of order
(docs/order.md) of an object, an order of what happens, and a sound. Scenes correlate with the seen
classes and mislead for the unseen ones, so that a model must recognise the motion.

    python -m mdft.data.rendered --list
    python -m mdft.data.rendered --export CLASS --out DIR
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

import events
from mdft.config.order import OrderConfig
from mdft.config.rendered import ClassCounts, RenderedConfig
from mdft.data import cache, store
from mdft.data.dataset import ClipSet
from mdft.data.extractor import FEATURES, Extractor, frame_features, make_extractor, sound_features
from mdft.data.progress import progress_bar
from mdft.data.rendered.clip import Clip
from mdft.data.rendered.content import Content, content_of
from mdft.data.rendered.mp4 import export_mp4
from mdft.errors import UserError

__all__ = ["ClassCounts", "RenderedConfig", "export_mp4", "load"]

#: Part of the cache key. Increment it if a change alters frames, sound, events or features;
#: ``tests/golden/rendered.json`` holds a summary of them, which a test compares.
RENDERER_VERSION = 2
#: The same for the benchmark of order alone; see ``tests/golden/order.json``.
ORDER_VERSION = 1


def load(
    config: RenderedConfig | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    threads: int | None = None,
) -> ClipSet:
    """Load the benchmark of a configuration from the cache, or render and cache it.

    Args:
        config: the parameters; the default benchmark if None.
        cache_dir: folder of the cache; None: see ``mdft.data.cache.cache_folder``.
        progress: show a progress bar, if stderr is a terminal.
        threads: worker threads; one per core if None. The result does not depend on it.

    Raises:
        UserError: a parameter is out of its range.
        OSError: the disk is full.
    """
    config = config or RenderedConfig()
    config.check()
    path = cache_path(config, cache_dir)
    console = Console(stderr=True)
    if path.exists():
        try:
            return cache.read(path)[0]
        except UserError as error:
            text = f"{error}: drawing it again"
            console.print(text, soft_wrap=True, highlight=False, markup=False)
    store.make_folder(path.parent)  # before minutes of rendering
    clips = build(config, progress, threads)
    cache.save(clips, path)
    return clips


def cache_path(config: RenderedConfig, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The cache file of a configuration; its name is a SHA-256 of it and the renderer's version."""
    description: dict[str, object] = {"renderer": RENDERER_VERSION, **asdict(config)}
    kind = "rendered"
    if isinstance(config, OrderConfig):
        kind, description["order"] = "order", ORDER_VERSION
    name = f"{kind}-{cache.fingerprint(description)}.safetensors"
    return cache.cache_folder(cache_dir) / name


def build(config: RenderedConfig, progress: bool = True, threads: int | None = None) -> ClipSet:
    """Render all clips of a configuration and extract their features and events, uncached.

    Features are those of the frozen extractor: not negative and not standardised.
    """
    content = content_of(config)
    classes, count = content.classes, config.counts.clips_per_class
    jobs = [(c, j) for c in range(len(classes)) for j in range(count)]
    audio, visual, bins = _measure_all(config, content, jobs, progress, threads)
    return ClipSet(
        audio_MD=audio.reshape(-1, FEATURES),
        visual_MD=visual.reshape(-1, FEATURES),
        events_MKD=bins.reshape(-1, *bins.shape[2:]),
        offsets_N1=np.arange(len(jobs) + 1, dtype=np.int64) * config.seconds,
        labels_N=np.array([c for c, _ in jobs], dtype=np.int64),
        names=[f"{classes[c].name}_{j:03d}" for c, j in jobs],
        classes=[c.name for c in classes],
        words_CW=content.words_CW,
        splits=content.splits,
    )


_Measured = tuple[np.ndarray, np.ndarray, np.ndarray]


def _measure(config: RenderedConfig, clip: Clip, extractor: Extractor) -> _Measured:
    """One clip's (T, 512) audio and visual features and (T, K, 512) event bins."""
    bins = events.frames_to_bins(
        events.rgb_to_luma(clip.frames),
        clip.times_us,
        seconds=config.seconds,
        bins_per_second=config.bins_per_second,
        threshold=config.event_threshold,
    )
    visual = frame_features(clip.frames, config.fps, extractor)
    return sound_features(clip.sound, extractor), visual, bins


def _measure_all(
    config: RenderedConfig,
    content: Content,
    jobs: list[tuple[int, int]],
    progress: bool,
    threads: int | None,
) -> _Measured:
    extractor = make_extractor(config.seed, config.sample_rate)
    n, T = len(jobs), config.seconds
    audio = np.empty((n, T, FEATURES), dtype=np.float32)
    visual = np.empty_like(audio)
    bins = np.empty((n, T, config.bins_per_second, 512), dtype=np.uint8)
    workers = threads or os.cpu_count() or 1
    before = torch.get_num_threads()
    # One thread per worker, so that the order of sums does not depend on the number of cores.
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        with progress_bar(progress) as bar:
            drawn = pool.map(lambda job: _measure(config, content.render(*job), extractor), jobs)
            for i, found in enumerate(bar.track(drawn, n, description="drawing clips")):
                audio[i], visual[i], bins[i] = found
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
    return audio, visual, bins

"""The figures of an explanation page, as PNG in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from events.video.wanted import Footage
from mdft.data.cells import event_images
from mdft.inference.explain import Explanation, Pathway

SEEN, UNSEEN, CLIP, OFF, ON = "#4c72b0", "#55a868", "#c44e52", "#3465a4", "#cc3311"
#: Name of each polarity → its index, its colour as a curve, and its colour in images of events.
_POLARITIES = {"ON (brighter)": (1, ON, "#ff0000"), "OFF (darker)": (0, OFF, "#0000ff")}
_WIDE = 10.5
_MOST_FRAMES, _MOST_NAMES = 8, 12


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def _plain(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _key(axes: Any) -> None:
    """A legend above the axes, where no curve is; the title is on the left."""
    place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}
    axes.legend(frameon=False, fontsize=8, ncols=2, **place)


def moments(footage: Footage, count: int) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Frames and events at times spread evenly over a clip.

    Args:
        footage: decoded clip.
        count: number of times; a clip with fewer frames yields fewer.

    Yields:
        Time in seconds, the frame (H,W,3) uint8, and its event bin as an image (16,16,3) in [0, 1]:
        ON red, OFF blue, no event white.
    """
    frames, bins = footage.frames, footage.bins
    images = event_images(bins.reshape(-1, bins.shape[-1]))
    count = min(count, len(frames))
    for index in ((np.arange(count) + 0.5) * len(frames) / count).astype(int):
        time = (index + 0.5) / len(frames) * footage.seconds
        yield time, frames[index], images[int(time * len(images) / footage.seconds)]


def frames_and_events(page: Explanation) -> bytes:
    """Frames of the whole clip, each above the events of its bin on the 16 × 16 grid."""
    found = list(moments(page.footage, _MOST_FRAMES))
    height, width = found[0][1].shape[:2]
    tall = 2 * _WIDE / len(found) * height / width + 0.65
    figure = Figure(figsize=(_WIDE, tall), layout="constrained")
    rows = figure.subplots(2, len(found), squeeze=False)
    for column, (time, frame, events) in enumerate(found):
        rows[0, column].imshow(frame)
        rows[0, column].set_title(f"{time:.1f} s", fontsize=9)
        rows[1, column].imshow(events, extent=(0, width, height, 0), interpolation="nearest")
    for axes in rows.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    rows[0, 0].set_ylabel("frames", fontsize=9)
    rows[1, 0].set_ylabel("events", fontsize=9)
    key = [Patch(color=colour, label=name) for name, (*_, colour) in _POLARITIES.items()]
    figure.legend(handles=key, loc="outside lower right", ncols=2, frameon=False, fontsize=8)
    return _png(figure)


def over_time(page: Explanation) -> bytes:
    """Sound, events per pixel and second, and each pathway's threshold over time."""
    seconds, K = page.footage.seconds, page.footage.bins.shape[1]
    figure = Figure(figsize=(_WIDE, 4.6), layout="constrained")
    sound, events, theta = figure.subplots(3, 1, sharex=True)
    wave = page.footage.sound
    columns = min(1200, len(wave))
    parts = np.array_split(wave, columns)
    sound.fill_between(
        np.linspace(0, seconds, columns),
        [p.min() for p in parts],
        [p.max() for p in parts],
        color="#555555",
        linewidth=0,
    )
    _plain(sound, "sound")
    rate = page.footage.bins.reshape(seconds * K, 2, -1).mean(-1) / 16 * K
    time = np.arange(seconds * K + 1) / K
    for name, (polarity, colour, _) in _POLARITIES.items():
        events.stairs(rate[:, polarity], time, color=colour, label=name)
    _key(events)
    _plain(events, "events per pixel and second")
    for pathway, style in zip(page.pathways, ("-", "--"), strict=False):
        steps = np.arange(len(pathway.theta_S) + 1) / page.steps_per_second
        theta.stairs(pathway.theta_S, steps, baseline=None, ls=style, label=pathway.name)
    _key(theta)
    _plain(theta, "threshold θ(t)")
    theta.set_xlabel("seconds")
    theta.set_xlim(0, seconds)
    return _png(figure)


def raster(pathway: Pathway, steps_per_second: int) -> bytes:
    """Every spike of every layer: steps on x, neurons on y, sorted by firing rate."""
    figure = Figure(figsize=(_WIDE, 2.9), layout="constrained")
    for i, axes in enumerate(figure.subplots(1, len(pathway.spikes), squeeze=False)[0]):
        spikes_SN = pathway.spikes[i]
        order = np.argsort(-spikes_SN.sum(0), kind="stable")
        shape = spikes_SN.shape
        axes.imshow(
            spikes_SN[:, order].T,
            aspect="auto",
            cmap="Greys",
            vmin=0,
            vmax=1,
            interpolation="nearest",
            extent=(0, shape[0] / steps_per_second, shape[1], 0),
        )
        axes.set_title(
            f"layer {i + 1}, {100 * spikes_SN.mean():.1f} % firing rate", loc="left", fontsize=9
        )
        axes.set_xlabel("seconds", fontsize=8)
        axes.tick_params(labelsize=8)
    return _png(figure)


def neighbours(page: Explanation) -> bytes:
    """Clip and classes in two principal axes of their space, and distances of the nearest ones."""
    figure = Figure(figsize=(_WIDE, 4.2), layout="constrained")
    plane, bars = figure.subplots(1, 2, width_ratios=(1, 1))
    points = np.concatenate([page.classes_CE, page.clip_E[None], page.clip_without_E[None]])
    centred = points - page.classes_CE.mean(0)
    # Two classes span only one direction.
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    flat = centred @ directions[:2].T
    classes, clip, still = flat[:-2], flat[-2], flat[-1]
    for seen, colour, name in ((True, SEEN, "seen class"), (False, UNSEEN, "unseen class")):
        chosen = classes[page.seen_C == seen]
        plane.scatter(chosen[:, 0], chosen[:, 1], c=colour, s=22, label=name)
    plane.annotate("", clip, still, arrowprops={"arrowstyle": "->", "color": CLIP})
    plane.scatter(*still, marker="o", s=50, facecolors="none", edgecolors=CLIP, label="no motion")
    plane.scatter(*clip, marker="*", s=130, c=CLIP, label="this clip", zorder=3)
    place = {guess.name: str(i) for i, guess in enumerate(page.guesses[:_MOST_NAMES], start=1)}
    for name, point in zip(page.names, classes, strict=True):
        if name in place:
            offset = {"textcoords": "offset points", "xytext": (4, 3), "fontsize": 8}
            plane.annotate(place[name], point, **offset)
    plane.legend(frameon=False, fontsize=8)
    plane.set_xticks([])
    plane.set_yticks([])
    _plain(plane, "clip and classes, first two principal axes")
    nearest = page.guesses[:_MOST_NAMES]
    rows, labels = range(len(nearest)), [f"{place[g.name]}  {_short(g.name)}" for g in nearest]
    colours = [SEEN if guess.seen else UNSEEN for guess in nearest]
    bars.scatter([g.calibrated for g in nearest], rows, s=45, c="none", edgecolors=colours)
    bars.scatter([guess.distance for guess in nearest], rows, s=45, c=colours)
    bars.set_yticks(rows, labels, fontsize=8, parse_math=False)
    bars.grid(axis="y", lw=0.5, alpha=0.5)
    bars.invert_yaxis()
    _plain(bars, "distance (circle: with β, which is added for seen classes)")
    return _png(figure)


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"


def figures(page: Explanation) -> Sequence[tuple[str, bytes]]:
    """Heading and PNG of every figure, in order."""
    return [
        ("Frames and events", frames_and_events(page)),
        ("Over time", over_time(page)),
        *(
            (f"Spikes, {pathway.name} pathway", raster(pathway, page.steps_per_second))
            for pathway in page.pathways
        ),
        ("Neighbours", neighbours(page)),
    ]

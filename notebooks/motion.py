"""From a rendered clip to a label: events, thresholds, spikes, embedding.

Open it with ``marimo edit notebooks/motion.py``; as a script, ``python -m notebooks.motion``.
"""

import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import tempfile
    from pathlib import Path

    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np
    import torch
    from rich.console import Console

    import mdft
    from events import frames_to_events, rgb_to_luma
    from mdft.config.recipes import debug
    from mdft.data.rendered.classes import make_classes
    from mdft.data.rendered.clip import render_clip
    from mdft.data.sources import load_clips
    from mdft.training.run import train

    return (
        Console,
        Path,
        debug,
        frames_to_events,
        load_clips,
        make_classes,
        mdft,
        mo,
        np,
        plt,
        render_clip,
        rgb_to_luma,
        tempfile,
        torch,
        train,
    )


@app.cell
def _(mo):
    mo.md("""
    # From a clip to a label

    This notebook trains the recipe `debug`: 12 small classes, two epochs, a few seconds. Its
    scores are meaningless, but its data pass through the same steps as in a full run. To use a
    full model instead, train it with `python -m mdft.train` and replace `model` below by
    `mdft.load("runs/embedded-seed0").model`.
    """)
    return


@app.cell
def _(Console, Path, debug, load_clips, mdft, tempfile, train):
    config = debug()
    with tempfile.TemporaryDirectory() as _folder:
        train(config, Path(_folder) / "run", console=Console(quiet=True))
        model = mdft.load(Path(_folder) / "run").model
    clips = load_clips(config.data)
    return clips, config, model


@app.cell
def _(mo):
    mo.md("""
    ## The clip, and its events

    The clip belongs to a class that is not in the training data. A pixel emits an event when its
    log intensity has changed by the contrast C since its last event, eqs. (4) and (5): red where
    it becomes brighter, blue where it becomes darker. A still background emits no events.
    """)
    return


@app.cell
def _(clips, config, frames_to_events, make_classes, render_clip, rgb_to_luma):
    index = int(clips.splits["test_unseen"][0])
    _rendered = config.data.rendered
    label = int(clips.labels_N[index])
    _kind = make_classes(_rendered.seed, _rendered.counts)[label]
    clip = render_clip(_rendered, _kind, label, int(clips.names[index].rsplit("_", 1)[1]))
    events = frames_to_events(
        rgb_to_luma(clip.frames), clip.times_us, threshold=_rendered.event_threshold
    )
    return clip, events, index, label


@app.cell
def _(clip, clips, config, events, label, np, plt):
    _size, _count = config.data.rendered.size, 6
    _edges = np.linspace(0, clip.times_us[-1], _count + 1)
    clip_figure, _axes = plt.subplots(2, _count, figsize=(9, 3.4), layout="constrained")
    for _i in range(_count):
        _low, _high = _edges[_i], _edges[_i + 1]
        _axes[0, _i].imshow(clip.frames[np.searchsorted(clip.times_us, _low)])
        _axes[0, _i].set_title(f"{_low / 1e6:.2f} s", fontsize=9)
        _now = events[(events["t"] >= _low) & (events["t"] < _high)]
        _balance = np.zeros((_size, _size))
        np.add.at(_balance, (_now["y"], _now["x"]), np.where(_now["p"], 1, -1))
        _axes[1, _i].imshow(_balance, cmap="RdBu_r", vmin=-4, vmax=4)
        _axes[1, _i].set_title(f"{len(_now):,} events", fontsize=9)
    for _axis in _axes.flat:
        _axis.set(xticks=[], yticks=[])
    clip_figure.suptitle(clips.classes[label])
    clip_figure
    return (clip_figure,)


@app.cell
def _(mo):
    mo.md("""
    ## Events, threshold, spikes

    E_v pools the events on 16 × 16 cells for each polarity: 256 OFF channels, then 256 ON
    channels, in K bins per second. The threshold θ depends on context and motion, eq. (7), and
    changes once per second. It enters the spiking layers as a current, so that the exported
    neurons keep a constant threshold.
    """)
    return


@app.cell
def _(clips, index, model, np, torch):
    batch = clips.batch(np.array([index]))
    with torch.no_grad():
        motion = model.motion_inputs(batch)
        output = model(batch)
    return batch, motion, output


@app.cell
def _(config, motion, np, output, plt):
    _bins = config.data.rendered.bins_per_second
    _given, _layers = motion["visual"], output.spikes["visual"]
    spikes_figure, _axes = plt.subplots(
        2 + len(_layers),
        figsize=(9, 8),
        sharex=True,
        layout="constrained",
        height_ratios=(2, 1, *(2 for _ in _layers)),
    )
    _x_SD = _given.x_BSD[0].numpy()
    _steps = len(_x_SD)
    _axes[0].imshow(
        _x_SD.T,
        aspect="auto",
        cmap="magma",
        extent=(0, _steps, _x_SD.shape[1], 0),
        interpolation="nearest",
    )
    _axes[0].set(ylabel="channel", title="E_v: events per pixel of each cell")
    _theta_S = np.repeat(_given.theta_BT1[0, :, 0].numpy(), _bins)
    _axes[1].stairs(_theta_S, np.arange(_steps + 1), baseline=None)
    _axes[1].set(ylabel="θ", title="threshold in each second")
    for _i, _spikes in enumerate(_layers):
        _step, _neuron = np.nonzero(_spikes[0].numpy())
        _axes[2 + _i].hlines(_neuron, _step, _step + 1, color="black", linewidth=0.4)
        _rate = 100 * _spikes.mean().item()
        _axes[2 + _i].set(ylabel="neuron", title=f"lif_{_i + 1}: {_rate:.1f} % fire per step")
    _axes[-1].set(xlabel=f"step, {_bins} per second", xlim=(0, _steps))
    spikes_figure
    return (spikes_figure,)


@app.cell
def _(mo):
    mo.md("""
    ## Embedding and label

    The spikes gate the input of the attention. The clip and the word vector of every class are
    embedded in one space; the prediction is the nearest of the unseen classes (ZSL).
    """)
    return


@app.cell
def _(clips, label, model, output, torch):
    unseen = clips.classes_of("test_unseen")
    with torch.no_grad():
        _o_w_CE = model.embed_words(torch.from_numpy(clips.words_CW[unseen]))
    distances = torch.cdist(output.o_av_BE.double(), _o_w_CE.double())[0].numpy()
    named = [clips.classes[c] for c in unseen]
    answer = named[int(distances.argmin())]
    truth = clips.classes[label]
    return answer, distances, named, truth


@app.cell
def _(answer, distances, named, plt, truth):
    label_figure, _axis = plt.subplots(figsize=(9, 0.6 + 0.4 * len(named)), layout="constrained")
    _colours = ["tab:green" if name == truth else "tab:grey" for name in named]
    _axis.barh(named, distances, color=_colours)
    _axis.invert_yaxis()
    _axis.set(xlabel="distance to the clip", title=f"{truth} (green) is classified as {answer}")
    label_figure
    return (label_figure,)


@app.cell
def _(answer, mo, truth):
    mo.md(f"The class of the clip is **{truth}**; the prediction is **{answer}**.")
    return


if __name__ == "__main__":
    app.run()

"""From an event camera's recording to a chip's arithmetic: bins, training, NIR, integers.

Open it with ``marimo edit notebooks/recordings.py``; as a script, ``python -m
notebooks.recordings``.
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

    from events import frames_to_events
    from events.files.io import write_events
    from events.files.metadata import Metadata
    from export.recordings import export_recordings, lines
    from hardware.graph.graph import read_network
    from mdft.config.recordings import RecognitionConfig, RecordingsConfig
    from mdft.data.recordings.prepared import prepare
    from mdft.recognition.figure import draw
    from mdft.recognition.run import load, run

    return (
        Metadata,
        Path,
        RecognitionConfig,
        RecordingsConfig,
        draw,
        export_recordings,
        frames_to_events,
        lines,
        load,
        mo,
        np,
        plt,
        prepare,
        read_network,
        run,
        tempfile,
        write_events,
    )


@app.cell
def _(mo):
    mo.md("""
    # From a recording to a chip's arithmetic

    This notebook makes its own recordings, so that it needs no download: a bright disc moves to
    the left, to the right, up or down, and the event generator turns the frames into events. To
    use real recordings instead, replace `folder` below by `NMNIST` or another dataset class of
    Tonic, and `root` by the folder that it is saved to.
    """)
    return


@app.cell
def _(Metadata, Path, frames_to_events, np, tempfile, write_events):
    SIDE, FRAMES, EACH = 24, 16, 24
    DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
    root = Path(tempfile.mkdtemp(prefix="mdft-notebook-"))

    def _frames(direction, random):
        row, column = np.mgrid[:SIDE, :SIDE]
        across = random.uniform(SIDE / 3, 2 * SIDE / 3)
        along = np.linspace(2, SIDE - 3, FRAMES) + random.normal(0, 0.6)
        dx, dy = direction
        places = along[:: dx + dy]
        x = places if dx else np.full(FRAMES, across)
        y = places if dy else np.full(FRAMES, across)
        distance = np.hypot(column - x[:, None, None], row - y[:, None, None])
        light = 40 + 180 / (1 + np.exp(2 * (distance - random.uniform(2, 4))))
        return (light + random.normal(0, 3, light.shape)).clip(0, 255).astype(np.uint8)

    _random = np.random.default_rng(0)
    _times = (np.arange(FRAMES) * 1_000_000) // 50
    for _name, _direction in DIRECTIONS.items():
        (root / _name).mkdir()
        for _i in range(EACH):
            _events = frames_to_events(_frames(_direction, _random), _times, threshold=0.25)
            _about = Metadata((SIDE, SIDE, 2), "notebook", duration_us=int(_times[-1]) + 1)
            write_events(root / _name / f"{_i:02}.h5", _events, _about)
    return (root,)


@app.cell
def _(mo):
    mo.md("""
    ## Bins, network, training

    A bin counts the events of each pixel and polarity in 25 ms; a bin is a step of the network.
    Neurons follow eq. (8): `u ← β u + I`, a spike where `u > θ`, then `u ← 0`. With arithmetic
    `loihi` weights are integers of 8 bits times a power of two and membranes integers of 24 bits,
    while the network is trained and not afterwards. The class with the most output spikes is the
    answer. `threshold="moving"` in the configuration lets θ follow the events of each bin, eq. (7).
    """)
    return


@app.cell
def _(RecognitionConfig, RecordingsConfig, load, prepare, root, run):
    _data = RecordingsConfig(root=root, bins=13, bin_ms=25, cache=root / "cache")
    config = RecognitionConfig("folder", _data, layers="8c5s2-p2-C", epochs=15, batch_size=8)
    prepared = prepare("folder", _data)
    results = run(config, root / "run", prepared=prepared)
    trained = load(root / "run")
    return config, prepared, results, trained


@app.cell
def _(mo, results):
    mo.md(f"""
    {results.accuracy:.0%} of {results.test} test recordings are recognised (chance
    {results.chance:.0%}).

    ## A recording, its spikes and its answer

    The top row shows events: red where it becomes brighter, blue where it becomes darker. Then
    the spikes of the hidden layer, the membranes of the output neurons, and their spikes so far.
    """)
    return


@app.cell
def _(config, draw, prepared, trained):
    figure = draw(
        trained.network,
        prepared.test.counts_NSX[0],
        trained.classes,
        int(prepared.test.labels_N[0]),
        config.data.bin_ms,
    )
    figure
    return (figure,)


@app.cell
def _(mo):
    mo.md("""
    ## The chip's arithmetic

    The export writes the graph as NIR, and a probe with the spikes and membranes of PyTorch. The
    written graph is read again and run in the integers of Lava's fixed-point LIF, on the probe
    and on the whole test.
    """)
    return


@app.cell
def _(export_recordings, lines, mo, root):
    tested = export_recordings(root / "run", root / "run", samples=4)
    mo.md("\n".join(f"- {line}" for line in lines(tested)))
    return (tested,)


@app.cell
def _(np, plt, read_network, root):
    graph = read_network(root / "run" / "motion.nir")
    weights_figure, _axis = plt.subplots(figsize=(9, 2.4), layout="constrained")
    _values = graph.populations[-1].synapses[0].weight
    _values = _values.data if hasattr(_values, "indices") else np.ravel(_values)
    _step = np.abs(_values[_values != 0]).min()
    _axis.hist(_values / _step, bins=np.arange(-128, 129), color="tab:blue")
    _axis.set(xlabel="weights of the output as integers", ylabel="number")
    weights_figure
    return graph, weights_figure


if __name__ == "__main__":
    app.run()

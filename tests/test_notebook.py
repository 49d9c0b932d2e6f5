"""The notebooks run from top to bottom, and show what they say they show."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest

from events import frames_to_bins, rgb_to_luma

pytest.importorskip("marimo", reason="the notebook needs marimo: uv sync")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of marimo's own imports
def test_the_notebook_goes_from_a_clip_to_a_label(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MDFT_CACHE", str(tmp_path))
    matplotlib.use("agg")
    from notebooks.motion import app

    _, found = app.run()
    clip, rendered = found["clip"], found["config"].data.rendered
    # The clip drawn for the eye is the one that the model was given.
    bins_TKD = frames_to_bins(
        rgb_to_luma(clip.frames),
        clip.times_us,
        seconds=rendered.seconds,
        bins_per_second=rendered.bins_per_second,
    )
    given = found["motion"]["visual"].x_BSD[0].numpy()
    np.testing.assert_array_equal(given, bins_TKD.reshape(given.shape) / 16)
    assert len(found["events"]) > 1000
    assert found["truth"] in found["clips"].classes
    assert found["answer"] in found["named"] and found["truth"] in found["named"]
    assert found["distances"].min() == found["distances"][found["named"].index(found["answer"])]
    for name in ("clip", "spikes", "label"):
        found[f"{name}_figure"].savefig(tmp_path / f"{name}.png")
    for spikes in found["output"].spikes["visual"]:
        assert set(spikes.unique().tolist()) <= {0.0, 1.0} and spikes.shape[-1] > 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of marimo's own imports
def test_the_notebook_goes_from_a_recording_to_integers(tmp_path: Path):
    matplotlib.use("agg")
    from notebooks.recordings import app

    _, found = app.run()
    assert found["prepared"].classes == ("down", "left", "right", "up")
    assert found["results"].accuracy > 0.75 and found["results"].chance == 0.25
    tested = found["tested"]
    assert not tested.failed and tested.backend == "reference_int" and tested.recordings == 20
    assert tested.trained == tested.exported == found["results"].accuracy
    for name in ("figure", "weights_figure"):
        found[name].savefig(tmp_path / f"{name}.png")
    texts = [axes.get_ylabel() for axes in found["figure"].axes]
    assert texts[-2:] == ["membrane / θ", "spikes so far"]

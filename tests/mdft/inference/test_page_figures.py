"""The keys of an explanation page's figures."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from events.video.footage import Footage
from mdft.inference import figures
from mdft.inference.explain import Explanation, Pathway


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is drawn."""
    found: list[Figure] = []
    monkeypatch.setattr(figures, "_png", found.append)
    return found


def explanation() -> Explanation:
    """Two seconds; more ON events than OFF in every bin, and thresholds that end high."""
    bins = np.zeros((2, 4, 2, 256), np.uint8)
    bins[:, :, 0], bins[:, :, 1, 0] = 10, 160
    footage = Footage(
        frames=np.zeros((12, 20, 30, 3), np.uint8),
        sound=np.zeros(16, np.float32),
        bins=bins.reshape(2, 4, 512),
        fps=6.0,
        remarks=(),
    )
    theta = np.linspace(1, 1.5, 8)
    pathways = [Pathway("audio", theta, []), Pathway("visual", theta + 1, [])]
    nothing = np.zeros((0, 4))
    return Explanation(footage, 4, pathways, [], [], nothing, nothing, nothing, [], nothing)


def test_no_key_lies_on_a_curve(drawn: list[Figure]):
    figures.over_time(explanation())
    FigureCanvasAgg(drawn[0]).draw()
    keys = {}
    for axes in drawn[0].axes[1:]:
        key = axes.get_legend()
        assert key is not None and key.get_window_extent().y0 >= axes.bbox.y1
        keys[axes.get_title(loc="left")] = [text.get_text() for text in key.get_texts()]
    assert keys == {
        "events per pixel and second": ["ON (brighter)", "OFF (darker)"],
        "threshold θ(t)": ["audio", "visual"],
    }


def test_the_colours_of_events_have_a_key(drawn: list[Figure]):
    figures.frames_and_events(explanation())
    (key,) = drawn[0].legends
    colours = {
        text.get_text(): to_rgb(patch.get_facecolor())
        for text, patch in zip(key.get_texts(), key.get_patches(), strict=True)
    }
    # The cell of 160 ON events and 10 OFF events is nearer to ON's colour than to OFF's.
    cell = np.asarray(drawn[0].axes[-1].images[0].get_array())[0, 0]
    far = {name: float(np.abs(cell - colour).sum()) for name, colour in colours.items()}
    assert far["ON (brighter)"] < far["OFF (darker)"]

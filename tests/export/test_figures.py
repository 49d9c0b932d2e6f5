"""The figures of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from events.video.footage import Footage
from export import figures
from export.figure_architecture import ARROWS, BOXES, architecture
from export.figure_motion import draw_motion
from hardware.manifest import PROBE
from hardware.report import ReportConfig, build
from mdft.errors import UserError
from mdft.inference.explain import Explanation, Pathway

DOCS = Path(__file__).resolve().parents[2] / "docs" / "figures"


def test_the_committed_architecture_is_what_the_command_draws():
    assert (DOCS / "architecture.svg").read_text() == architecture()


def test_the_committed_operations_are_those_of_the_released_files():
    released = DOCS.parents[1] / "mdft" / "released"
    files = (released / "motion_visual.nir", released / PROBE)
    report, _ = build(ReportConfig(*files, backends=("reference_float",)))
    shares = [(x.effective_macs + x.effective_acs) / x.dense_macs for x in report.cost.layers]
    drawn = re.findall(r"<!-- (\d+%) -->", (DOCS / "operations.svg").read_text())
    assert drawn == [f"{share:.0%}" for share in shares] and len(drawn) == 3


def test_every_arrow_begins_at_a_box_and_ends_before_one():
    def near(point: tuple[int, int], reach: int) -> bool:
        return any(
            all(box.at[i] - reach <= point[i] <= box.at[i] + box.size[i] + reach for i in (0, 1))
            for box in BOXES
        )

    assert [a for a in ARROWS if not (near(a.points[0], 0) and near(a.points[-1], 2))] == []


def explanation(rng: np.random.Generator) -> Explanation:
    bins = rng.integers(0, 30, (2, 4, 512)).astype(np.uint8)
    footage = Footage(
        frames=rng.integers(0, 255, (12, 20, 30, 3)).astype(np.uint8),
        sound=np.zeros(16, np.float32),
        bins=bins,
        fps=6.0,
        remarks=(),
    )
    spikes = [(rng.random((8, 5)) < 0.4).astype(np.float32) for _ in range(3)]
    theta = np.linspace(1, 1.5, 8)
    pathways = [Pathway("audio", theta, spikes[:1]), Pathway("visual", theta + 1, spikes)]
    nothing = np.zeros((0, 4))
    return Explanation(footage, 4, pathways, [], [], nothing, nothing, nothing, [], nothing)


def test_the_motion_figure_shows_the_clip_on_one_clock():
    page, figure = explanation(np.random.default_rng(0)), Figure()
    draw_motion(figure, page, "visual")
    frames, events, *clocked = figure.axes
    assert len(frames.images) == len(events.images) == len(page.footage.frames)
    for picture, drawn in zip(page.footage.frames, frames.images, strict=True):
        assert np.array_equal(np.asarray(drawn.get_array()), picture)
    assert frames.images[0].get_extent()[0] < 1 / 12 < frames.images[0].get_extent()[1]  # seconds
    assert len(clocked) == 4 and {axes.get_xlim() for axes in figure.axes} == {(0.0, 2.0)}
    (stairs,) = clocked[0].patches
    assert isinstance(stairs, StepPatch)
    np.testing.assert_allclose(stairs.get_data()[0], page.pathways[1].theta_S)
    for axes, spikes_SN in zip(clocked[1:], page.pathways[1].spikes, strict=True):
        drawn = np.asarray(axes.images[0].get_array())
        assert sorted(map(tuple, drawn.tolist())) == sorted(map(tuple, spikes_SN.T.tolist()))
        assert drawn.sum(1).tolist() == sorted(drawn.sum(1).tolist(), reverse=True)
        found = re.match(r"(\d+)%", axes.get_title(loc="right"))
        assert found and abs(int(found[1]) - 100 * spikes_SN.mean()) <= 0.5001


def test_a_run_that_was_not_exported_is_told_how(tmp_path: Path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"make it with `python -m export\.to_nir"):
        figures.main([str(tmp_path), "clip.mp4"])

"""The page of a comparison from its runs: title, tables and figure."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from mdft.config.data import Compared
from mdft.config.recipes import debug
from mdft.experiments.ablations import changed
from mdft.experiments.compare_figure import write_comparison_figure
from mdft.experiments.compare_report import KEYS, Entry, comparison_report
from mdft.experiments.compare_space import Choice, Trial
from mdft.experiments.comparison import (
    variant_of,
    write_comparison,
)
from mdft.experiments.drawing import OURS
from mdft.experiments.record import FinishedRun
from mdft.experiments.report import read_texts
from mdft.experiments.sweep import Row
from tests.mdft.experiments.test_compare import cells


def test_a_page_of_one_system_names_what_was_changed():
    """Nothing is best or different among one, and nothing was tuned."""
    config = debug()
    mlp = changed(config, {"model.motion.network": "mlp", "loss.softmax": 0.5, "epochs": 3})
    assert variant_of(config, config) == ""
    assert variant_of(mlp, config) == "--model.motion.network mlp --loss.softmax 0.5"
    sizes = {"baseline.avca.batch_size": 256, "baseline.tcaf.batch_size": 64}
    assert variant_of(changed(config, sizes), config) == "--baseline.NAME.batch-size"
    runs = {
        (0, k): FinishedRun("events-mdft-data0", k, 0.5, hm, hm, 0.5, 0.5, 0.0, 3, 9.0, "", "")
        for k, hm in enumerate((0.4, 0.6))
    }
    choice = Choice(Trial(Row("events-mdft-data0", mlp), {}), (0.5,))
    blocks: dict[Compared, dict[str, Entry]] = {"features+events": {"mdft": Entry(runs, 7, choice)}}
    facts = {"machine": "any"}
    texts: dict[str, str] = dict.fromkeys(KEYS, "")
    text = comparison_report(blocks, texts, facts, None, "--model.motion.network mlp")
    assert text.startswith("# Results with `--model.motion.network mlp`\n")
    expected = ["50.0 ± 0.0", "50.0 ± 14.1", "50.0 ± 14.1", "50.0 ± 0.0", "4.0 ± 0.0", "7"]
    assert cells(text, "MDFT") == [*expected, "9.0 ± 0.0"]
    assert "Nothing was tuned" in text and "features, and E_v of the pixels. Baselines" in text


def entry(*hms: float) -> Entry:
    """A system whose runs have these HM, with seeds 0, 1, …"""
    runs = [
        FinishedRun("row", seed, 0.5, 0.5, hm, 0.5, 0.5, 0.0, 0, 1.0, "machine", "settings")
        for seed, hm in enumerate(hms)
    ]
    return Entry({(0, run.seed): run for run in runs}, 1, None)


def test_the_figure_has_a_row_for_each_system_the_best_on_top(monkeypatch: pytest.MonkeyPatch):
    drawn = Figure()
    monkeypatch.setattr(
        "mdft.experiments.compare_figure.write_drawing", lambda path, size, draw: draw(drawn)
    )
    # SJE: mean 40 and deviation 20. MDFT: a deviation that reaches below zero, 10 ± 14.1.
    events = {"sje": entry(0.2, 0.4, 0.6), "apn": entry(), "gru": entry(0.9), "mdft": entry(0, 0.2)}
    alone = {"sje": entry(0.1), "mdft": entry(0.3)}
    write_comparison_figure(Path("x.svg"), {"features+events": events, "features": alone})
    left, right = drawn.axes
    assert (left.get_title(loc="left"), right.get_title(loc="left")) == (
        "Features and events",
        "Features alone",
    )
    assert [t.get_text() for t in left.get_yticklabels()] == ["GRU", "SJE", "MDFT"]
    assert [t.get_text() for t in right.get_yticklabels()] == ["MDFT", "SJE"]
    assert left.yaxis_inverted() and left.get_xlim() == right.get_xlim()
    bars = [bar for bar in left.containers if isinstance(bar, ErrorbarContainer)]
    dots = {tuple(np.asarray(bar.lines[0].get_xydata())[0].tolist()): bar for bar in bars}
    assert sorted(dots) == [(10, 2), (40, 1), (90, 0)]
    assert dots[90, 0].lines[2] == ()  # one run has no deviation
    for at, low, high in (((40, 1), 20, 60), ((10, 2), 10 - 200**0.5, 10 + 200**0.5)):
        (segment,) = dots[at].lines[2][0].get_segments()
        assert segment[:, 0] == pytest.approx([low, high])
        assert left.get_xlim()[0] < low and high < left.get_xlim()[1]
    assert dots[10, 2].lines[0].get_color() == OURS != dots[40, 1].lines[0].get_color()


def test_one_system_has_no_figure(tmp_path: Path):
    """A variant of MDFT is compared with nothing on its own page."""
    page, texts = tmp_path / "results.md", read_texts(tmp_path / "none", KEYS)
    ours, none = entry(0.5, 0.6), entry()
    blocks: dict[Compared, dict[str, Entry]] = {
        "features+events": {"sje": none, "mdft": ours},
        "features": {"mdft": ours},
    }
    write_comparison(page, blocks, texts, {})
    assert [p.name for p in tmp_path.iterdir()] == ["results.md"] and "![" not in page.read_text()
    blocks["features"]["sje"] = ours
    write_comparison(page, blocks, texts, {})
    assert "](results.svg)" in page.read_text() and page.with_suffix(".svg").exists()

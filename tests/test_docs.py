"""What the README, the figure and docs/paper.md name is there."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mdft
from mdft.config import recipes
from mdft.data.dataset import ClipSet
from mdft.data.sources import SOURCES
from mdft.data.video.clip import ClipFeatures
from mdft.errors import UserError
from mdft.runs.folder import read_config
from mdft.runs.preprocessing import read_preprocessing
from mdft.training.evaluation import evaluate
from tests.mdft.small import random_clips, small_config

ROOT = Path(__file__).resolve().parents[1]
TESTS = "\n".join(f.read_text() for f in (ROOT / "tests").rglob("test_*.py"))


PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{f.name}" for f in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", (ROOT / page).read_text())
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page):
    named = set(
        re.findall(
            r"`((?:mdft|events|export|hardware|tests|benchmarks|notebooks)/[\w/]+\.py)`",
            (ROOT / page).read_text(),
        )
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


def wide_clips(root: Path | None = None) -> ClipSet:
    """Random clips with the widths of features that the page names."""
    clips = random_clips()
    audio, visual = (np.tile(x, n) for x, n in ((clips.audio_MD, 4), (clips.visual_MD, 16)))
    return replace(clips, audio_MD=audio, visual_MD=visual, provenance=None)


def test_the_data_set_of_the_extending_page_trains(tmp_path, monkeypatch, capsys):
    """Its code as it stands, with small clips and two epochs; then the run is used."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), re.S)
    config = replace(small_config(), epochs=2)
    monkeypatch.setattr(recipes, "embedded", lambda: config)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(SOURCES, "mine", SOURCES["rendered"])  # restored when the test ends
    names = {"__name__": "__main__", "my_clips": wide_clips, "DATA": tmp_path}
    exec(compile(code, "extending.md", "exec"), names)
    hm = float(capsys.readouterr().out.splitlines()[-1].split()[0])
    found = evaluate("runs/mine")
    assert found.changed == [] and found.results.hm == hm
    assert read_config(Path("runs/mine")).data.source == "mine"
    preprocessing = read_preprocessing(Path("runs/mine"))
    assert preprocessing.extract is None and preprocessing.words == "unnamed word vectors"
    clips = wide_clips()
    rows, _ = clips.rows(clips.splits["test_unseen"][:1])
    features = ClipFeatures(
        clips.audio_MD[rows], clips.visual_MD[rows], clips.events_MKD[rows], fps=25.0
    )
    guesses = mdft.load("runs/mine").predict(features)
    assert {guess.name for guess in guesses} == set(mdft.load("runs/mine").classes)
    with pytest.raises(UserError, match="do not record their network; name it: --backbone"):
        mdft.load("runs/mine").predict("clip.mp4")


def test_every_box_of_the_figure_is_a_file_or_a_folder():
    figure = (ROOT / "docs" / "figures" / "architecture.svg").read_text()
    boxes = re.findall(r'class="f"[^>]*>([^<]+)<', figure)
    missing = [name for name in boxes if not (ROOT / name).exists()]
    assert len(boxes) > 10 and missing == ["motion_*.nir + probe.npz"]  # what a run writes


def test_every_test_that_the_paper_table_names_exists():
    text = (ROOT / "docs" / "paper.md").read_text()
    named = set(re.findall(r"`(test_\w+)…?`", text))
    assert len(named) > 10
    assert [name for name in named if f"def {name}" not in TESTS] == []

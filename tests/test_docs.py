"""What the README, the figure and docs/paper.md name is there."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mdft.config import recipes
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


def test_the_data_set_of_the_extending_page_trains(tmp_path, monkeypatch, capsys):
    """Its code as it stands, with small clips and two epochs."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), re.S)
    config = replace(small_config(), epochs=2)
    monkeypatch.setattr(recipes, "embedded", lambda: config)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "extending.md", "exec"), {"my_clips": random_clips})
    assert 0 <= float(capsys.readouterr().out.splitlines()[-1]) <= 1
    assert (tmp_path / "runs" / "mine" / "results.json").exists()


def test_every_box_of_the_figure_is_a_file():
    boxes = re.findall(
        r'class="f">([^<]+)<', (ROOT / "docs" / "figures" / "architecture.svg").read_text()
    )
    files = [box for box in boxes if box.endswith(".py")]
    assert len(files) == len(boxes) - 1  # one box is what lies between export and hardware
    assert [name for name in files if not list(ROOT.glob(name))] == []


def test_every_test_that_the_paper_table_names_exists():
    text = (ROOT / "docs" / "paper.md").read_text()
    named = set(re.findall(r"`(test_\w+)…?`", text))
    assert len(named) > 10
    assert [name for name in named if f"def {name}" not in TESTS] == []

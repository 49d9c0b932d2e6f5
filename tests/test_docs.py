"""What the README, the figure and docs/paper.md name is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = "\n".join(f.read_text() for f in (ROOT / "tests").rglob("test_*.py"))


def test_every_link_of_the_readme_leads_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", (ROOT / "README.md").read_text())
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_box_of_the_figure_is_a_file():
    boxes = re.findall(r'class="f">([^<]+)<', (ROOT / "docs" / "figures" / "architecture.svg").read_text())
    files = [box for box in boxes if box.endswith(".py")]
    assert len(files) == len(boxes) - 1  # one box is what lies between export and hardware
    assert [name for name in files if not list(ROOT.glob(name))] == []


def test_every_file_and_test_that_the_paper_table_names_exists():
    text = (ROOT / "docs" / "paper.md").read_text()
    files = set(re.findall(r"`((?:mdft|events)/[\w/]+\.py)`", text))
    assert len(files) > 8
    assert [name for name in files if not (ROOT / name).exists()] == []
    named = set(re.findall(r"`(test_\w+)…?`", text))
    assert len(named) > 10
    assert [name for name in named if f"def {name}" not in TESTS] == []

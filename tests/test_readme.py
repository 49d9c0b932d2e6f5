"""The README's commands and outputs: each is run, here or by the test that is named."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import mdft
from mdft.runs import read_results
from mdft.screen import rates_table, scores_table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
TESTS = "\n".join(f.read_text() for f in (ROOT / "tests").rglob("test_*.py"))
CLASS = "striped_ball-bounces-hum"

#: Command as written → what is typed here; with RUN, CLIP, GRAPH, PROBE and OUT filled in.
TYPED = {
    "mdft.data.rendered --export CLASS --out DIR": f"--export {CLASS} --out OUT/clips --clips 3",
    "mdft.evaluate RUN": "RUN",
    "export.to_nir RUN [--form inputs|chain|both]": "RUN --form inputs",
    "export.hybrid RUN --backend reference_int": "RUN --backend reference_int --limit 4",
    "hardware.run GRAPH PROBE --backend lava_fixed": "GRAPH PROBE --backend lava_fixed",
    "hardware.report GRAPH PROBE --out report.html": "GRAPH PROBE --out OUT/report.html",
    "hardware.netx GRAPH PROBE OUT.net": "GRAPH PROBE OUT/branch.net",
    "export.summary RUN": "RUN",
    "mdft.predict RUN CLIP [--explain OUT.html]": "RUN CLIP --explain OUT/why.html",
    "export.figures RUN CLIP": "RUN CLIP --out OUT/figures",
    "events.convert CLIP OUT.h5 --preview OUT.mp4": "CLIP OUT/e.h5 --preview OUT/e.mp4",
    "events.explain CLIP --pixel X Y": "CLIP --pixel 32 32 --out OUT/pixel.png",
}
#: Command as written → the test that runs it on something small.
ELSEWHERE = {
    "mdft.train [RECIPE] [--seed S] [--out RUN] [--resume]": (
        "test_a_finished_run_is_not_overwritten_and_resumes_at_once"
    ),
    "mdft.train ucf --data.root DIR": "test_a_recipe_trains_and_tests_on_feature_files",
    "mdft.train folder --data.root CLIPS": "test_the_folder_is_a_source_by_itself",
    "mdft.train --model avca": "test_the_flag_is_spelled_model",
    "mdft.train --init RUN --motion.arithmetic loihi --epochs 3": "test_it_trains_and_resumes",
    "mdft.features CLIPS OUT": "test_the_benchmark_holds_what_the_clips_hold",
    "mdft.seeds": "test_the_seeds_command_shows_means_of_what_is_there",
    "mdft.seeds [RECIPE] --seeds 0 1 2": "test_the_seeds_command_shows_means_of_what_is_there",
    "mdft.ablate": "test_the_report_by_hand",
    "mdft.compare embedded --seeds 5 --tune 5": "test_a_system_end_to_end",
    "mdft.bits": "test_from_nothing_to_the_report",
    "mdft.data.export OUT --format tcaf": "test_the_command_writes_the_benchmark_of_a_seed",
    "mdft.doctor": "test_this_machine_passes",
}


def commands() -> set[str]:
    """Every command of the README, without ``python -m``; benchmarks are no part of the package."""
    plain = README.replace("\\|", "|")
    found = re.findall(r"`python -m ([^`]+)`|^python -m (.+)$", plain, re.M)
    named = {" ".join((a or b).split()) for a, b in found}
    return {name for name in named if not name.startswith("benchmarks.")}


def test_every_command_is_run_somewhere():
    assert commands() == TYPED.keys() | ELSEWHERE.keys()
    assert [name for name in ELSEWHERE.values() if f"def {name}" not in TESTS] == []


def test_the_last_screen_of_the_demo_is_that_of_the_released_run():
    results = read_results(mdft.RELEASED)
    for table in (scores_table(results), rates_table(results)):
        console = Console(width=80, record=True, quiet=True, color_system=None)
        with console.capture() as shown:
            console.print(table)
        lines = [line.rstrip() for line in shown.get().splitlines()]
        assert "\n".join(lines) in README


def said_and_shown() -> list[tuple[list[str], list[str]]]:
    """Each ``$ python -m …`` of the README: its words, and what it shows between ellipses."""
    (block,) = (b for b in README.split("```\n") if b.startswith("$ "))
    pieces = [piece.split("\n", 1) for piece in block[2:].split("\n$ ")]
    return [(typed.split()[2:], shown.strip("\n").split("…")) for typed, shown in pieces]


@pytest.mark.slow
@pytest.mark.lava
def test_the_outputs_are_those_of_the_released_run(tmp_path: Path):
    shutil.copytree(mdft.RELEASED, tmp_path / "runs" / "demo")
    wide = {**os.environ, "COLUMNS": "100"}
    asked = said_and_shown()
    assert len(asked) == 6
    for words, shown in asked:
        command = [sys.executable, "-m", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=wide, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, (words, done.stderr)
        found = "\n".join(line.rstrip() for line in done.stdout.splitlines())
        for part in shown:
            assert part.strip("\n") in found, (words, done.stdout)


@pytest.mark.slow
@pytest.mark.lava
def test_the_commands_do_what_they_say_on_the_released_run(tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(mdft.RELEASED, run)
    clip = tmp_path / "clips" / f"{CLASS}_003.mp4"
    places = {
        "RUN": run,
        "CLIP": clip,
        "GRAPH": run / "motion_visual.nir",
        "PROBE": run / "probe.npz",
    }
    said = {}
    for written, typed in TYPED.items():
        words = [str(places.get(w, w.replace("OUT", str(tmp_path)))) for w in typed.split()]
        command = [sys.executable, "-m", written.split()[0], *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, (written, done.stderr)
        said[written.split()[0]] = done.stdout
    assert "65.1" in said["mdft.evaluate"]  # HM
    assert "0 of 73,728 spikes differ from reference_int" in said["hardware.run"]
    assert "bounces" in said["mdft.predict"]
    for name in ("report.html", "branch.net", "why.html", "e.h5", "e.mp4", "pixel.png", "figures"):
        assert (tmp_path / name).stat().st_size > 0

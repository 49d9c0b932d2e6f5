"""The commands and outputs of the README and of docs/usage.md: each is run, here or elsewhere."""

from __future__ import annotations

import re
import shutil
from itertools import product
from pathlib import Path

import pytest

import mdft
from tests.commands import run

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
USAGE = (ROOT / "docs" / "usage.md").read_text()
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
    "export.predict RUN CLIP --backend NAME": "RUN CLIP --backend reference_int",
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
    "mdft.predict light CLIP --classes FILE": "test_the_table_shows_every_modality",
    "mdft.gallery CLIPS --classes FILE --out PAGE.html": (
        "test_a_gallery_shows_every_clip_and_counts"
    ),
    "mdft.motion DATASET --data.root DIR": "test_it_learns_two_sides_of_the_sensor",
    "hardware.silicon GRAPH CHIP.csv": "test_the_recording_of_a_loihi_2",
    "hardware.conformance": "test_the_command_keeps_the_columns_of_others",
    "mdft.features CLIPS OUT": "test_the_benchmark_holds_what_the_clips_hold",
    "mdft.seeds": "test_the_seeds_command_shows_means_of_what_is_there",
    "mdft.seeds [RECIPE] --seeds 0 1 2": "test_the_seeds_command_shows_means_of_what_is_there",
    "mdft.ablate": "test_the_report_by_hand",
    "mdft.compare embedded --data-seeds 3 --seeds 5 --tune 5": "test_a_system_end_to_end",
    "mdft.bits": "test_from_nothing_to_the_report",
    "mdft.data.export OUT --format tcaf": "test_the_command_writes_the_benchmark_of_a_seed",
    "mdft.doctor": "test_this_machine_passes",
}


def commands() -> set[str]:
    """Every command of both pages, without ``python -m``; benchmarks are no part of the package."""
    plain = (README + USAGE).replace("\\|", "|")
    found = re.findall(r"`python -m ([^`]+)`|^python -m (.+)$", plain, re.M)
    named = {" ".join((a or b).split()) for a, b in found}
    return {name for name in named if not name.startswith("benchmarks")}


def test_every_command_is_run_somewhere():
    assert commands() == TYPED.keys() | ELSEWHERE.keys()
    assert [name for name in ELSEWHERE.values() if f"def {name}" not in TESTS] == []


def printed(*words: object, folder: Path, columns: int = 100) -> str:
    """What ``python -m`` prints, without blanks at the ends of lines; it must succeed."""
    module, *arguments = words
    status, out, err = run(str(module), *arguments, folder=folder, COLUMNS=str(columns))
    assert status == 0, (words, err)
    return "\n".join(line.rstrip() for line in out.splitlines())


@pytest.mark.slow
@pytest.mark.lava
@pytest.mark.subprocess
def test_the_last_screen_of_the_demo_is_that_of_the_released_weights(tmp_path: Path):
    """What ``make demo`` does after training."""
    run = tmp_path / "runs" / "demo"
    shutil.copytree(mdft.RELEASED, run)
    (run / "metrics.jsonl").touch()  # the release leaves them out
    (run / "tensorboard").mkdir()
    printed("export.to_nir", run, "--samples", 8, folder=tmp_path)
    for backend, pathway in product(
        ("reference_float", "lava_float", "lava_fixed"), ("audio", "visual")
    ):
        files = run / f"motion_{pathway}.nir", run / "probe.npz"
        report = "--json", run / f"parity_{backend}_{pathway}.json"
        runtime = "--backend", backend, "--runtime", "process"
        printed("hardware.run", *files, *runtime, *report, folder=tmp_path)
    screen = README.split("Its last screen:\n\n```\n")[1].split("\n```")[0]
    found = printed("export.summary", "runs/demo", folder=tmp_path, columns=80)
    assert screen in found, found


def said_and_shown() -> list[tuple[list[str], list[str]]]:
    """Each ``$ python -m …`` of docs/usage.md: its words, and its output between ellipses."""
    (block,) = (b for b in USAGE.split("```\n") if b.startswith("$ "))
    pieces = [piece.split("\n", 1) for piece in block[2:].split("\n$ ")]
    return [(typed.split()[2:], shown.strip("\n").split("…")) for typed, shown in pieces]


@pytest.mark.slow
@pytest.mark.lava
@pytest.mark.subprocess
def test_the_commands_and_outputs_are_those_of_the_released_run(tmp_path: Path):
    """The six outputs that are shown, and every command of the tables that is none of them."""
    run = tmp_path / "runs" / "demo"
    shutil.copytree(mdft.RELEASED, run)
    asked = said_and_shown()
    assert len(asked) == 6
    for words, shown in asked:
        found = printed(*words, folder=tmp_path)
        for part in shown:
            assert part.strip("\n") in found, (words, found)
    clip = tmp_path / "clips" / f"{CLASS}_003.mp4"
    places = {
        "RUN": run,
        "CLIP": clip,
        "GRAPH": run / "motion_visual.nir",
        "PROBE": run / "probe.npz",
    }
    done = {words[0] for words, _ in asked}
    for written, typed in TYPED.items():
        words = [str(places.get(w, w.replace("OUT", str(tmp_path)))) for w in typed.split()]
        name = written.split()[0]
        if name not in done or "[" in written or "--preview" in written:
            printed(name, *words, folder=tmp_path)
    for name in ("report.html", "branch.net", "why.html", "e.h5", "e.mp4", "pixel.png", "figures"):
        assert (tmp_path / name).stat().st_size > 0

"""All commands × all bad inputs: one line, status 2, nothing left behind; help is complete."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from mdft.runs.folder import STATE
from tests.commands import (
    BEGIN,
    DOCUMENT,
    END,
    PACKAGES,
    ROOT,
    Answer,
    Case,
    call,
    commands,
    flags,
    rows,
    table,
    with_guard,
)

every_command = pytest.mark.parametrize("module", commands())


@pytest.fixture(scope="module")
def answers() -> list[tuple[Case, Answer]]:
    return rows()


def test_the_commands_of_the_readme_are_found():
    written = (ROOT / "README.md").read_text()
    named = set(re.findall(r"python -m ((?:mdft|export|events|hardware)[\w.]*)", written))
    assert len(named) > 8 and named <= set(commands())
    # The others are children of ours and read no flags.
    texts = with_guard()
    assert not [m for m in set(texts) - set(commands()) if re.search("tyro|argparse", texts[m])]


def test_bad_input_is_answered_in_one_line_and_leaves_nothing(answers):
    assert len({case.module for case, _ in answers}) == len(commands())
    for case, answer in answers:
        assert answer.status == 2, (case, answer)
        assert answer.err.startswith("error: ") and answer.err.count("\n") == 1, (case, answer)
        assert len(answer.err) > 20 and "Traceback" not in answer.err, (case, answer)
        assert (answer.out, answer.left) == ("", ()), (case, answer)


def test_a_misspelt_flag_is_answered_with_the_right_one(answers):
    found = 0
    for case, answer in answers:
        if case.wrong == "misspelt flag":
            typo = case.arguments[-1]
            meant = re.search(r"Perhaps you meant: .*", answer.err)
            # One letter was left out.
            assert meant and re.search(rf" {typo[:-1]}.{typo[-1]}\b", meant.group()), (case, answer)
            found += 1
    assert found > 5


@pytest.mark.parametrize(
    ("module", "arguments", "meant"),
    [
        ("mdft.train", "embeded", "embedded"),
        ("mdft.seeds", "activtynet", "activitynet"),
        ("hardware.run", "motion_audio.nir p.npz --backend reference_flaot", "reference_float"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(module: str, arguments: str, meant: str):
    answer = call(module, *arguments.split())
    assert answer.status == 2 and answer.err.endswith(f"; did you mean {meant!r}?\n")


def test_a_name_that_is_near_none_gets_the_list_alone():
    answer = call("mdft.train", "zzz")
    assert "expected one of embedded, debug" in answer.err and "did you mean" not in answer.err


@every_command
def test_help_explains_every_flag(module: str):
    answer = call(module, "--help")
    assert (answer.status, answer.err, answer.left) == (0, "", ())
    assert answer.out.startswith(f"usage: python -m {module} ")
    about = answer.out.split("\n\n")[1]
    assert len(about.split()) > 3
    found = flags(answer.out)
    assert "--debug" in [flag.name for flag in found]
    for flag in found:
        said = re.match(r"(.*?)\((default|required)", flag.text)
        assert said and said.group(1).strip(), flag


def test_help_of_train_lists_the_recipes():
    text = call("mdft.train", "--help").out
    assert re.search(r"^  debug: A few seconds", text, re.MULTILINE)
    assert re.search(r"^  vggsound: VGGSound-GZSL", text, re.MULTILINE)


def test_debug_shows_where_it_went_wrong(answers):
    for case, answer in answers:
        if case.wrong == "unknown flag":
            debugged = call(case.module, *case.arguments, "--debug")
            assert debugged.status == 2, case
            assert debugged.err.startswith("Traceback (most recent call last):\n"), case
            said = answer.err.removeprefix("error: ")
            assert debugged.err.splitlines()[-1].endswith("UserError: " + said.strip()), case


def test_arguments_are_read_in_one_place():
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            if file.name != "cli.py":
                assert "tyro.cli(" not in file.read_text(), f"{file}: use parse of mdft/cli.py"


def test_the_two_packages_that_stand_alone_read_arguments_alike():
    ours, theirs = ((ROOT / p / "cli.py").read_text() for p in ("events", "hardware"))
    assert ours.replace("hardware", "events") == theirs.replace("hardware", "events")


@pytest.mark.skipif(
    f'name = "tyro"\nversion = "{version("tyro")}"' not in (ROOT / "uv.lock").read_text()
    or sys.version_info[:2] != (3, 10),
    reason="other releases word their refusals otherwise",
)
def test_the_document_shows_these_answers(answers):
    shown = DOCUMENT.read_text().split(BEGIN)[1].split(END)[0]
    assert shown.strip() == table(answers).strip(), "write it again: python -m tests.commands"


@pytest.mark.slow
def test_ctrl_c_ends_a_run_in_one_line_and_it_resumes(tmp_path: Path):
    command = [sys.executable, "-m", "mdft.train", "debug", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MDFT_CACHE": str(tmp_path / "cache")}
    long = subprocess.Popen(
        [*command, "--epochs", "100000"], cwd=ROOT, env=environment, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "run" / STATE).exists():
            assert long.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        long.send_signal(signal.SIGINT)
        _, err = long.communicate(timeout=60)
    finally:
        long.kill()
    assert (long.returncode, err) == (130, b"interrupted\n")
    assert not [p for p in (tmp_path / "run").iterdir() if p.name.endswith((".tmp", ".part"))]

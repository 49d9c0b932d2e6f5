"""All commands × all bad inputs: one line, status 2, nothing left behind; help is complete."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mdft.runs.folder import STATE
from tests.commands import PACKAGES, ROOT, Answer, Case, call, commands, flags, rows, with_guard
from tests.conftest import MadeOnce

every_command = pytest.mark.parametrize("module", commands())


@pytest.fixture(scope="session")
def answers(made_once: MadeOnce) -> list[tuple[Case, Answer]]:
    folder = made_once("answers", lambda f: (f / "rows.pickle").write_bytes(pickle.dumps(rows())))
    return pickle.loads((folder / "rows.pickle").read_bytes())


def test_the_commands_of_the_readme_are_found():
    written = (ROOT / "README.md").read_text() + (ROOT / "docs" / "usage.md").read_text()
    named = set(re.findall(r"python -m ((?:mdft|export|events|hardware)[\w.]*)", written))
    assert len(named) > 8 and named <= set(commands())
    # The others are children of ours and read no flags.
    texts = with_guard()
    assert not [m for m in set(texts) - set(commands()) if re.search("tyro|argparse", texts[m])]


@pytest.mark.slow
def test_bad_input_is_answered_in_one_line_and_leaves_nothing(answers):
    assert len({case.module for case, _ in answers}) == len(commands())
    for case, answer in answers:
        assert answer.status == 2, (case, answer)
        assert answer.err.startswith("error: ") and answer.err.count("\n") == 1, (case, answer)
        assert len(answer.err) > 20 and "Traceback" not in answer.err, (case, answer)
        assert (answer.out, answer.left) == ("", ()), (case, answer)


@pytest.mark.slow
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
    assert (
        "expected one of embedded, order, debug" in answer.err and "did you mean" not in answer.err
    )


@every_command
def test_help_explains_every_flag(module: str):
    answer = call(module, "--help")
    assert (answer.status, answer.err, answer.left) == (0, "", ())
    assert answer.out.startswith(f"usage: python -m {module} ")
    about = answer.out.split("\n\n")[1]
    assert len(about.split()) > 3
    assert "``" not in answer.out  # a docstring's markup
    found = flags(answer.out)
    assert "--debug" in [flag.name for flag in found]
    for flag in found:
        printed = re.match(r"(.*?)\((default|required)", flag.text)
        assert printed and printed.group(1).strip(), flag


def test_help_of_train_lists_the_recipes():
    text = call("mdft.train", "--help").out
    assert re.search(r"^  debug: A few seconds", text, re.MULTILINE)
    assert re.search(r"^  vggsound: VGGSound-GZSL", text, re.MULTILINE)


@pytest.mark.slow
def test_debug_shows_where_it_went_wrong(answers):
    for case, answer in answers:
        if case.wrong == "unknown flag":
            debugged = call(case.module, *case.arguments, "--debug")
            assert debugged.status == 2, case
            assert debugged.err.startswith("Traceback (most recent call last):\n"), case
            printed = answer.err.removeprefix("error: ")
            assert debugged.err.splitlines()[-1].endswith("UserError: " + printed.strip()), case


def test_arguments_are_read_in_one_place():
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            if file.name != "cli.py":
                assert "tyro.cli(" not in file.read_text(), f"{file}: use parse of mdft/cli.py"


#: Kinds of mistakes of the table in docs/reliability.md: a command, and what its answer holds.
KINDS = {
    "nothing given": ("export.summary", "", r"Missing from python -m export.summary: RUN "),
    "a flag that is none": (
        "mdft.train",
        "--no-such-flag",
        r"Unrecognized options: --no-such-flag",
    ),
    "a misspelt flag": (
        "mdft.train",
        "debug --epohcs 3",
        r"--epohcs.*Perhaps you meant: --epochs ",
    ),
    "a misspelt name": ("mdft.train", "vggsund", r"recipe is 'vggsund'.*did you mean 'vggsound'\?"),
    "no number": ("mdft.train", "debug --epochs many", r"Error parsing --epochs: .*'many'"),
    "a number out of range": ("mdft.train", "debug --epochs 0", r"epochs is 0, expected"),
    "a file that is missing": ("events.convert", "no.mp4 out.h5", r"no\.mp4: cannot be opened"),
    "a file of another kind": (
        "events.convert",
        "motion_audio.txt out.h5",
        r"not a list of events .line 1 is .*; expected a first line that",
    ),
    "an empty folder": ("mdft.evaluate", "motion_audio", r"motion_audio: no config\.json there"),
    "a flag that needs others": (
        "mdft.train",
        "debug --stage 2",
        r"--stage 2 needs --epoch and --",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_mistake_says_what_was_found_and_what_to_do(kind: str):
    module, arguments, printed = KINDS[kind]
    answer = call(module, *arguments.split())
    assert (answer.status, answer.out, answer.left) == (2, "", ())
    assert re.fullmatch(f"error: .*{printed}.*\n", answer.err), answer.err


def test_the_document_names_each_kind():
    text = (ROOT / "docs" / "reliability.md").read_text()
    assert [kind for kind in KINDS if f"\n| {kind} |" not in text] == []


@pytest.mark.slow
@pytest.mark.subprocess
def test_ctrl_c_ends_a_run_in_one_line(tmp_path: Path):
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

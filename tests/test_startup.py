"""Commands read their arguments before they import what takes seconds to import."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from events.preview.film import Film
from tests.commands import PACKAGES, ROOT, commands, with_guard

HEAVY = ("torch", "numba", "av", "matplotlib", "nir", "tonic")

#: Runs in a fresh process: after each step it prints which of the libraries are loaded.
STEPS = """
import importlib, json, os, sys
from pathlib import Path

heavy, kind, *names = json.loads(sys.argv[1])
found = {}
for name in names:
    if kind == "import":
        importlib.import_module(name)
    else:
        from tests.commands import run

        status, out, err = run(name, "--help", folder=Path.cwd())
        assert (status, err) == (0, "") and out.startswith("usage: "), (name, status, err)
    found[name] = [library for library in heavy if library in sys.modules]
print(json.dumps(found))
"""


def loaded(kind: str, names: list[str]) -> dict[str, list[str]]:
    """Name → those of ``HEAVY`` that are loaded once it and those before it were taken."""
    given = json.dumps([HEAVY, kind, *names])
    done = subprocess.run(
        [sys.executable, "-c", STEPS, given], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def importable(module: str) -> str:
    """The module of a command's file; of a package's command its ``__main__``."""
    file = ROOT / f"{module.replace('.', '/')}.py"
    return module if file.is_file() else f"{module}.__main__"


@pytest.mark.subprocess
def test_importing_packages_and_commands_loads_no_heavy_library():
    names = [*PACKAGES, *map(importable, commands())]
    assert len(names) > 25 and set(map(importable, with_guard())) >= set(names) - set(PACKAGES)
    assert loaded("import", names) == {name: [] for name in names}


@pytest.mark.subprocess
def test_help_loads_no_heavy_library():
    assert loaded("help", commands()) == {module: [] for module in commands()}


@pytest.mark.subprocess
def test_a_heavy_library_is_found_where_there_is_one():
    assert loaded("import", ["events", "events.generator"]) == {
        "events": [],
        "events.generator": ["numba"],
    }


#: Predicts a clip in this process, and prints what it and its children did: the modules that are
#: loaded, the arguments of every process that it started, and the modules of the reading child.
PREDICT = """
import contextlib, io, json, subprocess, sys
from pathlib import Path

started, before = [], subprocess.Popen.__init__

def init(self, arguments, *args, **given):
    started.append(list(map(str, arguments)))
    before(self, arguments, *args, **given)

subprocess.Popen.__init__ = init
import mdft
from mdft.predict import Command, main

def roots():
    return sorted({name.partition(".")[0] for name in sys.modules})

with contextlib.redirect_stdout(io.StringIO()) as out:
    status = main(Command(mdft.RELEASED, (Path(sys.argv[1]),), json=True))
found = {"status": status, "out": out.getvalue(), "started": started, "command": roots()}
guesses = mdft.load(mdft.RELEASED).predict(sys.argv[1])
found |= {"kernels": [[g.name, g.distance] for g in guesses], "library": roots()}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bar that moves for 1.2 s, without sound."""
    path = tmp_path_factory.mktemp("startup") / "bar.mp4"
    with Film(path, (64, 48), Fraction(10)) as film:
        for i in range(12):
            frame = np.zeros((48, 64, 3), np.uint8)
            frame[:, 4 * i : 4 * i + 8] = 255
            film.add(frame, 100_000 * i)
        film.close()
    return path


@pytest.mark.subprocess
def test_predict_starts_one_process_and_loads_no_kernel_and_no_figures(clip: Path):
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, str(clip)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == 0
    ours = [a[1:3] for a in found["started"] if a[0] == sys.executable]  # torch starts ldconfig
    assert ours == [["-m", "events.video.isolated"]]
    # Frames are decoded and made into events by that process; without --explain nothing is drawn.
    absent = {"numba", "scipy", "av", "matplotlib", "jinja2", "joblib", "nir", "snntorch", "tonic"}
    assert "torch" in found["command"] and not absent & set(found["command"])
    assert "numba" in found["library"]
    # The plain loop gives the distances of the compiled kernels, bit for bit.
    printed = [[g["name"], g["distance"]] for g in json.loads(found["out"])["guesses"]]
    assert printed == found["kernels"][: len(printed)] and len(printed) == 5


@pytest.mark.subprocess
def test_a_mistyped_run_is_found_before_torch_is_loaded_and_a_process_is_started():
    code = """
import subprocess, sys
from pathlib import Path

subprocess.Popen = None  # a process would be an error
from tests.commands import run

status, _, err = run("mdft.predict", "no/such", "clip.mp4", folder=Path.cwd())
assert status == 2 and err.startswith("error: no/such: no such folder"), (status, err)
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.subprocess
def test_the_process_that_reads_clips_loads_no_torch():
    loading = "import json, sys, events.video.isolated, events.video.footage; "
    loading += "print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", loading], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = json.loads(done.stdout)
    assert {"av", "numba"} < set(modules)
    assert not {"torch", "matplotlib", "joblib"} & set(modules)

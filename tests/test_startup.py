"""Commands read their arguments before they import what takes seconds to import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

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

"""The wheel and the sdist: their names, that they shadow nothing, and that they run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

pytestmark = pytest.mark.subprocess

ROOT = Path(__file__).resolve().parents[1]
NAMES = {"mdft", "export", "events", "hardware"}
PARTS = (*NAMES, "tests", "benchmarks", "pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys; from setuptools import build_meta as b; getattr(b, sys.argv[1])(sys.argv[2])"


def build(kind: str, source: Path, out: Path) -> Path:
    """What `uv build` makes, with the setuptools that is here: no network."""
    out.mkdir()
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy: building leaves folders behind."""
    folder = tmp_path_factory.mktemp("source")
    for part in PARTS:
        if (ROOT / part).is_dir():
            no_bytes = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=no_bytes)
        else:
            shutil.copy(ROOT / part, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", source, tmp_path_factory.mktemp("wheel") / "out")


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return {n for n in file.namelist() if ".dist-info/" not in n}


def test_the_wheel_holds_our_four_packages_whole_and_nothing_else(wheel: Path):
    found = names_in(wheel)
    # lava-nc and lava-dl install a top-level `tests`: ours must not join it.
    assert {name.split("/")[0] for name in found} == NAMES
    endings = ("py", "html", "txt")
    sources = (f for n in NAMES for ending in endings for f in (ROOT / n).rglob(f"*.{ending}"))
    files = {str(f.relative_to(ROOT)) for f in sources}
    released = {str(f.relative_to(ROOT)) for f in (ROOT / "mdft" / "released").iterdir()}
    assert "mdft/released/model.safetensors" in released
    assert found == files | released
    with zipfile.ZipFile(wheel) as file:
        (metadata,) = (n for n in file.namelist() if n.endswith("METADATA"))
        assert any(n.endswith("LICENSE") for n in file.namelist())
        text = file.read(metadata).decode()
    assert "Requires-Python: >=3.10" in text and "Requires-Dist: torch>=" in text
    # Their pins contradict ours, and a wheel cannot carry the overrides of pyproject.toml.
    assert "lava" not in "".join(re.findall(r"Requires-Dist: .*", text))


def test_our_names_shadow_nothing():
    installed = packages_distributions()
    assert len(installed) > 50
    for name in NAMES:
        assert set(installed.get(name, [])) <= {"mdft"}, f"{name} is of {installed[name]}"
        assert name not in sys.stdlib_module_names


@pytest.mark.slow
def test_a_wheel_from_the_sdist_is_the_same(source: Path, wheel: Path, tmp_path: Path):
    sdist = build("sdist", source, tmp_path / "sdist")
    with tarfile.open(sdist) as file:
        # Documented for Pythons with and without filters; 3.12 and 3.13 warn without one.
        file.extraction_filter = getattr(tarfile, "data_filter", None)
        file.extractall(tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert (unpacked / "LICENSE").exists() and (unpacked / "README.md").exists()
    assert names_in(build("wheel", unpacked, tmp_path / "wheel")) == names_in(wheel)


def test_the_wheel_runs_from_another_folder(wheel: Path, tmp_path: Path):
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    # The packages of this environment, but ours out of the wheel.
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "NUMBA_DISABLE_JIT": "1"}

    code = (
        "import runpy, mdft, export, events, hardware\n"
        "print(mdft.__file__, export.__file__, events.__file__, hardware.__file__)\n"
        "runpy.run_module('mdft.train', run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-c", code, "debug", "--help"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    where, _, printed = done.stdout.partition("\n")
    assert [path.startswith(str(tmp_path)) for path in where.split()] == [True] * 4
    assert printed.startswith("usage: python -m mdft.train")

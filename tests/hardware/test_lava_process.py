"""The fence around Lava's runtime: nothing survives a failure."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from pathlib import Path

import pytest

from hardware import lava_build
from hardware.errors import UserError
from hardware.lava_process import _run_child

LINUX = pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs /proc and /dev/shm")

BEHAVIOUR = """
import os, sys, time
from multiprocessing import shared_memory
from pathlib import Path
folder = Path(sys.argv[1])
memory = shared_memory.SharedMemory(create=True, size=64)
child = os.fork()
if child == 0:
    time.sleep(600)
(folder / "facts").write_text(f"{memory.name} {child}")
"""


def run(folder: Path, ending: str, limit_s: float) -> tuple[str, str, int]:
    script = folder / "child.py"
    script.write_text(BEHAVIOUR + ending)
    with pytest.raises(UserError) as caught:
        _run_child([sys.executable, str(script), str(folder)], folder, limit_s)
    name, child = (folder / "facts").read_text().split()
    return str(caught.value), name, int(child)


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@LINUX
@pytest.mark.parametrize(
    ("ending", "limit_s", "word"),
    [
        ("time.sleep(600)", 2.0, "within 2 s"),
        (
            "print('Traceback (most recent call last)\\nValueError: broken model', flush=True)\n"
            "time.sleep(600)",
            60.0,
            "broken model",
        ),
        ("os.kill(os.getpid(), 9)", 60.0, "did not finish"),
    ],
)
def test_no_process_and_no_segment_is_left(tmp_path, ending: str, limit_s: float, word: str):
    start = time.monotonic()
    message, name, child = run(tmp_path, ending, limit_s)
    assert word in message and "\n" not in message
    assert time.monotonic() - start < 20
    assert not alive(child)
    assert not (Path("/dev/shm") / name).exists()


def test_without_lava_one_line_says_what_to_do(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name.startswith("lava") else find(name)
    )
    with pytest.raises(UserError, match=r"lava-nc is not installed.*Python 3\.10"):
        lava_build.require_lava()


@pytest.mark.parametrize("content", [None, "lava = 1", "print 'Python 2'"])
def test_another_package_named_lava_is_said(tmp_path, monkeypatch, content: str | None):
    """None is a package without magma, else a module: there find_spec itself raises."""
    for name in [n for n in sys.modules if n.partition(".")[0] == "lava"]:
        monkeypatch.delitem(sys.modules, name)
    if content is None:
        (tmp_path / "lava").mkdir()
        (tmp_path / "lava" / "__init__.py").write_text("")
    else:
        (tmp_path / "lava.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(UserError, match=r"another package named lava.*install lava-nc"):
            lava_build.require_lava()
    finally:
        sys.modules.pop("lava", None)  # before monkeypatch puts the real one back


def test_a_finished_child_is_no_error(tmp_path):
    _run_child([sys.executable, "-c", f"open({str(tmp_path / 'done')!r}, 'w')"], tmp_path, 60)
    assert os.listdir(tmp_path) == ["done", "log"] or set(os.listdir(tmp_path)) == {"done", "log"}

"""The fence around Lava's runtime: nothing survives a failure, whoever dies first."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hardware.graph.graph import lower
from hardware.lava import build as lava_build
from hardware.lava.guard import SHM, session
from hardware.lava.plan import plan_float, save_plan
from hardware.lava.process import run_child
from mdft.errors import UserError
from tests.hardware.nets import random_graph, random_inputs

LINUX = pytest.mark.skipif(not SHM.is_dir(), reason="needs /proc and /dev/shm")
HANG = "time.sleep(600)"

# What every command begins with: it says who it is, as soon as it and its memory are there.
FACTS = """
import os, sys, time
from pathlib import Path
from hardware.lava.guard import PREFIX_VARIABLE, name_segments
folder, prefix = Path(sys.argv[1]), os.environ[PREFIX_VARIABLE]
def tell(actor):
    (folder / "new").write_text(f"{prefix} {os.getsid(0)} {os.getppid()} {actor}")
    (folder / "new").rename(folder / "facts")
"""
# Shared memory and a process of its own, as Lava's runtime has, without its start-up time.
LIKE_LAVA = f"""{FACTS}
from multiprocessing import shared_memory
name_segments(prefix)
memory = shared_memory.SharedMemory(create=True, size=64)
child = os.fork()
if child == 0:
    time.sleep(600)
tell(child)
"""
# Lava itself; step 3 of its LIF ends as the test wants.
LAVA = f"""{FACTS}
from hardware.lava import child
from lava.proc.lif.models import PyLifResetModelFloat
run_spk = PyLifResetModelFloat.run_spk
def ending(model):
    if model.time_step == 3:
        tell(os.getpid())
        ENDING
    run_spk(model)
PyLifResetModelFloat.run_spk = ending
child.main(folder)
"""


def script(folder: Path, ending: str, lava: bool = False) -> Path:
    """A command for `run_child`, and the plan that Lava runs."""
    file = folder / "command.py"
    file.write_text(LAVA.replace("ENDING", ending) if lava else LIKE_LAVA + ending)
    rng = np.random.default_rng(0)
    save_plan(
        plan_float(lower(random_graph(rng, layers=1)), random_inputs(rng, batch=1)),
        folder / "plan.npz",
    )
    return file


def facts(folder: Path) -> tuple[str, int, int]:
    """Prefix of the segments, id of the guard, id of the actor; and that they are alive."""
    end = time.monotonic() + 60
    while not (folder / "facts").exists():
        assert time.monotonic() < end, (folder / "log").read_text()
        time.sleep(0.02)
    prefix, guard, _, actor = (folder / "facts").read_text().split()
    return prefix, int(guard), int(actor)


def living(leader: int) -> list[int]:
    return [pid for pid, fields in session(leader) if fields[0] != "Z"]


def segments(prefix: str) -> list[Path]:
    return list(SHM.glob(f"{prefix}*"))


def gone(prefix: str, guard: int, limit_s: float = 20) -> bool:
    """Whether no process and no segment is left, soon."""
    end = time.monotonic() + limit_s
    while (living(guard) or segments(prefix)) and time.monotonic() < end:
        time.sleep(0.05)
    return not living(guard) and not segments(prefix)


@pytest.mark.subprocess
@LINUX
@pytest.mark.parametrize(
    ("ending", "limit_s", "word"),
    [
        (HANG, 2.0, "did not finish within 2 s"),
        (
            "print('Traceback (most recent call last)\\nValueError: broken model', flush=True)\n"
            + HANG,
            60.0,
            "failed: ValueError: broken model",
        ),
        ("os.kill(os.getpid(), 9)", 60.0, "failed: Error: process .* was killed by SIGKILL"),
        (f"os.kill(child, 9); {HANG}", 60.0, "failed: Error: process .* was killed by SIGKILL"),
        (f"os.kill(os.getppid(), 9); {HANG}", 60.0, "failed"),  # the guard
        (f"os.kill(os.getppid(), 15); {HANG}", 60.0, "failed"),
    ],
)
def test_no_process_and_no_segment_is_left(tmp_path, ending: str, limit_s: float, word: str):
    start = time.monotonic()
    # Seen by the test only if the command had both: it writes its name after making them.
    command = script(tmp_path, "assert list(Path('/dev/shm').glob(f'{prefix}*'))\n" + ending)
    with pytest.raises(UserError, match=word) as caught:
        run_child([sys.executable, str(command), str(tmp_path)], tmp_path, limit_s)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 20
    prefix, guard, _ = facts(tmp_path)
    assert not living(guard) and not segments(prefix)


def start_parent(folder: Path, command: Path) -> subprocess.Popen:
    """A process of its own that waits for `run_child`."""
    code = (
        "import sys; from pathlib import Path; from hardware.lava.process import run_child\n"
        f"folder = {str(folder)!r}; command = [sys.executable, {str(command)!r}, folder]\n"
        "run_child(command, Path(folder), 600)"
    )
    root = Path(__file__).parents[3]
    return subprocess.Popen([sys.executable, "-c", code], cwd=root, stderr=subprocess.DEVNULL)


@pytest.mark.subprocess
@LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_parent_leaves_nothing(tmp_path, number: signal.Signals):
    folder = tmp_path / "run"
    folder.mkdir()
    with start_parent(folder, script(folder, HANG)) as parent:
        prefix, guard, actor = facts(folder)
        assert actor in living(guard) and segments(prefix)
        parent.send_signal(number)
    assert parent.returncode == -number
    assert gone(prefix, guard)
    assert folder.exists() == (number == signal.SIGINT)  # then its owner lives to remove it


@pytest.mark.subprocess
@LINUX
@pytest.mark.lava
def test_an_exception_in_a_model_of_lava(tmp_path):
    command = script(tmp_path, "raise ValueError('broken model')", lava=True)
    with pytest.raises(UserError, match="failed: ValueError: broken model"):
        run_child([sys.executable, str(command), str(tmp_path)], tmp_path, 120)
    prefix, guard, _ = facts(tmp_path)
    assert not living(guard) and not segments(prefix)


@pytest.mark.subprocess
@LINUX
@pytest.mark.lava
@pytest.mark.parametrize("victim", ["actor", "parent"])
def test_lava_killed_in_the_middle_leaves_nothing(tmp_path, victim: str):
    folder = tmp_path / "run"
    folder.mkdir()
    with start_parent(folder, script(folder, HANG, lava=True)) as parent:
        prefix, guard, actor = facts(folder)
        assert len(living(guard)) > 4 and len(segments(prefix)) > 4
        os.kill(actor if victim == "actor" else parent.pid, signal.SIGKILL)
    assert parent.returncode == (1 if victim == "actor" else -signal.SIGKILL)
    assert gone(prefix, guard)


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


@pytest.mark.subprocess
@LINUX
def test_a_finished_child_is_no_error(tmp_path):
    code = f"import os; open({str(tmp_path / 'done')!r}, 'w')"
    run_child([sys.executable, "-c", code], tmp_path, 60)
    assert {p.name for p in tmp_path.iterdir()} == {"done", "log"}

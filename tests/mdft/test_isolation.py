"""Files read in a child process: what comes back, and what becomes of the child."""

from __future__ import annotations

import gc
import io
import json
import os
import re
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from mdft import isolation
from mdft.errors import UserError
from mdft.isolation import Child

pytestmark = pytest.mark.subprocess

MEMORY = 1 << 30
MODULE = "tests.mdft.runs_the_file"


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    with Child(MODULE, MEMORY) as found:
        yield found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.py"


def read(child: Child, file: Path, text: str, seconds: float = 60.0, **request):
    file.write_text(text)
    return child.read(file, seconds, **request)


def refusal(child: Child, file: Path, text: str, seconds: float = 60.0, **request) -> str:
    with pytest.raises(UserError) as caught:
        read(child, file, text, seconds, **request)
    name, _, message = str(caught.value).partition(": ")
    assert name == str(file)
    return message


ARRAYS = {
    "a/type": np.array("LIF"),
    "names": np.array([["in", "é"], ["n", "output"]]),
    "nothing": np.zeros((0, 3), np.uint8),
    "columns": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
    "strided": np.arange(10, dtype=">i8")[::3],
    "large": np.arange(3 << 20, dtype=np.float64).reshape(3, -1),
}


def test_arrays_come_back_as_they_were(child: Child, file: Path):
    text = (
        "import numpy as np\n"
        "arrays = {'a/type': np.array('LIF'), 'names': np.array([['in', 'é'], ['n', 'output']]),\n"
        "'nothing': np.zeros((0, 3), np.uint8), 'strided': np.arange(10, dtype='>i8')[::3],\n"
        "'columns': np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),\n"
        "'large': np.arange(3 << 20, dtype=np.float64).reshape(3, -1)}\n"
        "header = {'request': request, 'path': path}"
    )
    header, arrays = read(child, file, text, cpu_seconds=30.0, size=3, name="é")
    assert header == {"request": {"size": 3, "name": "é"}, "path": str(file)}
    assert set(arrays) == set(ARRAYS)
    for name, expected in ARRAYS.items():
        assert arrays[name].dtype == expected.dtype and arrays[name].shape == expected.shape
        np.testing.assert_array_equal(arrays[name], expected)


PID = "import os; header = {'pid': os.getpid()}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "from mdft.errors import UserError; raise UserError(f'{path}: two\\n lines')",
            "two lines",
        ),
        ("raise ValueError('no\\nframe')", "ValueError: no frame"),
        ("raise RuntimeError", "RuntimeError: RuntimeError"),
        ("raise MemoryError", "needs more than 1 GiB of memory to read"),
        ("x = bytearray(3 << 30)", "needs more than 1 GiB of memory to read"),
        ("import library_that_is_not_there", "needs more than 1 GiB of memory to read"),
        ("raise OSError(12, 'no room')", "needs more than 1 GiB of memory to read"),
        (
            "from mdft.errors import UserError; raise UserError(f'{path}: bad') from MemoryError()",
            "needs more than 1 GiB of memory to read",
        ),
        ("raise OSError(f'{path}: \\x1b[2Jgone')", "\ufffd[2Jgone"),
    ],
)
def test_a_refusal_is_one_line_and_the_process_goes_on(
    child: Child, file: Path, text: str, expected: str
):
    before, _ = read(child, file, PID)
    assert refusal(child, file, text) == expected
    assert read(child, file, PID)[0] == before


def test_a_message_has_an_end(child: Child, file: Path):
    message = refusal(child, file, "raise ValueError('x' * 1_000_000)")
    assert message.endswith("x…") and len(f"{file}: {message}") == 1001


def test_a_file_is_named_as_it_was_given(child: Child, file: Path, monkeypatch):
    """The child works in another folder, and imports nothing from that of the parent."""
    monkeypatch.chdir(file.parent)
    Path("numpy.py").write_text("raise SystemExit")
    relative = Path("file.py")
    header, _ = read(child, relative, "header = {'path': path}")
    assert header == {"path": str(file)}
    assert refusal(child, relative, "raise ValueError") == "ValueError: ValueError"
    with Child(MODULE, MEMORY) as new:
        assert read(new, relative, PID)[0]["pid"] > 0


@pytest.mark.parametrize(
    ("text", "limits", "expected"),
    [
        ("import os; os.kill(os.getpid(), 11)", {}, r"crashed \(signal 11\).*damaged"),
        ("import os; os._exit(3)", {}, r"crashed \(status 3\).*needs more memory"),
        ("import time; time.sleep(60)", {"seconds": 0.5}, r"took more than 0\.5 s$"),
        ("while True: pass", {"cpu_seconds": 0.3}, r"more than 0\.3 s of processor time$"),
        # A loop in C: no handler of Python's would be called.
        ("sum(range(1 << 40))", {"cpu_seconds": 0.3}, r"more than 0\.3 s of processor time$"),
        ("import numpy as np; arrays = {'a': np.array([{}])}", {}, r"crashed \(status 1\)"),
    ],
)
def test_a_lost_process_costs_one_file(child: Child, file: Path, text: str, limits, expected: str):
    before, _ = read(child, file, PID)
    start = time.monotonic()
    message = refusal(child, file, text, **limits)
    assert re.search(expected, message) and "\n" not in message, message
    assert time.monotonic() - start < 30
    assert read(child, file, PID)[0] != before


def test_processor_time_is_counted_for_each_file(child: Child, file: Path):
    busy = "import time\nend = time.process_time() + 0.25\nwhile time.process_time() < end: pass\n"
    pids = {read(child, file, busy + PID, cpu_seconds=0.45)[0]["pid"] for _ in range(3)}
    assert len(pids) == 1


def test_a_process_killed_between_two_files_is_replaced(child: Child, file: Path):
    before = read(child, file, PID)[0]["pid"]
    os.kill(before, signal.SIGKILL)
    while psutil.Process(before).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert read(child, file, PID)[0]["pid"] != before


def test_after_an_interrupt_no_answer_is_taken_for_the_next_files(child: Child, file: Path):
    before = read(child, file, PID)[0]["pid"]
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        read(child, file, "import time; time.sleep(60); header = {'pid': 'late'}")
    assert not psutil.pid_exists(before)
    assert read(child, file, PID)[0]["pid"] not in (before, "late")


def test_what_a_library_prints_is_no_answer_and_there_is_no_keyboard(
    child: Child, file: Path, capfd
):
    text = (
        "import os, sys\nprint('noise', flush=True); os.write(1, b'noise\\n')\n"
        "os.write(2, b'noise\\n'); header = {'cwd': os.getcwd(), 'isatty': sys.stdin.isatty()}"
    )
    header, _ = read(child, file, text)
    assert header == {"cwd": str(Path(__file__).parents[2]), "isatty": False}
    assert capfd.readouterr() == ("", "")


def test_its_limits_are_memory_time_and_no_core_file(child: Child, file: Path):
    text = (
        "import os, resource, signal\n"
        "header = {'memory': resource.getrlimit(resource.RLIMIT_AS),\n"
        "'core': resource.getrlimit(resource.RLIMIT_CORE),\n"
        "'timer': signal.getitimer(signal.ITIMER_PROF),\n"
        "'threads': os.environ['OPENBLAS_NUM_THREADS'], 'home': os.environ['HOME']}"
    )
    header, _ = read(child, file, text, cpu_seconds=50.0)
    assert header["memory"] == [MEMORY, MEMORY] and header["core"] == [0, 0]
    left, again = header["timer"]
    assert 40 < left < 50.5 and again == 0  # counted in ticks
    assert header["threads"] == "1" and header["home"] == os.environ["HOME"]
    assert read(child, file, text)[0]["timer"] == [0.0, 0.0]


def test_without_limits_of_the_system_the_parents_remain(monkeypatch: pytest.MonkeyPatch):
    """As on Windows."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    monkeypatch.setitem(sys.modules, "resource", None)
    isolation._limit_memory(MEMORY)
    monkeypatch.undo()
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    monkeypatch.delattr(signal, "setitimer")
    isolation._limit_processor_time(0.01)
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_the_process_ends_with_its_object(file: Path):
    child = Child(MODULE, MEMORY)
    process = psutil.Process(read(child, file, PID)[0]["pid"])
    assert process.is_running()
    del child
    gc.collect()
    assert not process.is_running()


def answer(header: object, arrays: object, content: bytes = b"") -> io.BytesIO:
    return io.BytesIO(json.dumps({"header": header, "arrays": arrays}).encode() + b"\n" + content)


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "stream",
    [
        answer({}, ["a"], saved(np.array([{}]))),  # a pickle
        answer({}, ["a"], saved(np.arange(9))[:-1]),
        answer({}, ["a", "b"], saved(np.arange(9))),
        answer({}, ["a"], b"no array"),
        answer([], []),
        answer({}, 3),
        io.BytesIO(b"[]\n"),
        io.BytesIO(b"\xff\n"),
    ],
)
def test_an_answer_that_a_hostile_file_could_make_is_refused(stream: io.BytesIO):
    with pytest.raises(ValueError):
        isolation._receive(stream)


def test_a_process_that_answers_nonsense_is_ended(file: Path, monkeypatch: pytest.MonkeyPatch):
    def nonsense(stream) -> None:
        stream.readline()
        raise ValueError

    with Child(MODULE, MEMORY) as child:
        before = read(child, file, PID)[0]["pid"]
        with monkeypatch.context() as patch:
            patch.setattr(isolation, "_receive", nonsense)
            patch.setattr(isolation, "_GRACE_S", 0.1)
            assert refusal(child, file, PID) == (
                "the process that reads it gave no valid answer; the file is damaged"
            )
        assert not psutil.pid_exists(before)
        assert read(child, file, PID)[0]["pid"] != before

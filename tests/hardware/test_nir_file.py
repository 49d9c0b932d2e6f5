"""What the parser's process is given, and what is made of its answers."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import nir
import numpy as np
import pytest

from hardware.graph import file as nir_file
from hardware.graph.file import read_nir
from mdft.errors import UserError
from tests.hardware.test_graph import affine, lif, single

pytestmark = pytest.mark.subprocess

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A shell script in the child's place."""

    def run(body: str) -> None:
        script = tmp_path / "child.sh"
        script.write_text("#!/bin/sh\n" + body)
        script.chmod(0o755)
        monkeypatch.setattr(nir_file.sys, "executable", str(script))

    return run


def answer(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_nir(path)
    head, text = str(caught.value).split(": ", 1)
    assert head == str(path)
    return text


def test_a_graph_comes_back_as_it_was_written(good: Path):
    expected, found = single(a=affine(), n=lif(3)), read_nir(good)
    assert [(str(a), str(b)) for a, b in found.edges] == expected.edges
    assert set(found.nodes) == set(expected.nodes)
    for name, node in expected.nodes.items():
        assert type(found.nodes[name]) is type(node)
        fields = {"in": ("input_type",), "out": ("output_type",), "a": ("weight", "bias")}
        for field in fields.get(name, ("tau", "r", "v_leak", "v_reset", "v_threshold")):
            np.testing.assert_equal(getattr(found.nodes[name], field), getattr(node, field))


@pytest.fixture
def keyboard():
    """Somebody has typed ten bytes."""
    ours, (read, write) = os.dup(0), os.pipe()
    os.write(write, b"y\n" * 5)
    os.close(write)
    os.dup2(read, 0)
    yield
    os.dup2(ours, 0)
    os.close(ours)
    os.close(read)


@pytest.mark.parametrize("before", [None, "", "/some/where"])
def test_the_child_gets_the_file_its_time_our_code_and_no_keyboard(
    good: Path, tmp_path: Path, shell, keyboard, monkeypatch, capfd, before: str | None
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if before is not None:
        monkeypatch.setenv("PYTHONPATH", before)
    with good.open("ab") as file:
        file.truncate(1_500_000)
    told = tmp_path / "told"
    shell(
        f'printf "%s\\n" "$@" "$PYTHONPATH" "$OPENBLAS_NUM_THREADS" "$HOME" > {told}\n'
        f"wc -c >> {told}\necho noise >&2\necho two; echo lines\n"
    )
    assert answer(Path("good.nir")) == "two lines"
    lines = told.read_text().split("\n")
    module, name, path, out, seconds, python, threads, home, typed, _ = lines
    assert (module, name, path) == ("-m", "hardware.graph.child", str(good.resolve()))
    assert Path(out).name == "arrays.npz" and not Path(out).parent.exists()
    assert Path(out).parent.name.startswith("nir_")
    assert seconds == "1.350"  # 0.6 s and a second for 2 MB
    assert python == os.pathsep.join([str(ROOT), *filter(None, [before])])
    assert (threads, home, typed.strip()) == ("1", os.environ["HOME"], "0")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("exit 0", "reading it gave nothing"),
        ("echo half; exit 3", "reading it ended with status 3"),
        ("kill -PROF $$", "reading it took more than 0.6 s of processor time"),
        ("kill -SEGV $$", "reading it ended with status -11"),
        (r"printf 'caf\351\n\n \t!'", "caf\ufffd !"),
        ("printf '%0300d' 0", "0" * 300),
        ("printf '%0301d' 0", "0" * 300 + "…"),
    ],
)
def test_whatever_the_child_does_is_one_line(good: Path, shell, body: str, text: str):
    shell(body)
    assert answer(good) == text


def test_a_child_that_hangs_is_given_up(good: Path, monkeypatch: pytest.MonkeyPatch):
    """After 20 s and 15 s for each second of its processor time: 0.6 s, and one for 2 MB."""
    with good.open("ab") as file:
        file.truncate(2_000_000)

    def hang(*args, timeout: float, **kwargs):
        assert timeout == 20 + 15 * 1.6
        raise subprocess.TimeoutExpired(args[0], timeout)

    monkeypatch.setattr(nir_file.subprocess, "run", hang)
    assert answer(good) == "reading it took more than 44 s"


def test_a_system_without_that_signal_reads_too(good: Path, shell, monkeypatch):
    """Windows: no status is that signal's."""
    monkeypatch.delattr(signal, "SIGPROF")
    assert set(read_nir(good).nodes) == {"in", "a", "n", "out"}
    shell("kill -USR1 $$")
    assert answer(good) == f"reading it ended with status -{signal.SIGUSR1.value}"


def test_no_pickle_is_loaded_whoever_wrote_it(good: Path, tmp_path: Path, shell):
    np.savez(tmp_path / "evil.npz", edges=np.array([{}], object))
    shell(f'cp {tmp_path}/evil.npz "$4"')
    expected = "nir refuses it (Object arrays cannot be loaded when allow_pickle=False)"
    assert answer(good) == expected


def test_what_nir_refuses_is_one_line(good: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(fields: dict) -> nir.NIRNode:
        raise AssertionError("no\nsuch " + "x" * 300)

    monkeypatch.setattr(nir_file.nir, "dict2NIRNode", refuse)
    assert answer(good) == f"nir refuses it (no such {'x' * 292}…)"


def test_a_missing_file_is_one_line(tmp_path: Path):
    expected = "no such file; expected a .nir file from python -m export.to_nir"
    assert answer(tmp_path / "no.nir") == expected

"""The doctor: passes here, and says of what is missing what to do about it."""

from __future__ import annotations

import json
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from hardware.backends import BACKENDS, find_backend
from mdft import doctor
from mdft.doctor import (
    SIMULATORS,
    Check,
    call,
    check_cache,
    check_simulators,
    check_video,
    checks,
    guarded,
    main,
)


@pytest.mark.slow
@pytest.mark.subprocess
def test_this_machine_passes(capsys, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("MDFT_CACHE", str(tmp_path / "cache"))
    # A child takes seconds to import; the other backends have tests of their own.
    some = {n: SIMULATORS[n] for n in ("NumPy integer reference", "Lava fixed point")}
    monkeypatch.setattr(doctor, "SIMULATORS", some)
    status = main(["--json"])
    out, err = capsys.readouterr()
    assert out.count("\n") == 1 and not err
    found = json.loads(out)
    by_name = {check["name"].split(" (")[0]: check for check in found["checks"]}
    assert {"PyTorch", "CUDA", "cache", "NIR file, read back", *some} < set(by_name)
    assert [c for c in found["checks"] if c["status"] == "FAIL"] == [] and found["failed"] == 0
    assert status == 0
    expected = "PASS" if sys.version_info < (3, 11) else "SKIP"
    assert by_name["Lava fixed point"]["status"] == expected
    assert by_name["NumPy integer reference"]["status"] == "PASS"
    # Nothing that passes needs doing; all that does not says what to do.
    assert all(bool(c["todo"]) == (c["status"] != "PASS") for c in found["checks"])


def test_every_backend_is_among_the_simulators():
    found = set()
    for arguments in SIMULATORS.values():
        flag, backend, *runtime = arguments.split()
        assert flag == "--backend" and runtime[:1] in ([], ["--runtime"])
        found.add(find_backend(backend, *runtime[1:]).name)
    assert found == set(BACKENDS)


def test_a_film_that_cannot_be_read_is_repeated_with_another(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(doctor, "call", lambda name, *_: Check(name, "FAIL", "exit 2", "bar.mp4"))
    assert "events.convert CLIP.mp4" in check_video(tmp_path).todo


def test_a_cache_that_cannot_be_written_or_is_full(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("MDFT_CACHE", str(tmp_path / "cache"))
    usage = namedtuple("usage", "total used free")
    for free, status in ((2**30 - 1, "FAIL"), (2**30, "PASS")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage(2**40, 0, free))
        assert check_cache().status == status
    (tmp_path / "file").touch()
    monkeypatch.setenv("MDFT_CACHE", str(tmp_path / "file" / "cache"))
    check = check_cache()
    assert check.status == "FAIL" and str(tmp_path / "file") in check.found
    assert "MDFT_CACHE" in check.todo


@pytest.mark.parametrize(
    ("python", "said"),
    [((3, 12, 1), "lava-nc, archived, ends at Python 3.10"), ((3, 10, 1), "is not installed")],
)
def test_lava_that_is_not_there(monkeypatch, python, said):
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "version_info", python)
    monkeypatch.setattr(doctor, "call", lambda name, *_: Check(name, "PASS", "1.0 s"))
    found = {c.name: c for c in check_simulators(Path("a.nir"), Path("p.npz"))}
    assert list(found) == list(SIMULATORS)
    for name, check in found.items():
        lava = "NumPy" not in name
        assert check.status == ("SKIP" if lava else "PASS")
        assert not lava or (said in check.found and "uv sync --python 3.10" in check.todo)


@pytest.mark.subprocess
def test_a_child_that_fails_is_quoted_with_the_command_to_repeat():
    check = call("x", "hardware.run", "no/motion_audio.nir", "/tmp/p.npz", "--backend", "nosuch")
    assert check.status == "FAIL" and "exit 2: error: backend is 'nosuch'" in check.found
    assert check.todo.startswith(
        "repeat it: python -m hardware.run no/motion_audio.nir doctor/p.npz --backend nosuch"
    )


@pytest.mark.subprocess
def test_a_child_that_hangs_is_left(monkeypatch):
    monkeypatch.setattr(doctor, "_LIMIT_S", 0.01)
    assert call("x", "http.server", "0").found == "no answer in 0 s"


def test_without_the_nir_file_the_simulators_are_skipped(monkeypatch, tmp_path: Path):
    def failing(name: str, module: str, *_: str) -> Check:
        return Check(name, "FAIL" if module == "export.check" else "PASS", "")

    monkeypatch.setattr(doctor, "call", failing)
    found = list(checks(tmp_path))
    assert [c.name for c in found[-len(SIMULATORS) :]] == list(SIMULATORS)
    assert {c.status for c in found[-len(SIMULATORS) :]} == {"SKIP"}


def test_one_failure_is_the_exit_status_and_a_red_line(monkeypatch, capsys):
    def broken() -> Check:
        raise RuntimeError("no such [bold]symbol")

    monkeypatch.setattr(doctor, "checks", lambda _: iter([guarded("thing", broken)]))
    assert main([]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "FAIL │ thing" in out and "no such [bold]symbol" in out
    monkeypatch.setattr(doctor, "checks", lambda _: iter([Check("thing", "SKIP", "", "buy it")]))
    assert main([]) == 0

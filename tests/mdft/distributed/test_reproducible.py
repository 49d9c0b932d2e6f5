"""``--compute.reproducible``: the same bytes whatever the environment of the command says."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mdft import machine
from mdft.config import ComputeConfig
from mdft.config.recipes import RECIPES, debug, folder
from mdft.data.cache import cache_folder
from mdft.data.dataset import ClipSet
from mdft.distributed import reproducible
from mdft.errors import UserError
from mdft.runs.folder import write_config
from mdft.training.run import check_same
from mdft.training.trainer import Trainer
from tests.mdft.small import D, small_config

ROOT = Path(__file__).resolve().parents[3]
#: The model and the losses of ``make demo``, on the clips of ``debug``.
SMALL = shlex.split(
    "debug --epochs 1 --model.dim 128 --model.heads 2 --model.space words "
    "--model.motion.value both --loss.softmax 1"
)
#: Each of them changes the weights of a run without the flag.
OTHERS = (
    {"OMP_NUM_THREADS": "1"},
    {"OMP_NUM_THREADS": "2", "ATEN_CPU_CAPABILITY": "default", "NUMBA_CPU_NAME": "generic"},
    {"OMP_NUM_THREADS": "2", "MKL_CBWR": "AVX2", "MKL_NUM_THREADS": "2"},
)


def trained(out: Path, environment: dict[str, str], *flags: str) -> tuple[str, str]:
    """SHA-256 of the weights and of the drawn clips; nothing is taken from an earlier cache."""
    cache = out / "cache"
    command = [sys.executable, "-m", "mdft.train", *SMALL, "--out", str(out / "run"), *flags]
    given = {**os.environ, "MDFT_CACHE": str(cache), **environment}
    subprocess.run(command, cwd=ROOT, env=given, check=True, capture_output=True, text=True)
    (clips,) = cache.rglob("rendered-*.safetensors")
    weights = out / "run" / "model.safetensors"
    found = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (weights, clips))
    return next(found), next(found)


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.rounding
@pytest.mark.skipif(not reproducible.possible(), reason="no x86-64 Linux with AVX2 and FMA")
def test_the_bytes_do_not_depend_on_the_environment(tmp_path: Path):
    found = [
        trained(tmp_path / str(i), environment, "--compute.reproducible")
        for i, environment in enumerate(OTHERS)
    ]
    assert found[1:] == found[:1] * (len(OTHERS) - 1)


class Roots(TorchDispatchMode):
    """Names of the operations that take MKL's square root, in float32."""

    def __init__(self):
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        square_root = name == "pow" and args[1] == 0.5
        float32 = any(isinstance(x, torch.Tensor) and x.dtype == torch.float32 for x in args)
        named = name in ("_cdist_forward", "_euclidean_dist", "sqrt", "sqrt_", "_foreach_sqrt_")
        if float32 and (named or square_root):
            self.found.add(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("root", [torch.sqrt, lambda x: x**0.5, lambda x: torch.cdist(x, x)])
def test_a_square_root_of_mkl_is_found(root):
    with Roots() as roots:
        root(torch.ones(30, 3))
    assert roots.found


@pytest.mark.parametrize("recipe", ["embedded", "folder", "ucf", "ucf-clipclap"])
def test_training_takes_no_square_root_of_mkl(recipe, clips: ClipSet, tmp_path: Path):
    """Intel's and AMD's differ in the last bit, also with ``MKL_CBWR=COMPATIBLE``."""
    config = RECIPES[recipe]()
    widths = {"dim": D, "audio_features": D, "visual_features": D, "words": 300, "heads": 4}
    config = small_config(model=replace(config.model, **widths), loss=config.loss)
    with Roots() as roots:
        Trainer(config, clips, tmp_path, lambda record: None).run()
    assert not roots.found


@pytest.mark.skipif(not reproducible.possible(), reason="no x86-64 Linux with AVX2 and FMA")
def test_a_process_started_otherwise_is_refused_by_the_names_to_set(monkeypatch):
    for name, value in reproducible.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)  # too late: the libraries are loaded
    monkeypatch.setattr(reproducible, "_given", lambda: {"GLIBC_TUNABLES": "x"})
    with pytest.raises(UserError, match=r"GLIBC_TUNABLES unset, MKL_CBWR=COMPATIBLE, NPY"):
        reproducible.begin()
    assert not reproducible.active()
    assert "reproducible" not in cache_folder().name


@pytest.mark.subprocess
def test_the_environment_is_that_of_the_processs_start():
    code = (
        "import os; from mdft.distributed import reproducible as r;"
        "os.environ.update(r.ENVIRONMENT); print(*r.differing(), sep='|')"
    )
    told = {**os.environ, **reproducible.ENVIRONMENT, "MKL_CBWR": "AVX2"}
    told = {name: value for name, value in told.items() if name not in reproducible._ABSENT}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=told, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "MKL_CBWR=COMPATIBLE"


@pytest.mark.parametrize("missing", ["avx2", "fma"])
def test_a_processor_without_it_is_told(missing: str, monkeypatch):
    has = {"avx2": True, "fma": True, missing: False}
    monkeypatch.setattr(reproducible, "features", lambda: has)
    monkeypatch.setattr(reproducible.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(reproducible.platform, "system", lambda: "Linux")
    with pytest.raises(UserError, match=f"this processor has no {missing.upper()}; leave it out"):
        reproducible.check_machine()
    assert not reproducible.possible()


def test_another_machine_is_told(monkeypatch):
    monkeypatch.setattr(reproducible.platform, "machine", lambda: "aarch64")
    with pytest.raises(UserError, match="aarch64: expected Linux on x86-64"):
        reproducible.check_machine()


@pytest.mark.parametrize(
    ("device", "system", "compiled"),
    [("cuda", "mdft", "no"), ("cpu", "avca", "no"), ("cpu", "mdft", "default")],
)
def test_it_is_for_our_model_on_the_cpu(device: str, system, compiled):
    compute = ComputeConfig(reproducible=True)
    compute.check("cpu", "mdft")
    with pytest.raises(UserError):
        replace(compute, compile=compiled).check(device, system)


def test_it_is_not_for_clips_that_a_decoder_reads(tmp_path: Path):
    config = folder()
    config = replace(config, data=replace(config.data, root=tmp_path))
    config.check()
    with pytest.raises(UserError, match=r"compute\.reproducible is"):
        replace(config, compute=ComputeConfig(reproducible=True)).check()


def test_a_run_is_not_resumed_the_other_way(tmp_path: Path):
    write_config(tmp_path, debug())
    check_same(tmp_path, replace(debug(), compute=ComputeConfig(feed="stream")))
    with pytest.raises(UserError, match="another compute"):
        check_same(tmp_path, replace(debug(), compute=ComputeConfig(reproducible=True)))


@pytest.mark.parametrize("name", ["default", "avx2", "avx512", None])
def test_instruction_sets_that_the_processor_has_are_let_through(name: str | None, monkeypatch):
    has = {need: True for needs in machine._NEEDS.values() for need in needs}
    monkeypatch.setattr(machine, "features", lambda: has)
    machine.check_capability({} if name is None else {"ATEN_CPU_CAPABILITY": name})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("avx3", r"'avx3', expected one of default, avx2, avx512; did you mean 'avx2'\?"),
        ("avx2", "this processor has no FMA: unset it"),
        ("avx512", "no AVX512F, no AVX512BW, no AVX512DQ, no AVX512VL: unset it"),
    ],
)
def test_instruction_sets_that_it_lacks_are_refused(name: str, said: str, monkeypatch):
    monkeypatch.setattr(machine, "features", lambda: {"avx2": True, "fma": False})
    with pytest.raises(ValueError, match=said):
        machine.check_capability({"ATEN_CPU_CAPABILITY": name})


@pytest.mark.subprocess
def test_a_command_and_the_tests_end_in_one_line_on_an_unknown_instruction_set(tmp_path: Path):
    told = {**os.environ, "ATEN_CPU_CAPABILITY": "sse9"}
    for words in (["mdft.train", "debug", "--out", str(tmp_path / "run")], ["pytest", __file__]):
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, env=told, capture_output=True, text=True
        )
        lines = (done.stderr).strip().splitlines()
        assert len(lines) == 1 and "ATEN_CPU_CAPABILITY is 'sse9'" in lines[0], done
        assert done.returncode != 0
    assert not (tmp_path / "run").exists()


@pytest.mark.subprocess
def test_without_a_folder_for_compiled_code_loops_are_compiled_and_said_to_be():
    code = (
        "import numpy as np; from mdft.lif.sparse_kernels import transpose;"
        "out = np.zeros(256);"
        "transpose(np.arange(256.0), out, 16); assert (out.reshape(16, 16).T.ravel() =="
        "np.arange(256)).all(); print(transpose._cache.__class__.__name__)"
    )
    nowhere = {
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",  # of numba's places this one
        "NUMBA_CACHE_DIR": "/proc/nowhere",  # where root cannot write either
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={**os.environ, **nowhere}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "NullCache"
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("note: ") and "set NUMBA_CACHE_DIR" in line

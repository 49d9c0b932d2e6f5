"""Triton's kernels: in its interpreter, compiled without a GPU, and on one where there is one."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mdft.lif import cuda as lif_cuda
from mdft.lif import fused as lif_fused
from mdft.lif.layer import lif_sequence
from mdft.lif.neuron import AtanSpike, LIFParams, lif_loop
from tests.mdft.lif_inputs import PARAMS, inputs

ROOT = Path(__file__).resolve().parents[3]
#: Not a multiple of anything: in binary it has no end.
BETA, UNIT = 0.7, 2.0**-13


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_kernels_in_tritons_interpreter():
    """The tests of the fused LIF once more, in a child: Triton reads the variable on import."""
    pytest.importorskip("triton", reason="triton is absent: there is none for this platform")
    files = [f"tests/mdft/lif/test_lif_{name}.py" for name in ("fused", "integers")]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, "-p", "tests.mdft.interpreted", *files, "-k", "not cuda"],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=900,  # half a minute, on a core of its own
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert "kernels: InterpretedFunction" in result.stdout
    passed = re.search(r"(\d+) passed", result.stdout)
    assert passed and int(passed[1]) > 15 and "skipped" not in result.stdout


def compiled(name: str, dtype: str, unit: float | None, shared: bool, **options: Any) -> Any:
    """A kernel for an H100, by the compiler and assembler that Triton brings along."""
    triton = pytest.importorskip("triton", reason="triton is absent: none for this platform")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from mdft.lif import triton_kernels as lif_triton

    kernel = getattr(lif_triton, name)
    numbers: dict[str, Any] = {"beta": BETA, "theta": 1.0, "SHARED": shared, "BLOCK": 128}
    if name == "forward":
        numbers |= {"unit": unit, "limit": None if unit is None else 2.0**23 * unit}
        numbers |= {"outside": None} if unit is None else {}
    else:
        numbers |= {"height": 1.0, "width": torch.pi} | ({} if shared else {"grad_threshold": None})
    kinds = {"S": "i32", "N": "i32", "outside": "*i32"} | dict.fromkeys(numbers, "constexpr")
    signature = {x: kinds.get(x, f"*{dtype}") for x in kernel.arg_names}
    source = ASTSource(kernel, signature, numbers)
    target = GPUTarget("cuda", 90, 32)
    return triton.compile(source, target=target, options={**lif_cuda.LAUNCH, **options}).asm


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("dtype", ["fp32", "fp64"])
@pytest.mark.parametrize(
    ("name", "unit"), [("forward", None), ("forward", UNIT), ("backward", None)]
)
def test_what_is_compiled_rounds_as_the_loop_does(
    name: str, unit: float | None, dtype: str, shared: bool, tmp_path: Path, monkeypatch
):
    """No fused multiply-add, no denormal flushed, β in full: PTX names each rounding."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    asm = compiled(name, dtype, unit, shared)
    assert asm["cubin"]
    assert not re.search(r"\bfma\.|\bmad\.rn|\.ftz", asm["ptx"])
    assert re.search(r"\badd\.rn\.f", asm["ptx"])
    leak = struct.pack(">f", BETA) if dtype == "fp32" and not unit else None
    leak = leak or struct.pack(">d", BETA / (unit or 1))  # Loihi's leak is computed in float64
    assert re.search(rf"\bmul\.rn\.f\d\d .*, 0[fd]{leak.hex().upper()};", asm["ptx"])


@pytest.mark.parametrize("dtype", ["fp32", "fp64"])
def test_without_the_option_it_would_not(dtype: str, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    asm = compiled("forward", dtype, None, True, enable_fp_fusion=True)
    assert re.search(r"\bfma\.rn", asm["ptx"])


def test_without_triton_the_loop_runs_and_one_warning_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lif_cuda, "find_spec", lambda name: None)
    monkeypatch.setitem(lif_fused.KERNELS, "cpu", lif_cuda)
    lif_cuda.available.cache_clear()
    current = torch.randn(2, 5, 7)
    try:
        with pytest.warns(UserWarning, match="install the package triton") as caught:
            found = lif_sequence(current, PARAMS, AtanSpike())
        lif_sequence(current, PARAMS, AtanSpike())  # a second warning would be an error
    finally:
        lif_cuda.available.cache_clear()
    assert caught[0].filename == __file__
    for a, e in zip(found, lif_loop(current, PARAMS, AtanSpike()), strict=True):
        assert torch.equal(a, e)


@pytest.mark.subprocess
def test_the_cpu_needs_no_triton():
    code = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch; from mdft import MotionBranch\n"
        "x = torch.ones(1, 3, 4, requires_grad=True)\n"
        "MotionBranch(4, 2)(x).sum().backward()\n"
        "assert 'mdft.lif.cuda' in sys.modules and 'mdft.lif.triton_kernels' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=600)


@pytest.mark.gpu
@pytest.mark.parametrize("per_neuron", [False, True])
def test_a_cuda_graph_captures_both_directions(per_neuron: bool):
    with torch.device("cuda"):
        given_ = inputs((4, 9, 200), per_neuron=per_neuron, dtype=torch.float32)
        probe = torch.randn(4, 9, 200)

    def run() -> list[torch.Tensor]:
        current, b, bias = given_
        spikes, membranes = lif_sequence(
            current, LIFParams(BETA, 1.0), AtanSpike(), threshold_current=b, bias=bias
        )
        return [spikes, membranes, *torch.autograd.grad((spikes * probe).sum(), given_)]

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = run()
    with torch.no_grad():
        for x in given_:
            x.copy_(0.5 + torch.randn_like(x))
    graph.replay()
    for a, e in zip(found, run(), strict=True):
        assert torch.equal(a, e)


@pytest.mark.gpu
def test_the_arithmetic_of_floats_never_waits_for_the_device():
    with torch.device("cuda"):
        given_ = current, b, bias = inputs((4, 9, 200), dtype=torch.float32)
    lif_sequence(current, PARAMS, AtanSpike(), threshold_current=b, bias=bias)[0].sum().backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        spikes, _ = lif_sequence(current, PARAMS, AtanSpike(), threshold_current=b, bias=bias)
        torch.autograd.grad(spikes.sum(), given_)
        with pytest.raises(RuntimeError, match="synchroniz"):  # the range check does
            lif_sequence(current, PARAMS._replace(state_unit=UNIT), AtanSpike())
    finally:
        torch.cuda.set_sync_debug_mode("default")

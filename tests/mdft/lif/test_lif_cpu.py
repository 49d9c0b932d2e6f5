"""The fused LIF on the CPU: threads, forks and what numba compiles."""

import multiprocessing

import pytest
import torch

from mdft.lif import cpu_kernels as lif_numba
from mdft.lif import threads as loops
from mdft.lif.layer import lif_sequence
from mdft.lif.neuron import AtanSpike
from tests.mdft.lif_inputs import PARAMS, inputs, weighted_sum
from tests.mdft.threads import threads

_OPTIONS = {"nopython": True, "nogil": True, "error_model": "numpy"}


def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loops, "GRAIN", 1)
    given_ = inputs((5, 9, 16), dtype=torch.float32)
    results = []
    for number in (1, 2, 3, 8):
        with threads(number):
            current, b, bias = given_
            spikes, membranes = lif_sequence(
                current, PARAMS, AtanSpike(), threshold_current=b, bias=bias
            )
            results.append((spikes, membranes, *torch.autograd.grad(weighted_sum(spikes), given_)))
    for result in results[1:]:
        assert all(torch.equal(a, e) for a, e in zip(result, results[0], strict=True))


def _mean_in_child(queue: multiprocessing.Queue) -> None:
    torch.set_num_threads(2)
    queue.put(lif_sequence(torch.ones(4, 3, 2), PARAMS, AtanSpike())[0].mean().item())


@pytest.mark.subprocess
def test_a_forked_child_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loops, "GRAIN", 1)
    loops.over_samples(lambda *block: None, 4, 4)  # the parent has threads
    with threads(2):
        expected = lif_sequence(torch.ones(4, 3, 2), PARAMS, AtanSpike())[0].mean().item()
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=_mean_in_child, args=(queue,))
        child.start()
        found = queue.get(timeout=60)
        child.join(60)
    assert found == expected
    assert child.exitcode == 0


def test_no_multiplication_is_contracted_into_an_addition():
    lif_sequence(torch.ones(1, 2, 32), PARAMS, AtanSpike())
    fresh = lif_numba.forward.__class__(lif_numba.forward.py_func, targetoptions=_OPTIONS)
    fresh.compile(lif_numba.forward.signatures[0])
    (assembly,) = fresh.inspect_asm().values()
    assert "mul" in assembly
    assert "fmadd" not in assembly and "fmla" not in assembly

"""Graphs that were made for another step than --dt: the message has the cause and the remedy."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

from hardware.fixed_point.quantise import quantise
from hardware.graph.graph import lower
from hardware.run import main
from mdft.errors import UserError
from tests.hardware.nets import lif

ONE = np.ones(4)
NOTE = "r = 1, so a step adds dt·r·I = 0.0001·I; if it should add I, "


def behind_a_linear(*neurons: nir.NIRNode) -> nir.NIRGraph:
    weight = np.random.default_rng(0).normal(0.2, 0.5, (4, 12)).astype(np.float32)
    return nir.NIRGraph.from_list(nir.Linear(weight), *neurons)


@pytest.mark.parametrize("backend", ["reference_int", "reference_float"])
def test_an_if_of_r_1_names_dt_1(tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str):
    """What NIR's own CNN and Sinabs write: with dt = 1e-4 the neurons would not spike for hours."""
    graph, probe = str(tmp_path / "g.nir"), str(tmp_path / "p.npz")
    nir.write(graph, behind_a_linear(nir.IF(ONE, ONE)))
    np.savez(probe, **{"p.in.input": np.ones((1, 20, 12))})  # type: ignore[arg-type]
    words = [graph, probe, "--backend", backend]
    status = main(words)
    text = " ".join(capsys.readouterr())
    if backend == "reference_float":
        assert status == 0 and f"note: if: {NOTE}give --dt 1\n" in text
    else:
        assert status == 2 and text.count("\n") == 1
        assert "(17 bits); with dt = 0.0001 s its input is multiplied by dt·r = 0.0001: " in text
        assert text.endswith("if r is per step, give --dt 1\n")
    assert main([*words, "--dt", "1"]) == 0
    text = capsys.readouterr().out
    assert "--dt" not in text and "  0.0% " not in text  # it spikes


def test_the_note_names_the_nodes_that_it_means():
    graph = behind_a_linear(nir.IF(ONE, ONE), nir.IF(1e4 * ONE, ONE), nir.I(ONE))
    assert lower(graph).notes == (f"if, i: {NOTE}give --dt 1",)
    assert lower(graph, dt=1).notes == ()
    assert lower(behind_a_linear(nir.IF(1e4 * ONE, ONE))).notes == ()
    assert lower(behind_a_linear(lif(4))).notes == ()
    many = behind_a_linear(*(nir.IF(ONE, ONE) for _ in range(6)))
    assert lower(many).notes[0].startswith("if, if_1, if_2, if_3 …: r = 1")


def test_dt_1_is_no_remedy_beside_time_constants():
    graph = behind_a_linear(lif(4), nir.IF(ONE, ONE))
    assert lower(graph).notes == (f"if: {NOTE}write r = 10000",)


def test_a_lif_in_steps_names_dt():
    """τ = 10 steps, read as 10 s."""
    graph = behind_a_linear(nir.LIF(10 * ONE, ONE, 0 * ONE, ONE))
    with pytest.raises(UserError) as caught:
        quantise(lower(graph), {"input": 1.0})
    assert str(caught.value).endswith(
        "(17 bits); with dt = 0.0001 s its input is multiplied by dt/tau·r = 1e-05: "
        "if this is not its step, give it by --dt"
    )
    assert quantise(lower(graph, dt=1), {"input": 1.0}).populations[0].vth > 0


def test_a_threshold_that_another_step_does_not_bring_nearer_is_refused_as_before():
    high = behind_a_linear(lif(4, theta=1e9))
    low = behind_a_linear(nir.IF(1e4 * ONE, 1e-9 * ONE))
    for graph in (high, low):
        with pytest.raises(UserError, match=r"\(17 bits\)$"):
            quantise(lower(graph), {"input": 1.0})

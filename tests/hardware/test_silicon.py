"""The recorded chip: the integer formula, reference_int, and the recordings where they are."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower
from hardware.silicon import (
    ChipConstants,
    SiliconConfig,
    Trace,
    as_trace,
    chip_network,
    difference,
    formula,
    investigate,
    read_trace,
    shifted,
)
from mdft.errors import UserError
from tests.commands import run
from tests.nir_here import _nir_files_are_parsed_here  # noqa: F401 (a fixture)

DT = 1e-4


def neuron() -> nir.NIRGraph:
    """A LIF as the recorded one: τ = 25 dt, r = 1, threshold 1/10."""
    tau, r, v_leak, v_threshold = (np.array([v]) for v in (25 * DT, 1.0, 0.0, 0.1))
    lif = nir.LIF(tau, r, v_leak, v_threshold, np.zeros(1))
    return nir.NIRGraph.from_list(nir.Linear(np.ones((1, 1))), lif)


def spikes(steps: int = 600, rate: float = 0.1) -> np.ndarray:
    return (np.random.default_rng(3).random(steps) < rate).astype(float)


def test_the_formula_by_hand():
    found = formula(np.array([1, 0, 1, 1, 0, 1.0]), ChipConstants())
    # 640; 640·3933 >> 12 = 614; 614·3933 >> 12 = 589, + 640 = 1229; 1180 + 640 = 1820 > 1600.
    assert found.v.tolist() == [640, 614, 1229, 0, 0, 640]
    assert found.z.tolist() == [0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("constants", [ChipConstants(), ChipConstants(400, 1280, 3200)])
def test_reference_int_is_the_formula(constants: ChipConstants):
    x = spikes()
    network = chip_network(lower(neuron(), DT), constants)
    recording = reference_int(network, {"input": x[None, :, None]})
    found = difference(formula(x, constants), as_trace("ours", x, recording), True)
    assert (found.late, found.spikes, found.membranes, found.first) == (0, 0, 0, None)
    assert sum(int(z.sum()) for z in recording.spikes.values()) > 5


def test_a_recording_that_is_late_and_differs():
    x = spikes()
    ours = formula(x, ChipConstants())
    v, z = shifted(ours.v, 1).astype(float), shifted(ours.z, 1)
    v[z > 0] = 128  # as the chip's
    found = difference(Trace("chip", x, v, z), ours, True)
    assert (found.late, found.spikes) == (1, 0) and found.equal
    assert found.membranes == found.at_spikes == z.sum() > 5
    assert found.first == int(np.argmax(z)) and found.values == (128, 0)
    v[100] += 1
    assert not difference(Trace("chip", x, v, z), ours, True).equal
    z[200] ^= 1
    assert difference(Trace("chip", x, v, z), ours, True).spikes == 1


def written(folder: Path, trace: Trace, late: int = 0) -> Path:
    path = folder / f"{trace.name}.csv"
    v, z = (np.concatenate([np.zeros(late), a])[: len(trace.x)] for a in (trace.v, trace.z))
    np.savetxt(path, np.stack([trace.x, v, z], 1), delimiter=",")
    return path


def test_the_command(tmp_path: Path):
    nir.write(tmp_path / "neuron.nir", neuron())
    chip = written(tmp_path, formula(spikes(), ChipConstants()), 1)
    status, out, err = run("hardware.silicon", "neuron.nir", chip.name, folder=tmp_path)
    assert status == 0, err
    assert "0 of 600" in out and "reference_float" in out and "one neuron" in " ".join(out.split())
    wrong = (*(chip.name, "--constants.weight", "704"),)
    assert run("hardware.silicon", "neuron.nir", *wrong, folder=tmp_path)[0] == 1


@pytest.mark.parametrize("text", ["", "1,2\n", "1,2,x\n", "2,0,0\n", "1,nan,0\n"])
def test_a_file_that_is_no_recording(tmp_path: Path, text: str):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match="expected"):
        read_trace(tmp_path / "a.csv")


def test_a_graph_that_the_formula_does_not_compute(tmp_path: Path):
    chip = written(tmp_path, formula(spikes(), ChipConstants()))
    one, none = np.ones(1), np.zeros(1)
    cuba = nir.CubaLIF(DT * 9 * one, DT * 25 * one, one, none, 0.1 * one, w_in=one)
    lif = nir.LIF(DT * 25 * one, one, none, 0.1 * one, none - 1)
    recurrent = {
        "i": nir.Input({"input": np.array([1])}),
        "w": nir.Linear(one[None]),
        "n": nir.LIF(DT * 25 * one, one, none, 0.1 * one, none),
        "o": nir.Output({"output": np.array([1])}),
    }
    loop = nir.NIRGraph(recurrent, [("i", "w"), ("w", "n"), ("n", "n"), ("n", "o")])
    for graph, word in (
        (nir.NIRGraph.from_list(nir.Linear(one[None]), cuba), "a synaptic current"),
        (nir.NIRGraph.from_list(nir.Linear(one[None]), lif), "v_reset"),
        (nir.NIRGraph.from_list(nir.Affine(one[None], one), recurrent["n"]), "a bias"),
        (loop, "connections other than one"),
    ):
        nir.write(tmp_path / "g.nir", graph)
        with pytest.raises(UserError, match=f"has {word}.*expected a LIF"):
            investigate(SiliconConfig(tmp_path / "g.nir", chip, ()))


def test_recordings_of_different_inputs_are_refused(tmp_path: Path):
    nir.write(tmp_path / "neuron.nir", neuron())
    a = written(tmp_path, formula(spikes(), ChipConstants()))
    other = formula(1 - spikes(), ChipConstants())
    b = written(tmp_path, Trace("b", other.x, other.v, other.z))
    with pytest.raises(UserError, match="its input differs"):
        investigate(SiliconConfig(tmp_path / "neuron.nir", a, (b,)))


def test_the_recording_of_a_loihi_2(shared_data: Path):
    """0 of 1,000 spikes differ; 4 membranes do, each at a spike: 128 on the chip, 0 in Lava."""
    folder = shared_data / "nir_paper"
    if not folder.is_dir():
        pytest.skip(f"real data absent: no folder {folder}")
    names = ("spinnaker2", "norse", "snntorch", "exact", "lava_cpu_float", "lava_cpu_fixed")
    others = tuple(folder / f"lif_{name}.csv" for name in names)
    chip = folder / "lif_lava_loihi_fixed.csv"
    found = investigate(SiliconConfig(folder / "lif_norse.nir", chip, others))
    assert not found.failed and len(found.chip) + len(found.skipped) >= 3
    for d in found.chip:
        assert (d.late, d.spikes, d.membranes, d.at_spikes, d.first) == (1, 0, 4, 4, 461)
        assert d.values == (128, 0)
    float_rows = [d for d in found.others if d.simulation == "reference_float"]
    assert len(float_rows) == 7 and not any(d.spikes for d in float_rows)
    lava = difference(read_trace(chip), read_trace(others[-1]), True)
    assert (lava.late, lava.spikes, lava.membranes, lava.at_spikes) == (0, 0, 4, 4)

"""MotionBranch → .nir → independent readers: not one spike, not one bit differs."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export import graph as graph_module
from export.graph import check_equal, input_grids, to_graph, write_graph
from export.parity import FUSED, LeakyNode, fuse_inputs, run_graph
from hardware.graph.graph import lower, read_network
from hardware.reference_float import reference_float
from mdft.errors import UserError
from mdft.model.motion import MotionBranch
from tests.export.branches import firing_branch, random_drive

pytestmark = pytest.mark.rounding


def numpy_inputs(x: torch.Tensor, current: torch.Tensor) -> dict[str, np.ndarray]:
    return {"events": x.numpy(), "threshold_current": current.numpy()}


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    features=st.integers(1, 60),
    neurons=st.integers(1, 60),
    layers=st.integers(1, 4),
    steps=st.integers(1, 8),
    beta=st.sampled_from([0.0, 0.5, 0.75, 0.875]),
)
def test_numpy_gives_the_spikes_of_pytorch(
    seed: int, features: int, neurons: int, layers: int, steps: int, beta: float
):
    branch = firing_branch(seed, features, neurons, layers, beta)
    x, current = random_drive(branch, seed, 2, steps)
    network = lower(to_graph(branch))
    expected = branch.trace(x, threshold_current=current)
    single = reference_float(network, numpy_inputs(x, current), np.float32)
    double = reference_float(network, numpy_inputs(x, current), np.float64)
    for i, (spikes, membrane) in enumerate(expected, start=1):
        name = f"lif_{i}"
        np.testing.assert_array_equal(single.spikes[name], spikes.detach().numpy())
        np.testing.assert_array_equal(single.membranes[name], membrane.detach().numpy())
        if beta in (0.0, 0.5):  # at most ten halvings of 14 bits: float32 is exact
            np.testing.assert_array_equal(double.spikes[name], single.spikes[name])
            np.testing.assert_array_equal(double.membranes[name], single.membranes[name])


def test_the_random_branches_do_fire():
    branch = firing_branch(0)
    x, current = random_drive(branch, 0, 8, 20)
    rates = [s.mean().item() for s, _ in branch.trace(x, threshold_current=current)]
    # 0.079 and more here; from 0.042 to 0.204 for seeds 0 to 199.
    assert all(0.02 < rate < 0.4 for rate in rates), rates


def test_every_parameter_survives_the_file(tmp_path: Path):
    branch = firing_branch(1)
    path = tmp_path / "motion_audio.nir"
    write_graph(to_graph(branch), path)
    nodes = nir.read(path).to_dict()["nodes"]
    parameters = [(w.detach().numpy(), b.detach().numpy()) for w, b in branch.grid_parameters()]
    for i, (weight, bias) in enumerate(parameters, start=1):
        np.testing.assert_array_equal(nodes[f"affine_{i}"]["weight"], weight)
        np.testing.assert_array_equal(nodes[f"affine_{i}"]["bias"], bias)
        k = weight / 2.0**-6
        assert (k == np.round(k)).all() and np.abs(k).max() <= 127
        lif = nodes[f"lif_{i}"]
        assert {lif[k].dtype for k in ("tau", "r", "v_threshold")} == {np.dtype(np.float32)}
        assert lif["v_threshold"][0] == np.float32(branch.v_threshold) > 1
    network = read_network(path)
    assert network.inputs == {"events": 40, "threshold_current": 1}
    assert network.outputs == {"spikes": "lif_3"}
    assert all((p.decay == 0.5).all() and (p.gain == 1).all() for p in network.populations)


def test_a_changed_bit_is_noticed(tmp_path: Path):
    graph, other = to_graph(firing_branch(2)), to_graph(firing_branch(2))
    check_equal(graph, other, tmp_path)
    node = other.nodes["affine_2"]
    assert isinstance(node, nir.Affine)
    weight = node.weight
    weight[3, 5] = np.nextafter(weight[3, 5], np.float32(9))
    with pytest.raises(UserError, match=r"affine_2\.weight changed"):
        check_equal(graph, other, tmp_path)


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "g.nir"
    path.write_bytes(b"old")

    def broken(target: Path, graph: nir.NIRGraph) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(graph_module.nir, "write", broken)
    with pytest.raises(OSError, match="disk full"):
        write_graph(to_graph(firing_branch(3)), path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["g.nir"]


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.75])
def test_level_0_nirtorch_and_snntorch_give_the_same(tmp_path: Path, beta: float):
    branch = firing_branch(4, beta=beta)
    x, current = random_drive(branch, 4, 5, 15)
    write_graph(to_graph(branch), tmp_path / "g.nir")
    found = run_graph(nir.read(tmp_path / "g.nir"), {"events": x, "threshold_current": current})
    assert set(found) == {"lif_1", "lif_2", "lif_3", "spikes"}
    for i, (spikes, _) in enumerate(branch.trace(x, threshold_current=current), start=1):
        assert spikes.any()
        assert torch.equal(found[f"lif_{i}"], spikes)
    assert torch.equal(found["spikes"], branch(x, threshold_current=current))
    again = run_graph(
        nir.read(tmp_path / "g.nir"), {"events": x[2:], "threshold_current": current[2:]}
    )
    assert torch.equal(again["spikes"], found["spikes"][2:])  # no state from sample to sample


def test_what_nirtorch_would_hang_on_or_accept_is_refused_before_it():
    drive = {"events": torch.zeros(1, 1, 7), "threshold_current": torch.zeros(1, 1, 1)}
    two = to_graph(firing_branch(5, features=7))
    two.nodes["more"] = nir.Output({"output": np.array([48])})
    two.edges.append(("lif_3", "more"))
    with pytest.raises(UserError, match="has 2 Outputs"):
        run_graph(two, drive)
    nan = to_graph(firing_branch(5, features=7))
    nan.nodes["affine_1"].weight[0, 0] = np.nan  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"affine_1.weight holds NaN"):
        run_graph(nan, drive)


def test_fused_inputs_select_their_channels():
    fused, names = fuse_inputs(to_graph(firing_branch(5, features=7)))
    assert names == ["events", "threshold_current"]
    x = np.arange(8, dtype=np.float32)
    select = {name: node.to_dict()["weight"] for name, node in fused.nodes.items() if name in names}
    np.testing.assert_array_equal(select["events"] @ x, x[:7])
    np.testing.assert_array_equal(select["threshold_current"] @ x, x[7:])
    assert list(fused.inputs) == [FUSED]


@pytest.mark.parametrize("field", ["v_leak", "v_reset"])
def test_neurons_that_leaky_cannot_express_are_refused(field: str):
    node = to_graph(firing_branch(6)).nodes["lif_1"]
    assert isinstance(node, nir.LIF)
    setattr(node, field, np.full(48, 0.5, np.float32))
    with pytest.raises(UserError, match="Leaky"):
        LeakyNode(node)


def test_grids_of_the_inputs():
    assert input_grids(MotionBranch(2, 2)) == {"events": 2.0**-4, "threshold_current": 2.0**-7}
    assert input_grids(MotionBranch(2, 2, beta=0.75))["threshold_current"] == 2.0**-8
    assert input_grids(MotionBranch(2, 2, beta=29 / 32))["threshold_current"] == 2.0**-11

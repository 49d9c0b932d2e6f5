"""Convolutions and pools as sparse matrices: PyTorch's numbers, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower, read_network
from hardware.reference_float import reference_float
from tests.hardware.graph.test_graph import refuse_file


def between(shape: tuple[int, ...], *nodes: nir.NIRNode, out: tuple[int, ...]) -> nir.NIRGraph:
    """Input of a shape, the nodes in a row, Output; nir's own check knows only square kernels."""
    row = [nir.Input({"input": np.array(shape)}), *nodes, nir.Output({"output": np.array(out)})]
    names = ["in", *(f"n{i}" for i in range(len(nodes))), "out"]
    edges = list(pairwise(names))
    return nir.NIRGraph(dict(zip(names, row, strict=True)), edges, type_check=False)


def output(graph: nir.NIRGraph, x: np.ndarray) -> np.ndarray:
    """The Output for inputs (B, …), one step."""
    network = lower(graph)
    found = reference_float(network, {"in": x.reshape(len(x), 1, -1)})
    return found.membranes[network.outputs["out"]][:, 0]


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[int, dict[str, Any], tuple[int, ...], np.ndarray, int]:
    axes, groups = draw(st.integers(1, 2)), draw(st.integers(1, 3))

    def several(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(least, most), min_size=axes, max_size=axes)))

    padding: Any = draw(st.sampled_from(["same", "valid", several(0, 2)]))
    stride = (1,) * axes if padding == "same" else several(1, 3)
    kernel = several(1, 3)
    options = {"stride": stride, "padding": padding, "dilation": several(1, 2), "groups": groups}
    size = several(5, 7)  # at least the span of any kernel
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    weight = rng.normal(size=(groups * draw(st.integers(1, 2)), draw(st.integers(1, 2)), *kernel))
    return axes, options, size, weight, groups


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_a_convolution_is_pytorchs(case):
    axes, options, size, weight, groups = case
    rng = np.random.default_rng(0)
    shape = (weight.shape[1] * groups, *size)
    bias, x = rng.normal(size=len(weight)), rng.normal(size=(2, *shape))
    function: Any = torch.nn.functional.conv1d if axes == 1 else torch.nn.functional.conv2d
    want = function(*(torch.from_numpy(a) for a in (x, weight, bias)), **options).numpy()
    plain = {k: v[0] if axes == 1 and isinstance(v, tuple) else v for k, v in options.items()}
    kind = nir.Conv1d if axes == 1 else nir.Conv2d
    node = kind(size[0] if axes == 1 else size, weight, bias=bias, **plain)
    found = output(between(shape, node, out=want.shape[1:]), x)
    np.testing.assert_allclose(found, want.reshape(2, -1), rtol=1e-12, atol=1e-12)


def test_a_large_kernel_over_one_pixel_takes_few_synapses():
    """It reaches the pixel once from each of 64 × 60 places: 8 · 64 · 60 values, not squares."""
    conv = nir.Conv2d(
        (1, 1), np.ones((8, 1, 64, 60), np.float32), 1, (63, 59), 1, 1, np.zeros(8, np.float32)
    )
    graph = between((1, 1, 1), conv, out=(8, 64, 60))
    (population,) = lower(graph).populations
    weight = population.synapses[0].weight
    assert weight.nnz == 8 * 64 * 60 and weight.shape == (8 * 64 * 60, 1)
    assert (output(graph, np.full((1, 1), 0.25)) == 0.25).all()


@pytest.mark.parametrize("kind", ["SumPool2d", "AvgPool2d"])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [((2, 2), (2, 2), (0, 0)), ((3, 2), (1, 2), (1, 1))]
)
def test_a_pool_is_pytorchs(kind: str, kernel, stride, padding):
    x = np.random.default_rng(1).normal(size=(2, 3, 6, 5))
    want = torch.nn.functional.avg_pool2d(torch.from_numpy(x), kernel, stride, padding).numpy()
    if kind == "SumPool2d":
        want = want * np.prod(kernel)
    node = getattr(nir, kind)(*(np.array(a) for a in (kernel, stride, padding)))
    found = output(between((3, 6, 5), node, out=want.shape[1:]), x)
    np.testing.assert_allclose(found, want.reshape(2, -1), rtol=1e-12, atol=1e-12)


def small_cnn(channels: int = 2) -> nir.NIRGraph:
    """Conv2d, IF, SumPool2d, Conv2d, IF, Flatten, Linear, IF; weights on a grid of 1/16."""
    rng = np.random.default_rng(4)

    def grid(*shape: int) -> np.ndarray:
        return (rng.integers(-12, 20, shape) / 16).astype(np.float32)

    def fires(*shape: int) -> nir.IF:
        return nir.IF(*(np.full(shape, v, np.float32) for v in (1, 1.03125)))

    return between(
        (channels, 8, 8),
        nir.Conv2d((8, 8), grid(4, channels, 3, 3), 1, 1, 1, 1, grid(4)),
        fires(4, 8, 8),
        nir.SumPool2d(*(np.array(a) for a in ((2, 2), (2, 2), (0, 0)))),
        nir.Conv2d((4, 4), grid(3, 2, 3, 3)[:2], 1, "valid", 1, 2, grid(2)),
        fires(2, 2, 2),
        nir.Flatten({"input": np.array([2, 2, 2])}, 0, -1),
        nir.Linear(grid(5, 8)),
        fires(5),
        out=(5,),
    )


def spikes_of_torch(graph: nir.NIRGraph, x: np.ndarray) -> np.ndarray:
    """The CNN step by step with PyTorch's convolutions; sums of sixteenths are exact."""
    n: Any = graph.nodes
    f = torch.nn.functional
    v: list[Any] = [0.0, 0.0, 0.0]
    found = []

    def fire(i: int, current: torch.Tensor) -> torch.Tensor:
        membrane = v[i] + current
        spike = (membrane > 1.03125).double()
        v[i] = membrane * (1 - spike)
        return spike

    def tensor(a: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(a.astype(float))

    for t in range(x.shape[1]):
        z = fire(0, f.conv2d(tensor(x[:, t]), tensor(n["n0"].weight), tensor(n["n0"].bias), 1, 1))
        z = f.avg_pool2d(z, 2) * 4
        z = fire(1, f.conv2d(z, tensor(n["n3"].weight), tensor(n["n3"].bias), groups=2))
        z = fire(2, z.flatten(1) @ tensor(n["n6"].weight).T)
        found.append(z.numpy())
    return np.stack(found, 1)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_network_of_a_file_in_floats_and_integers(tmp_path: Path, channels: int):
    """One channel too: (1, 8, 8) loses its one when the file is read."""
    graph = small_cnn(channels)
    x = (np.random.default_rng(5).random((3, 12, channels, 8, 8)) < 0.2).astype(float)
    want = spikes_of_torch(graph, x)
    assert 0.05 < want.mean() < 0.95
    nir.write(tmp_path / "g.nir", graph)
    network = read_network(tmp_path / "g.nir", dt=1.0)
    inputs = {"in": x.reshape(3, 12, -1)}
    np.testing.assert_array_equal(reference_float(network, inputs).spikes["n7"], want)
    dense = {"in": np.ones_like(inputs["in"])}  # the other product, for inputs that are all set
    np.testing.assert_array_equal(
        reference_float(network, dense).spikes["n7"],
        spikes_of_torch(graph, np.ones_like(x)),
    )
    integers = quantise(network, {"in": 1.0})
    assert integers.notes == ()
    np.testing.assert_array_equal(reference_int(integers, inputs).spikes["n7"], want)


@pytest.mark.lava
def test_lava_runs_a_small_convolution_with_the_same_spikes():
    pytest.importorskip("lava")
    from hardware.lava.run import lava_fixed, lava_float

    network = lower(small_cnn(), 1.0)
    x = (np.random.default_rng(6).random((2, 6, 128)) < 0.2).astype(float)
    integers = quantise(network, {"in": 1.0})
    want = reference_int(integers, {"in": x})
    fixed, real = lava_fixed(integers, {"in": x}), lava_float(network, {"in": x})
    for name, spikes in want.spikes.items():
        np.testing.assert_array_equal(fixed.spikes[name], spikes)
        np.testing.assert_array_equal(fixed.membranes[name], want.membranes[name])
        np.testing.assert_array_equal(real.spikes[name], spikes)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "stride 0": ({"stride": np.array([0, 1])}, "n0.stride is [0, 1], expected 2 integers from 1"),
    "negative padding": (
        {"padding": np.array([-1, 1])},
        "n0.padding is [-1, 1], expected 2 integers from 0",
    ),
    "a word": ({"padding": "reflect"}, "n0.padding is 'reflect', expected 'same', 'valid'"),
    "same with a stride": (
        {"padding": "same", "stride": np.array([2, 2])},
        "padding 'same' with stride (2, 2)",
    ),
    "dilation 0": (
        {"dilation": np.array([0, 0])},
        "n0.dilation is [0, 0], expected 2 integers from 1",
    ),
    "three strides": ({"stride": np.array([1, 1, 1])}, "n0.stride is [1, 1, 1]"),
    "groups": ({"groups": np.array(3)}, "with 3 groups takes an input of shape (6, 8, 8)"),
    "groups of nothing": ({"groups": np.array(0)}, "n0.groups is [0]"),
    "too wide": ({"dilation": np.array([9, 9])}, "is larger than its padded input, (8, 8)"),
    "far": ({"padding": np.array([1 << 20] * 2)}, "values, expected at most 134217728"),
    "past 2**31": ({"padding": np.array([1 << 40] * 2)}, "n0.padding is [1099511627776"),
    "another input": (
        {"input_shape": np.array([9, 9])},
        "takes an input of shape (2, 9, 9), its input has (2, 8, 8)",
    ),
    "bias": ({"bias": np.zeros(3, np.float32)}, "n0.bias has shape (3,), expected (4,)"),
    "NaN": ({"bias": np.full(4, np.nan, np.float32)}, "n0.bias holds NaN"),
    "flat weight": ({"weight": np.ones((4, 18), np.float32)}, "n0.weight has shape (4, 18)"),
}


@pytest.mark.subprocess
@pytest.mark.parametrize("case", BAD)
def test_a_hostile_convolution_is_refused_in_one_line(tmp_path: Path, case: str):
    import h5py

    fields, words = BAD[case]
    nir.write(tmp_path / "g.nir", small_cnn())
    with h5py.File(tmp_path / "g.nir", "r+") as file:
        for field, value in fields.items():
            del file[f"node/nodes/n0/{field}"]
            file[f"node/nodes/n0/{field}"] = value
    refuse_file(tmp_path / "g.nir", words)


@pytest.mark.subprocess
def test_a_kernel_of_a_billion_declared_values_is_refused(tmp_path: Path):
    import h5py

    nir.write(tmp_path / "g.nir", small_cnn())
    with h5py.File(tmp_path / "g.nir", "r+") as file:
        node: Any = file["node/nodes/n0"]
        del node["weight"]
        node.create_dataset("weight", (1000, 1000, 1000, 1), "f4", chunks=(1, 1000, 1000, 1))
        del file["node/nodes/n2/kernel_size"]
        file["node/nodes/n2/kernel_size"] = np.array([1 << 30, 1 << 30])
    refuse_file(tmp_path / "g.nir", "n0.weight: more than 67108864 values")


def test_the_n_mnist_network_of_the_nir_paper(shared_data: Path):
    """The first recording of each digit; docs/nir.md has the numbers of all hundred."""
    path = shared_data / "nir_paper" / "cnn_sinabs.nir"
    folder = shared_data / "nmnist_small" / "NMNIST" / "Test"
    if not (path.is_file() and folder.is_dir()):
        pytest.skip(f"real data absent: {path} or {folder}")
    network = read_network(path, dt=1.0)
    integers = quantise(network, {"input": 1.0})
    right = [0, 0]
    for digit in range(10):
        data = np.fromfile(min((folder / str(digit)).glob("*.bin")), np.uint8).reshape(-1, 5)
        x, y, p, high, low = data[:, 0], data[:, 1], data[:, 2].astype(int), data[:, 3], data[:, 4]
        step = (((p & 127) << 16) + high.astype(int) * 256 + low) // 1000
        bins = np.zeros((300, 2, 34, 34))
        place: Any = (step.clip(max=299), p >> 7, y, x)
        np.add.at(bins, place, step < 300)
        inputs = {"input": bins.reshape(1, 300, -1)}
        for i, found in enumerate(
            (reference_float(network, inputs), reference_int(integers, inputs))
        ):
            right[i] += int(found.spikes["12"].sum((0, 1)).argmax() == digit)
    assert right == [10, 10]

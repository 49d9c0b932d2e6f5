"""Changes to a good .nir file, in → a (Affine) → n (LIF) → out, and what each is answered."""

from __future__ import annotations

from collections.abc import Callable

import h5py
import numpy as np

Change = Callable[[h5py.File], object]
NODES = "node/nodes"
WEIGHT = "node/nodes/a/weight"
TYPES = (
    "Input, Output, Linear, Affine, Scale, Flatten, Conv1d, Conv2d, SumPool2d, AvgPool2d, Delay, "
    "LIF, IF, CubaLIF, LI, CubaLI, I, Threshold"
)
LINKED = "a.weight is not plain data of this file, expected an array"
WRITTEN = "expected a file written by nir.write"
PAIRS = "expected (n, 2) names, n from 1 to 4096"


def replaced(path: str, **dataset) -> Change:
    def change(file: h5py.File) -> None:
        if path in file:
            del file[path]
        if dataset:
            file.create_dataset(path, **dataset)

    return change


def linked(target: object) -> Change:
    def change(file: h5py.File) -> None:
        file["elsewhere"] = np.ones((3, 2), np.float32)
        del file[WEIGHT]
        file[WEIGHT] = target

    return change


def virtual(file: h5py.File) -> None:
    del file[WEIGHT]
    layout = h5py.VirtualLayout((3, 2), np.float32)
    layout[:] = h5py.VirtualSource("/etc/hostname", "w", (3, 2))
    file.create_virtual_dataset(WEIGHT, layout)


def edges(*pairs: tuple[str, str]) -> Change:
    text = np.array(pairs, dtype=object).reshape(-1, 2)
    return replaced("node/edges", data=text, dtype=h5py.string_dtype())


def nested(file: h5py.File) -> None:
    group = file.require_group(NODES)
    for _ in range(500):
        group = group.create_group("d")


def metadata(where: str, count: int) -> Change:
    return lambda file: [file.__setitem__(f"{where}/metadata/m{i}", i) for i in range(count)]


def added(*paths: str) -> Change:
    """Groups, the last first: names come back in alphabetical order."""
    return lambda file: [file.create_group(path) for path in reversed(paths)]


def no_nodes(file: h5py.File) -> None:
    del file[NODES]
    file.create_group(NODES)


CHAIN = [("in", "a"), ("a", "n"), ("n", "out")]
RAW = [("/etc/hostname", 0, 24)]
LONG = "x" * 60
CUT = "x" * 40
STRUCTURE: dict[str, tuple[Change, str]] = {
    "no version": (replaced("version"), "the file has no version, expected it"),
    "unknown version": (
        replaced("version", data="9." + "0" * 60),
        f"version is '9.{'0' * 38}', expected NIR 0 or 1",
    ),
    "number as version": (
        replaced("version", data=1.0), "version is float64(), expected one string"
    ),
    "several versions": (
        replaced("version", data=["1.0"], dtype=h5py.string_dtype()),
        "version is object(1,), expected one string",
    ),
    "no graph": (replaced("node"), f"the file has no group node, {WRITTEN}"),
    "no nodes": (replaced(NODES), f"node has no group nodes, {WRITTEN}"),
    "empty nodes": (no_nodes, "0 nodes, expected 1 to 1024"),
    "one node": (
        lambda file: [file.__delitem__(f"{NODES}/{x}") for x in ("a", "n", "out")],
        "edge ('in', 'a') names 'a', which is no node",
    ),
    "no edges": (replaced("node/edges"), "node has no edges, expected it"),
    "empty edges": (edges(), f"edges are object(0, 2), {PAIRS}"),
    "numbers as edges": (
        replaced("node/edges", data=np.ones((3, 2))), f"edges are float64(3, 2), {PAIRS}"
    ),
    "a row of edges": (
        replaced("node/edges", data=["in", "a"], dtype=h5py.string_dtype()),
        f"edges are object(2,), {PAIRS}",
    ),
    "three ends": (
        replaced("node/edges", data=[["in", "a", "n"]], dtype=h5py.string_dtype()),
        f"edges are object(1, 3), {PAIRS}",
    ),
    "long ends": (
        replaced("node/edges", data=np.array(CHAIN, "S257")),
        "edges hold names of 257 bytes, expected 256",
    ),
    "edge to nowhere": (
        edges(*CHAIN, ("n", "ghost")), "edge ('n', 'ghost') names 'ghost', which is no node"
    ),
    "edge from nowhere": (
        edges(*CHAIN, (LONG, "n")), f"edge ('{CUT}', 'n') names '{CUT}', which is no node"
    ),
    "edge twice": (edges(*CHAIN, ("a", "n")), "an edge is listed twice, expected each once"),
    "self loop": (
        edges(*CHAIN, ("a", "a")),
        "nodes a -> a form a cycle without a neuron, expected at least one neuron in every cycle: "
        "it sends what it received at the step before",
    ),
    "10 MB name in an edge": (
        edges(*CHAIN, ("n", "x" * 10_000_000)),
        f"edge ('n', '{CUT}') names '{CUT}', which is no node",
    ),
    "isolated node": (edges(("in", "n"), ("n", "out")), "Affine 'a' needs an incoming edge"),
    "no input": (edges(("a", "n"), ("n", "out")), "Affine 'a' needs an incoming edge"),
    "nothing out": (edges(("in", "a"), ("a", "out")), "LIF 'n' needs an incoming edge"),
    "a dead end": (
        edges(("in", "a"), ("a", "n"), ("a", "out")), "LIF 'n' needs an outgoing edge"
    ),
    "an Input that is fed": (edges(*CHAIN, ("a", "in")), "Input 'in' needs no incoming edge"),
    "an Output that goes on": (edges(*CHAIN, ("out", "n")), "Output 'out' needs no outgoing edge"),
    "an Output of nothing": (
        edges(("in", "a"), ("a", "n"), ("n", "a")), "Output 'out' needs an incoming edge"
    ),
    "not a NIRGraph": (
        replaced("node/type", data="x" * 60), f"node.type is '{CUT}', expected NIRGraph"
    ),
    "no type of the graph": (replaced("node/type"), "node has no type, expected it"),
    "huge type": (
        replaced("node/type", data=np.array(b"x", "S100000")),
        "node.type is |S100000(), expected one string",
    ),
    "long type": (
        replaced("node/nodes/a/type", data=np.array(b"Affine", "S257")),
        "a.type is |S257(), expected one string",
    ),
    "unknown type": (
        replaced("node/nodes/a/type", data=LONG),
        f"node 'a' has type '{CUT}': unknown type; supported: {TYPES}",
    ),
    "subgraph": (
        replaced("node/nodes/a/type", data="NIRGraph"),
        "a holds 'bias', expected a plain NIRGraph",
    ),
    "no type": (replaced("node/nodes/a/type"), "a has no type, expected it"),
    "number as type": (
        replaced("node/nodes/a/type", data=3), "a.type is int64(), expected one string"
    ),
    "missing weight": (replaced(WEIGHT), "a.weight is missing, Affine needs it"),
    "missing weight and bias": (
        lambda file: [file.__delitem__(f"{NODES}/a/{x}") for x in ("weight", "bias")],
        "a.bias is missing, Affine needs it",
    ),
    "unknown field": (
        replaced(f"{NODES}/a/{LONG}", data=3.0), f"a.{CUT} is no field of Affine"
    ),
    "unknown fields": (added(f"{NODES}/a/more", f"{NODES}/a/most"), "a.more is no field of Affine"),
    "complex": (
        replaced(WEIGHT, data=np.ones((3, 2), complex)),
        "a.weight is complex128, expected floating-point numbers",
    ),
    "complex bias": (
        replaced(f"{NODES}/a/bias", data=np.ones(3, complex)),
        "a.bias is complex128, expected real numbers",
    ),
    "80 bits": (
        replaced(WEIGHT, data=np.ones((3, 2), np.longdouble)),
        f"a.weight is {np.dtype(np.longdouble)}, expected floating-point numbers",
    ),
    "integer weights": (
        replaced(WEIGHT, data=np.ones((3, 2), int)),
        "a.weight is int64, expected floating-point numbers",
    ),
    "text": (
        replaced(WEIGHT, data="hello"), "a.weight is object, expected floating-point numbers"
    ),
    "compound": (
        replaced(WEIGHT, data=np.ones(2, "f4,f4")),
        "a.weight is [('f0', '<f4'), ('f1', '<f4')], expected floating-point numbers",
    ),
    "reference": (
        replaced(WEIGHT, shape=(3, 2), dtype=h5py.ref_dtype),
        "a.weight is object, expected floating-point numbers",
    ),
    "null": (replaced(WEIGHT, data=h5py.Empty("f4")), "a.weight is empty, expected an array"),
    "float shape": (
        replaced("node/nodes/in/shape", data=[2.0]), "in.shape is float64, expected integers"
    ),
    "long shape": (
        replaced("node/nodes/in/shape", data=[1] * 9), "in.shape has 9 values, expected at most 8"
    ),
    "terabytes declared": (
        replaced(WEIGHT, shape=(1 << 20, 1 << 20), dtype="f4", chunks=(64, 64)),
        "a.weight: more than 67108864 values, expected fewer",
    ),
    "external link": (linked(h5py.ExternalLink("/etc/hostname", "/w")), LINKED),
    "soft link": (linked(h5py.SoftLink("/elsewhere")), LINKED),
    "virtual": (virtual, LINKED),
    "raw storage": (replaced(WEIGHT, shape=(3, 2), dtype="f4", external=RAW), LINKED),
    "a group for an array": (
        lambda file: [file.__delitem__(WEIGHT), file.create_group(WEIGHT)], LINKED
    ),
    "nested groups": (nested, "d has no type, expected it"),
    "many nodes": (
        added(*(f"{NODES}/n{i}" for i in range(1025))), "1029 nodes, expected 1 to 1024"
    ),
    "more beside the nodes": (
        added("node/mo", "node/" + LONG), "node/ holds 'mo', expected a plain NIRGraph"
    ),
    "a long name beside the nodes": (
        added("node/" + LONG), f"node/ holds '{CUT}', expected a plain NIRGraph"
    ),
    "a slash in a name": (added(f"{NODES}/a/b"), "a.b is no field of Affine"),
    "10 MB name": (
        added(f"{NODES}/" + "x" * 60_000),
        f"node name '{CUT}' is not allowed, expected [A-Za-z0-9_.-]{{1,128}}",
    ),
    "code in a name": (
        added(f'{NODES}/";print(1)#'),
        "node name '\";print(1)#' is not allowed, expected [A-Za-z0-9_.-]{1,128}",
    ),
    "soft-linked node": (
        lambda file: file.__setitem__(f"{NODES}/b", h5py.SoftLink("/node/nodes/a")),
        "node 'b' is no group of this file, expected one",
    ),
    "an array for a node": (
        lambda file: file.__setitem__(f"{NODES}/b", 3),
        "node 'b' is no group of this file, expected one",
    ),
    "soft-linked nodes": (
        lambda file: [file.move(NODES, "n"), file.__setitem__(NODES, h5py.SoftLink("/n"))],
        f"node has no group nodes, {WRITTEN}",
    ),
    "much metadata": (metadata("node", 1025), "the graph: 1025 metadata, expected at most 1024"),
    "much metadata of a node": (
        metadata(f"{NODES}/a", 1025), "a: 1025 metadata, expected at most 1024"
    ),
    "an array for metadata": (
        replaced("node/metadata", data=3), f"the graph has no group metadata, {WRITTEN}"
    ),
    "an array for a node's metadata": (
        replaced(f"{NODES}/a/metadata", data=3), f"a has no group metadata, {WRITTEN}"
    ),
}  # fmt: skip

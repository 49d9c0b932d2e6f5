"""The same graph in the forms in which other tools write it, as nested dicts and as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

Tree = dict[str, Any]
ARRAYS = {"weight", "bias", "scale", "threshold"} | {
    *("tau", "tau_mem", "tau_syn", "r", "v_leak", "v_reset", "v_threshold", "w_in")
}


def write(path: Path, graph: Tree) -> Path:
    """Write a graph's dict, as `NIRGraph.to_dict` returns it, without NIR's checks of shapes."""

    with h5py.File(path, "w") as file:
        file["version"] = "1.0"
        waiting = [(file.create_group("node"), graph)]
        while waiting:
            group, fields = waiting.pop()
            for name, value in fields.items():
                if isinstance(value, dict):
                    waiting.append((group.create_group(name), value))
                elif isinstance(value, str) or name == "edges":
                    group.create_dataset(name, data=value, dtype=h5py.string_dtype())
                else:
                    group.create_dataset(name, data=value)
    return path


def tree(graph: nir.NIRGraph) -> Tree:
    """The dict of a graph, without metadata, which `write` can change and write."""
    found = {k: v for k, v in graph.to_dict().items() if k != "metadata"}
    found["nodes"] = {
        name: {k: v for k, v in fields.items() if k != "metadata"}
        for name, fields in found["nodes"].items()
    }
    return found


def wrapped(graph: Tree, names: list[str], block: str) -> Tree:
    """Put a chain of nodes into a graph within the graph; only its ends have other edges."""
    first, last = names[0], names[-1]
    inside = {name: graph["nodes"][name] for name in names}
    among = [(a, b) for a, b in graph["edges"] if a in names and b in names]
    ends = {"i": {"type": "Input"}, "o": {"type": "Output"}}
    inner = {
        "type": "NIRGraph",
        "nodes": {**ends, **inside},
        "edges": [("i", first), *among, (last, "o")],
    }
    outside = {name: fields for name, fields in graph["nodes"].items() if name not in names}
    others = [(a, b) for a, b in graph["edges"] if (a, b) not in among]
    edges = [(block if a in names else a, block if b in names else b) for a, b in others]
    return {"type": "NIRGraph", "nodes": {**outside, block: inner}, "edges": edges}


def chains(graph: Tree) -> list[list[str]]:
    """All runs of nodes, but for Input and Output, of which each feeds the next one alone."""
    edges, nodes = graph["edges"], graph["nodes"]
    inner = [n for n, fields in nodes.items() if fields["type"] not in ("Input", "Output")]
    after = {n: [b for a, b in edges if a == n] for n in nodes}
    before = {n: [a for a, b in edges if b == n] for n in nodes}
    found = []
    for name in inner:
        run = [name]
        found.append(list(run))
        while len(after[run[-1]]) == 1 and after[run[-1]][0] in inner:
            if len(before[after[run[-1]][0]]) != 1:
                break
            run.append(after[run[-1]][0])
            found.append(list(run))
    return found


def with_ones(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with up to two ones put in anywhere."""
    longer = list(shape)
    for _ in range(int(rng.integers(0, 3))):
        longer.insert(int(rng.integers(0, len(longer) + 1)), 1)
    return tuple(longer)


def disguised(graph: Tree, rng: np.random.Generator) -> Tree:
    """The same graph with other shapes: ones, scalars where all values are equal, or no shape."""
    nodes = {name: dict(fields) for name, fields in graph["nodes"].items()}
    for fields in nodes.values():
        for field, value in list(fields.items()):
            if field in ("shape", "input_type"):
                if fields["type"] != "Input" and rng.random() < 0.3:
                    del fields[field]
                else:
                    fields[field] = np.array(with_ones(rng, tuple(value)))
            elif field in ARRAYS:
                equal = (value == value.flat[0]).all() and field != "weight"
                if equal and rng.random() < 0.5:
                    fields[field] = value.reshape(-1)[:1].reshape(with_ones(rng, ()))
                else:
                    fields[field] = value.reshape(with_ones(rng, value.shape))
    return graph | {"nodes": nodes}


def nested(graph: Tree, rng: np.random.Generator, blocks: int) -> Tree:
    """The same graph with some chains in graphs of their own, and some of those in others."""
    for i in range(blocks):
        runs = chains(graph)
        graph = wrapped(graph, runs[int(rng.integers(len(runs)))], f"g{i}")
    return graph

"""The order of a graph: feed-forward edges, and the edges that close a cycle."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from graphlib import CycleError, TopologicalSorter

from mdft.errors import UserError

Edge = tuple[str, str]


def topological(names: Iterable[str], edges: Iterable[Edge]) -> list[str]:
    """Return the nodes, each after all of its sources.

    Raises:
        UserError: the graph has a cycle.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter({name: () for name in names})
    for a, b in edges:
        sorter.add(b, a)
    try:
        return list(sorter.static_order())
    except CycleError as error:
        raise UserError(
            f"nodes {' -> '.join(error.args[1][:8])} form a cycle without a neuron, expected at "
            "least one neuron in every cycle: it sends what it received at the step before"
        ) from None


def back_edges(
    names: Collection[str], edges: Collection[Edge], inputs: Collection[str], neurons: Iterable[str]
) -> frozenset[Edge]:
    """Return the edges that close a cycle: those from a node to one on the path that led to it.

    The paths start at the inputs in the order of their names, and follow the edges of a node in
    the order of their targets' names; so the result does not depend on the order in the file.

    >>> back_edges(["x", "lif", "w"], [("x", "lif"), ("lif", "w"), ("w", "lif")], ["x"], ["lif"])
    frozenset({('w', 'lif')})

    Raises:
        UserError: a cycle has no neuron, or no path from an input leads to it.
    """
    firing = set(neurons)
    inner = [(a, b) for a, b in edges if a not in firing]
    topological(names, inner)  # refuses a cycle of nodes that compute their output at once
    after: dict[str, list[str]] = {name: [] for name in names}
    for a, b in sorted(edges, reverse=True):
        after[a].append(b)  # the first name is popped first
    found: set[Edge] = set()
    done: set[str] = set()
    for start in sorted(inputs):
        path, on_path = [start], {start}
        if start in done:
            continue
        while path:  # no recursion: Python's stack would limit the length of a path
            if not (waiting := after[path[-1]]):
                done.add(path[-1])
                on_path.remove(path.pop())
                continue
            b = waiting.pop()
            if b in on_path:
                found.add((path[-1], b))
            elif b not in done:
                path.append(b)
                on_path.add(b)
    forward = [e for e in edges if e not in found]
    if len(done) < len(after):
        _reached(names, forward, done)
    return frozenset(found)


def _reached(names: Collection[str], forward: Iterable[Edge], done: set[str]) -> None:
    """Refuse a cycle that no input reaches; other nodes without a source are refused elsewhere."""
    rest = set(names) - done
    sorter: TopologicalSorter[str] = TopologicalSorter({name: () for name in rest})
    for a, b in forward:
        if a in rest and b in rest:
            sorter.add(b, a)
    try:
        sorter.prepare()
    except CycleError as error:
        raise UserError(
            f"nodes {' -> '.join(error.args[1][:8])} form a cycle that no Input reaches, expected "
            "a path from an Input"
        ) from None

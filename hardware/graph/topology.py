"""The order of a feed-forward graph."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from mdft.errors import UserError


def topological(names: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """Return the nodes, each after all of its sources.

    Raises:
        UserError: the graph has a cycle; recurrent graphs are not supported.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter({name: () for name in names})
    for a, b in edges:
        sorter.add(b, a)
    try:
        return list(sorter.static_order())
    except CycleError as error:
        raise UserError(
            f"nodes {' -> '.join(error.args[1][:8])} form a cycle (a recurrent graph), "
            "expected a feed-forward one"
        ) from None

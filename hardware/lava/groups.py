"""Split populations into groups of equal constants: Lava's LIF has one decay and one threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hardware.fixed_point.integers import IntegerPopulation
from hardware.graph.network import Current, Population
from mdft.errors import UserError

MOST_GROUPS = 1024  # of all populations; each is several processes


@dataclass(frozen=True)
class Groups:
    """Populations with equal constants, and where their neurons belong.

    Attributes:
        populations: the groups; a population of equal constants is its own only group.
        members: population → [(group, indices of its neurons in the population)].
    """

    populations: tuple[Any, ...]
    members: dict[str, list[tuple[str, np.ndarray]]]

    def joined(self, recorded: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return arrays (B, S, N) by population from those of its groups."""
        found = {}
        for name, parts in self.members.items():
            if parts[0][0] not in recorded:
                continue
            total = sum(len(rows) for _, rows in parts)
            first = recorded[parts[0][0]]
            whole = np.empty((*first.shape[:2], total), first.dtype)
            for group, rows in parts:
                whole[:, :, rows] = recorded[group]
            found[name] = whole
        return found


def grouped(populations: Sequence[Population | IntegerPopulation]) -> Groups:
    """Split each population into groups of neurons with equal decays and thresholds.

    The groups together have the same neurons and synapses; a group of a population that differs
    has a name with a space, which no NIR node has.

    Raises:
        UserError: there would be more than 1024 groups.
    """
    members: dict[str, list[tuple[str, np.ndarray]]] = {}
    for p in populations:
        _, kinds = np.unique(np.stack(_constants(p)), axis=1, return_inverse=True)
        kinds = kinds.ravel()
        count = int(kinds.max()) + 1
        members[p.name] = [
            (f"{p.name} group {i}" if count > 1 else p.name, np.flatnonzero(kinds == i))
            for i in range(count)
        ]
    if (total := sum(map(len, members.values()))) > MOST_GROUPS:
        most = max(members, key=lambda name: len(members[name]))
        raise UserError(
            f"{most}: neurons of {len(members[most])} different decays and thresholds, {total} "
            f"groups in all; expected at most {MOST_GROUPS} in Lava"
        )
    found = [
        _part(p, group, rows, members)
        if len(members[p.name]) > 1
        else replace(p, synapses=_split(p.synapses, members))
        for p in populations
        for group, rows in members[p.name]
    ]
    return Groups(tuple(found), members)


def _constants(p: Population | IntegerPopulation) -> list[np.ndarray]:
    if isinstance(p, IntegerPopulation):
        given = (p.dv, p.vth, p.du)
    else:
        given = (p.decay, p.v_threshold, 1.0 if p.current is None else p.current.decay)
    return [np.broadcast_to(np.asarray(x, float), (p.size,)) for x in given]


def _part(p: Any, name: str, rows: np.ndarray, members: Mapping[str, Any]) -> Any:
    """Return the neurons `rows` of a population as one of its own."""
    split = _split(p.synapses, members)
    changed: dict[str, Any] = {
        "name": name,
        "synapses": tuple(replace(s, weight=s.weight[rows]) for s in split),
    }
    if isinstance(p, IntegerPopulation):
        changed["bias_mant"] = p.bias_mant[rows]
        for field in ("dv", "vth", "du"):
            changed[field] = int(np.broadcast_to(getattr(p, field), (p.size,))[rows[0]])
    else:
        for field in ("bias", "decay", "gain", "v_leak", "v_reset", "v_threshold"):
            changed[field] = getattr(p, field)[rows]
        if p.current is not None:
            changed["current"] = Current(p.current.decay[rows], p.current.gain[rows])
    return replace(p, **changed)


def _split(synapses: Sequence[Any], members: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return synapses from groups in place of those from populations."""
    found = []
    for s in synapses:
        parts = members.get(s.source, [])
        if len(parts) <= 1:
            found.append(s)
        else:
            found += [replace(s, source=g, weight=s.weight[:, rows]) for g, rows in parts]
    return tuple(found)

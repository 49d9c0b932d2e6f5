"""The rows of a comparison: the systems, and ridge regressions from a part of the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdft.config.baselines import SystemName
from mdft.config.data import Compared
from mdft.systems.build import TITLES

#: Row → what it changes of a ridge regression that is given the features and the events.
PARTS: Mapping[str, Mapping[str, Any]] = {
    "ridge-events": {"baseline.ridge.use": "events"},
    "ridge-time": {"baseline.ridge.use": "events", "baseline.ridge.time": "steps"},
}
_PARTS = {
    "ridge-events": "ridge regression, events",
    "ridge-time": "ridge regression, events over time",
}
#: Row → its title, in the order of the tables.
ROWS: Mapping[str, str] = {
    name: title
    for system, own in TITLES.items()
    for name, title in {system: own, **(_PARTS if system == "ridge" else {})}.items()
}
#: Rows whose inputs are not averaged over the clip, besides MDFT.
SEQUENCES = ("tcaf", "gru", "transformer", "ridge-time")


def system_of(row: str) -> SystemName:
    """The system of a row.

    >>> system_of("ridge-time"), system_of("avca")
    ('ridge', 'avca')
    """
    return "ridge" if row in PARTS else row  # type: ignore[return-value]


def rows_with(inputs: Compared) -> list[str]:
    """The rows that there are with some inputs: without events, none from the events alone.

    >>> len(rows_with("features+events")) - len(rows_with("features"))
    2
    """
    return [row for row in ROWS if row not in PARTS or inputs == "features+events"]

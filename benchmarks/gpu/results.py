"""The result of a part, which is on disk as JSON from its first row on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from mdft.files import write_atomic

#: A measurement: column → number or text. ``reason`` is why something in it is missing.
Row = dict[str, str | int | float | None]
REASON = "reason"
#: incomplete: a row has a reason. Every other one but ``done`` has a reason of its own.
State = Literal["running", "done", "incomplete", "failed", "timeout"]


@dataclass
class Result:
    """What a part found.

    Attributes:
        part: the name of the part.
        limit: the seconds that it may take.
        state: how it ended.
        reason: why it did not finish, in one line; empty if it did.
        seconds: what it took.
        rows: what it measured until then.
    """

    part: str
    limit: float
    state: State = "running"
    reason: str = ""
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)

    @property
    def missing(self) -> list[str]:
        """What was not measured and why, a line each; empty if everything was."""
        own = [f"{self.state}: {self.reason}"] if self.reason else []
        reasons = own + [str(row[REASON]) for row in self.rows if row.get(REASON)]
        return list(dict.fromkeys(reasons))

    def write(self, folder: Path) -> None:
        """Write ``PART.json``, all of it or nothing."""
        text = json.dumps(asdict(self), indent=1) + "\n"
        write_atomic(folder / f"{self.part}.json", text.encode())


def read(folder: Path, part: str) -> Result:
    """Read what a part has written."""
    return Result(**json.loads((folder / f"{part}.json").read_text()))

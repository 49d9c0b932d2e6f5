"""`python -m hardware.conformance`: NIR readers on small golden graphs."""

from __future__ import annotations

import datetime
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from hardware.conformance.readers import READERS, Reader
from hardware.result import check_targets, write_whole
from mdft.cli import exit_status, parse
from mdft.errors import UserError, unknown


@dataclass(frozen=True)
class ConformanceConfig:
    """Run golden graphs in NIR readers and compare with values in exact fractions.

    A reader of another project gets an environment of its own from the package index, with
    `uv run --isolated --with …`; our five backends run in this one.
    Exit status: 0 all readers were started, 1 one could not be, 2 wrong usage.
    """

    readers: tuple[str, ...] = ()
    """Names of readers; `mdft` is our five backends. Default: all."""
    graphs: tuple[str, ...] = ()
    """Names of golden graphs. Default: all."""
    seconds: float = 20.0
    """Limit of time for a graph in a reader."""
    json: Path | None = None
    """Write the results to this file. Its other columns and rows are kept, and the results of a
    reader that cannot be started, which are marked."""
    page: Path | None = None
    """Write the Markdown page to this file; needs --json."""


def chosen(names: tuple[str, ...]) -> list[Reader]:
    """The readers with these names.

    Raises:
        UserError: a name is unknown.
    """
    found = []
    for name in names or tuple(READERS):
        if name != "mdft" and name not in READERS:
            raise unknown("--readers", name, ["mdft", *READERS])
        found += [r for r in READERS.values() if name in (r.name, r.adapter)]
    return found


def main(args: list[str] | None = None) -> int:
    """Run the command; return the exit status."""

    def work() -> int:
        config = parse(ConformanceConfig, "python -m hardware.conformance", args)
        readers = chosen(config.readers)
        check_targets({"--json": config.json, "--page": config.page}, {})
        if config.page is not None and config.json is None:
            raise UserError("--page needs --json, which keeps the columns of other readers")
        if not 0 < config.seconds < 3600:
            raise UserError(f"--seconds is {config.seconds:g}, expected above 0 and below 3600")
        # nir is slow to import
        from hardware.conformance.goldens import goldens
        from hardware.conformance.page import merged, page, read
        from hardware.conformance.run import run_reader

        every = goldens()
        for name in config.graphs:
            if name not in every:
                raise unknown("--graphs", name, every)
        rows = {name: every[name] for name in config.graphs or every}
        columns: dict[str, Any] = read(config.json) if config.json is not None else {}
        console, absent = Console(width=None if sys.stdout.isatty() else 120), 0
        for reader in readers:
            found, versions = run_reader(reader, rows, config.seconds)
            absent += any(row.status == "absent" for row in found.values())
            shown = found
            if all(row.status == "absent" for row in found.values()):
                shown = {"all graphs": next(iter(found.values()))}
            for name, row in shown.items():
                parts = (row.status, f"at step {row.first}" if row.first is not None else "")
                text = " ".join(filter(None, (*parts, "; ".join(row.cause), row.message)))
                console.print(f"{reader.name}  {name}: {text}", highlight=False, markup=False)
            today = datetime.date.today().isoformat()
            column = merged(columns.get(reader.name, {}), found, versions, every, today)
            columns[reader.name] = column
            kept = sum("kept" in column["rows"][name] for name in found)
            if kept:
                console.print(f"{reader.name}: results of {column['date']} are kept: {kept}")
            if config.json is not None:  # after each reader: a later one may take long
                ordered = {n: columns[n] for n in READERS if n in columns}
                write_whole(config.json, json.dumps({"readers": ordered}, indent=1) + "\n")
                if config.page is not None:
                    write_whole(config.page, page(ordered, every))
        return int(absent > 0)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())

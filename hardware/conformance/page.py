"""The matrix as JSON, and as a Markdown page."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from hardware.conformance.goldens import Golden
from hardware.conformance.run import Row, as_json

MARKS = {"equal": "=", "refused": "refused", "crashed": "crashed", "hangs": "hangs"}
HEAD = """# NIR readers on golden graphs

This page is made by `python -m hardware.conformance`. Each row is a small graph, each column a
reader of NIR files in an environment of its own. The expected values are computed in exact
fractions by `hardware/conformance/evaluate.py`, whose docstring states the discretisation: forward
Euler, a strict comparison after the step, the reset in the same step, no delay but in an edge that
closes a cycle, which delivers a step later. NIR's equations are continuous: another discretisation
is a deviation from this page, not from NIR.

`=` is: every spike is equal, or every value within 10⁻⁵ of the largest. A letter is a deviation
whose cause is listed below: the golden, stepped with that change, gives what the reader gave. The
number behind it is the first step that differs. `?` is a deviation that no cause and no pair of
causes explains; several causes may explain one, and then the first of the list is shown. `–` is not
run. † is a result of an earlier run: the reader could not be started again. Readers run as their
importers are documented, without changes to the graph.

An own backend in fixed point (`reference_int`, `lava_fixed`, `netx`) rounds to integers: `~` is a
deviation of it, for which no cause is looked for.

A reader is an adapter of some twenty lines in `hardware/conformance/readers/` and a line in the
table of its `__init__.py`: `prepare()` imports it; `run(path, inputs, dt, option)` returns the
values (steps, …) of each Output. One reader on one graph, and one column again:

    python -m hardware.conformance --readers norse --graphs lif-r-3
    python -m hardware.conformance --readers mdft --json docs/conformance.json \\
        --page docs/conformance.md
"""


def digest(golden: Golden) -> str:
    """A hash of a golden's exact outputs and inputs: results of another golden are not shown."""
    both = {**{f"in.{k}": v for k, v in golden.inputs.items()}, **golden.outputs()}
    parts = [k.encode() + np.asarray(v, np.float64).tobytes() for k, v in sorted(both.items())]
    return hashlib.sha256(b"".join(parts) + str(golden.dt).encode()).hexdigest()[:16]


def read(path: Path) -> dict[str, Any]:
    """The columns of an earlier JSON, by reader; none if there is no file."""
    return json.loads(path.read_text())["readers"] if path.is_file() else {}


def merged(
    old: dict[str, Any],
    found: dict[str, Row],
    versions: dict[str, str],
    goldens: dict[str, Golden],
    today: str,
) -> dict[str, Any]:
    """Return a reader's column after a run: rows that it did not run are those of earlier runs.

    A row of a reader that could not be started replaces no earlier result; the result is kept, and
    its `kept` is the day of the attempt.

    Args:
        old: the column so far; empty if there is none.
        found: the rows of this run.
        versions: the versions of this run; empty if the reader was never started.
        goldens: all goldens, in the order of the column.
        today: the date.
    """
    rows = dict(old.get("rows", {}))
    for name, row in found.items():
        earlier = rows.get(name, {"status": "absent"})
        if row.status == "absent" and earlier["status"] != "absent":
            rows[name] = earlier | {"kept": today}
        else:
            rows[name] = as_json(row) | {"digest": digest(goldens[name])}
    return {
        "date": today if versions or not old.get("versions") else old["date"],
        "versions": versions or old.get("versions", {}),
        "rows": {name: rows[name] for name in goldens if name in rows},
    }


def page(readers: dict[str, Any], goldens: dict[str, Golden]) -> str:
    """Return the Markdown page.

    Args:
        readers: for each reader its `versions`, `date` and `rows` by golden, each with the
            `digest` of the golden that it was run on.
        goldens: the rows.
    """
    causes: dict[str, str] = {}
    lines = ["| graph | " + " | ".join(readers) + " |", "|---|" + "---|" * len(readers)]
    digests = {name: digest(golden) for name, golden in goldens.items()}
    for name, golden in goldens.items():
        cells = [_cell(c["rows"].get(name), digests[name], causes) for c in readers.values()]
        about = f" {golden.about}" if golden.about else ""
        lines.append(f"| `{name}`{about} | " + " | ".join(cells) + " |")
    total = [_total(c, digests) for c in readers.values()]
    lines.append("| **equal** | " + " | ".join(total) + " |")
    parts = [HEAD, "## The matrix", "\n".join(lines)]
    if causes:
        named = [f"- **{letter}**: it {text}" for text, letter in causes.items()]
        parts += ["## Causes", "\n".join(named)]
    parts += ["## Readers", _versions(readers), "## What they answered", _messages(readers)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _cell(row: dict[str, Any] | None, digest: str, causes: dict[str, str]) -> str:
    if row is None or row["digest"] != digest or row["status"] == "absent":
        return "–"
    kept = " †" if "kept" in row else ""
    if row["status"] != "deviates":
        return MARKS[row["status"]] + kept
    cause = row.get("cause", ())
    if not cause:
        mark = "~" if "integers" in row.get("message", "") else "?"
        return f"{mark} {row['first']}{kept}"
    for text in cause:
        causes.setdefault(text, _letter(len(causes)))
    return f"{'+'.join(causes[text] for text in cause)} {row['first']}{kept}"


def _letter(k: int) -> str:
    return chr(ord("A") + k) if k < 26 else "A" + chr(ord("A") + k - 26)


def _total(column: dict[str, Any], digests: dict[str, str]) -> str:
    rows = column["rows"]
    known = [rows[n] for n in digests if n in rows and rows[n]["digest"] == digests[n]]
    return f"{sum(row['status'] == 'equal' for row in known)} of {len(digests)}"


def _versions(readers: dict[str, Any]) -> str:
    lines = ["| reader | date | versions |", "|---|---|---|"]
    for name, column in readers.items():
        versions = ", ".join(f"{k} {v}" for k, v in column["versions"].items()) or "not started"
        tried = max((row.get("kept", "") for row in column["rows"].values()), default="")
        note = f" (†: it could not be started on {tried})" if tried else ""
        lines.append(f"| {name} | {column['date']} | {versions}{note} |")
    return "\n".join(lines)


def _messages(readers: dict[str, Any]) -> str:
    lines = []
    for name, column in readers.items():
        said: dict[str, list[str]] = {}
        for golden, row in column["rows"].items():
            if row.get("message") and "integers" not in row["message"]:
                said.setdefault(f"{row['status']}: {row['message']}", []).append(golden)
        for text, where in said.items():
            shown = ", ".join(where[:4]) + (f" and {len(where) - 4} more" if len(where) > 4 else "")
            lines.append(f"- {name}, {shown}: `{text.replace('`', chr(39))}`")
    return "\n".join(lines) or "Nothing was refused."

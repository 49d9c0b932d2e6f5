"""The figures that a benchmark hands to ``python -m benchmarks``: name → ratio or seconds, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from mdft.errors import UserError
from mdft.files import write_atomic


def write_figures(path: Path | None, figures: Mapping[str, float]) -> None:
    """Write the figures; without a path do nothing.

    Args:
        path: the value of ``--figures``.
        figures: name → ratio to the baseline that the name states, or seconds.
    """
    if path is not None:
        content = json.dumps(dict(figures), indent=2, ensure_ascii=False)
        write_atomic(path, f"{content}\n".encode())


def read_figures(path: Path) -> dict[str, float]:
    """Return the figures of :func:`write_figures`.

    Raises:
        UserError: the file is missing, or holds something else than names with finite numbers.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name}: no figures: {error}") from error
    numbers = isinstance(found, dict) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        for value in found.values()
    )
    if not numbers:
        raise UserError(f"{path.name}: expected names with finite numbers")
    return {name: float(value) for name, value in found.items()}

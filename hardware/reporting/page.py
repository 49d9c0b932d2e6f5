"""Render the page of a report from the template `page.html`: one self-contained file."""

from __future__ import annotations

from collections.abc import Sequence

from hardware.compare import LayerComparison
from hardware.reporting.data import BackendReport, Report
from hardware.reporting.figures import Picture
from hardware.reporting.fit import MOST_BITS
from mdft.templates import environment

_NONE = "–"


def page(report: Report, pictures: Sequence[Picture]) -> str:
    """Return the HTML of a report; all text in it is escaped.

    Args:
        report: the numbers.
        pictures: the figures.
    """
    template = _ENVIRONMENT.get_template("page.html")
    return template.render(report=report, pictures=pictures, most_bits=MOST_BITS)


def _fmt(value: float | None, spec: str) -> str:
    return _NONE if value is None else format(value, spec)


def _span(ends: tuple[float, float] | None, spec: str = "") -> str:
    return _NONE if ends is None else " to ".join(format(x, spec) for x in ends)


def _kib(bits: int) -> str:
    return f"{bits / 8192:,.1f}"


def _heading(b: BackendReport) -> str:
    return f"{b.backend} ({b.runtime})" if b.runtime else b.backend


def _source(name: str) -> str:
    return "PyTorch (the probe)" if name == "probe" else name


def _membranes(layers: Sequence[LayerComparison]) -> int | None:
    counts = [x.membranes_differing for x in layers if x.membranes_differing is not None]
    return sum(counts) if counts else None


def _differ(layers: Sequence[LayerComparison]) -> bool:
    return any(x.differing or x.membranes_differing for x in layers)


_ENVIRONMENT = environment("hardware.reporting")
_ENVIRONMENT.filters |= {
    "fmt": _fmt,
    "span": _span,
    "kib": _kib,
    "heading": _heading,
    "source": _source,
    "membranes": _membranes,
    "differ": _differ,
}
